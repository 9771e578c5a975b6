/** `doorward drill`: a kill, measured; everything as it was afterwards. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { type ContractStage, isProblem, startContract } from "./contract.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM/v1
    private: true
    operations: { read: { effect: read, allow: [GET /items] } }
roles: { clerk: { allow: ["shop:*"] } }
agents:
  bot: { roles: [clerk], environment: production }
  far: { roles: [clerk], networks: [10.0.0.0/8] }
policies:
  - { id: never, effect: forbid, on: "*", agents: [far] }
`;

interface Report {
  readonly runs: number;
  readonly new_call_ms: { readonly p50: number; readonly p99: number };
  readonly stream_ms: { readonly p50: number; readonly p99: number };
  readonly audit_ok: boolean;
  readonly file: string;
}

describe("drill", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot", "far"] });
  });
  after(() => stage?.[Symbol.asyncDispose]());

  const kills = async () => (await stage.home.json<{ kills: unknown[] }>(["status"])).kills;

  test("without an agent of the file: figures, whole evidence, a report in the home", async () => {
    const report = await stage.home.json<Report>(["drill", "--runs", "3"]);
    assert.equal(report.runs, 3);
    assert.equal(report.audit_ok, true);
    for (const { p50, p99 } of [report.new_call_ms, report.stream_ms]) assert.ok(p50 > 0 && p50 <= p99 && p99 < 10_000);
    assert.equal(statSync(report.file).mode & 0o777, 0o600);
    const kept = JSON.parse(readFileSync(report.file, "utf8")) as { each: { refused: string[]; cut: string[] } };
    assert.equal(kept.each.refused.length, 3);
    for (const id of kept.each.refused) assert.equal(stage.eventsOf(id)[0]?.code, "killed");
    for (const id of kept.each.cut) assert.equal(stage.eventsOf(id).at(-1)?.code, "killed");
  });

  test("afterwards there is no kill, no service, no agent and no key of the drill", async () => {
    assert.deepEqual(await kills(), []);
    isProblem(await stage.call("/api/doorward-drill/call"), 404, "unknown_service");
    assert.equal((await stage.call("/api/shop/items")).status, 200);
    const tokens = await stage.home.json<{ agent: string }[]>(["token", "list"]);
    assert.deepEqual(tokens.map(({ agent }) => agent).toSorted(), ["bot", "far"]);
    assert.deepEqual((await stage.home.json(["policy", "check"]))["ok"], true);
  });

  test("an agent of the file is stopped for real, and goes on with the key it has", async () => {
    const report = await stage.home.json<Report>(["drill", "--agent", "bot", "--runs", "2"]);
    assert.deepEqual([report.runs, report.audit_ok], [2, true]);
    assert.equal((await stage.call("/api/shop/items")).status, 200);
    const set = stage.evidence().filter(({ type, target }) => type === "kill.set" && target === "agent:bot");
    assert.deepEqual(
      set.map(({ by }) => by),
      ["owner (drill)", "owner (drill)"],
    );
  });

  test("what cannot be measured is said, and leaves nothing behind", async () => {
    const far = await stage.home.cli(["drill", "--agent", "far"]);
    assert.equal(far.status, 1);
    assert.match(far.stderr, /a call that nothing stops was refused \(.*address/);
    assert.deepEqual(await kills(), []);
    await stage.home.json(["kill", "agent:bot", "--why", "test"]);
    const killed = await stage.home.cli(["drill", "--agent", "bot"]);
    assert.match(killed.stderr, /`agent:bot` is stopped already/);
    isProblem(await stage.call("/api/shop/items"), 403, "killed");
    await stage.home.json(["resume", "agent:bot", "--why", "test"]);
    assert.equal((await stage.home.cli(["drill", "--agent", "nobody"])).status, 1);
    for (const runs of ["0", "1001"])
      assert.notEqual((await stage.home.cli(["drill", "--runs", runs])).status, 0, runs);
    assert.equal((await stage.home.cli(["drill", "--runs", "many"])).status, 2);
  });
});
