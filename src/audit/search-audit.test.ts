import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { completed, decided, makeHome, openTestLog, readSegment, writeSegment } from "./evidence.testing.ts";
import { searchAudit } from "./search-audit.ts";
import { tailAudit } from "./tail-audit.ts";

describe("search", () => {
  test("finds by request, agent, service, type, family and time; the newest last, and no more than asked for", async () => {
    using home = makeHome();
    await using log = await openTestLog(home, { segmentBytes: 2048 });
    for (let index = 0; index < 20; index += 1) {
      await log.append(decided(`req_${index}`));
      await log.append(completed(`req_${index}`));
    }
    await log.append({ type: "kill.set", agent: "other-bot" });
    const ids = async (query: Parameters<typeof searchAudit>[1]) =>
      (await searchAudit(home.home, query)).map(({ record }) => record.request_id ?? record.type);

    assert.deepEqual(await ids({ request: "req_7" }), ["req_7", "req_7"]);
    assert.deepEqual(await ids({ agent: "other-bot" }), ["kill.set"]);
    assert.deepEqual(await ids({ type: "call.completed", limit: 2 }), ["req_18", "req_19"]);
    assert.equal((await ids({ type: "call.*", service: "registrar" })).length, 40);
    const [last] = await searchAudit(home.audit, { type: "kill.set" });
    const since = new Date(last?.record.at ?? 0);
    assert.deepEqual(await ids({ since, type: "kill.*" }), ["kill.set"]);
    assert.deepEqual(await ids({ since: new Date(since.getTime() + 1), type: "kill.*" }), []);
    assert.deepEqual(await ids({ request: "req_none" }), []);
    assert.deepEqual(await searchAudit(`${home.home}/nowhere`, {}), []);
  });

  test("gives lines as they stand in the file, and passes over what is damaged", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    const lines = readSegment(home);
    writeSegment(home, ["rubbish", ...lines]);
    assert.deepEqual(
      (await searchAudit(home.audit, {})).map(({ line }) => line),
      lines,
    );
  });
});

test("tail gives the newest events, then each new one, until it is told to stop", async () => {
  using home = makeHome();
  await using log = await openTestLog(home);
  for (const id of ["req_1", "req_2", "req_3"]) await log.append(decided(id));
  const stop = new AbortController();
  const seen: (string | null)[] = [];
  for await (const { record } of tailAudit(home.audit, { type: "call.*", limit: 2 }, stop.signal)) {
    seen.push(record.request_id);
    if (seen.length === 2) await log.append(completed("req_1"));
    if (seen.length === 3) stop.abort();
  }
  assert.deepEqual(seen, ["req_2", "req_3", "req_1"]);
});
