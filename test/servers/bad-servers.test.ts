/** Servers that misbehave, in their sandbox behind a real daemon: each is contained, named and recorded, and others are served. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Client } from "@modelcontextprotocol/client";
import { until } from "../harness/daemon.testing.ts";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import { descendants, openServerStage, refusalOf, type ServerStage, textOf } from "./stage.testing.ts";

const SCRIPT = join(import.meta.dirname, "../../src/upstreams/scripted-server.testing.ts");
/** Service → what its server is given: modes, and the tools that it lists. */
const SERVERS: Readonly<Record<string, readonly string[]>> = {
  good: [],
  slow: ["tools=echo,slow,cancelled"],
  mute: ["mute"],
  dies: ["die", "last-word"],
  exits: ["tools=echo,exit"],
  floods: ["tools=echo,flood"],
  garbles: ["tools=echo,garbage"],
  forges: ["tools=echo,wrongId"],
  big: ["tools=echo,big"],
  endless: ["newline-never"],
  changes: ["tools=echo,change"],
  asks: ["tools=echo,roots"],
  stubborn: ["stubborn", "fork"],
};
/** Whose calls end at their deadline; the others are given what a busy machine needs. */
const SILENT = new Set(["slow", "mute"]);
const MEMORY_MAX_MB = 400;

describe("a server that misbehaves", { skip: cannotRun }, () => {
  const stack = new AsyncDisposableStack();
  let stage: ServerStage;
  let client: Client;
  before(async () => {
    stage = stack.use(
      await openServerStage({
        programs: [SCRIPT],
        services: (folder) =>
          Object.entries(SERVERS)
            .map(
              ([name, words]) => `  ${name}:
    mcp: { command: node, args: ${JSON.stringify([join(folder, "scripted-server.testing.ts"), ...words])} }
    limits: { timeout: ${SILENT.has(name) ? 3 : 30}s, response: 64KiB }
    operations: { all: { effect: write, tools: ["*"] } }
`,
            )
            .join(""),
      }),
    );
    client = await stage.connect("/mcp");
    assert.equal(await textOf(client, "good__echo", { a: 1 }), '{"a":1}');
  });
  after(() => stack.disposeAsync());

  /** Others are served while this goes on. */
  async function beside<T>(bad: Promise<T>): Promise<T> {
    assert.equal(await textOf(client, "good__echo", { b: 2 }), '{"b":2}');
    const outcome = await bad;
    assert.equal(await textOf(client, "good__echo", { c: 3 }), '{"c":3}');
    return outcome;
  }
  const lastEvent = (type: string, service: string) =>
    stage.evidence().findLast((event) => event.type === type && event["service"] === service);

  /** That the call's outcome is on record with the code that the caller saw. */
  function isRecorded(service: string, code: string): void {
    assert.equal(lastEvent("call.completed", service)?.code, code);
  }

  test("never answers a call: it ends at its deadline, and the server is told", async () => {
    const { code } = await beside(refusalOf(client, "slow__slow"));
    assert.equal(code, "upstream_timeout");
    isRecorded("slow", "upstream_timeout");
    assert.match(await textOf(client, "slow__cancelled"), /^\d+$/);
  });

  test("never answers at all", async () => {
    const { code } = await beside(refusalOf(client, "mute__echo"));
    assert.equal(code, "upstream_timeout");
    isRecorded("mute", "upstream_timeout");
  });

  test("ends at its start: its last words are told, and it is not started again at once", async () => {
    const first = await beside(refusalOf(client, "dies__echo"));
    assert.equal(first["code"], "upstream_unreachable");
    assert.match(first["message"]!, /status 7: no key: last-word/);
    const started = () =>
      stage.evidence().filter(({ type, service }) => type === "upstream.started" && service === "dies");
    const before = started().length;
    const second = await refusalOf(client, "dies__echo");
    assert.equal(second["code"], "upstream_unreachable");
    assert.ok(Number(second["retry_after"]) >= 1);
    assert.equal(started().length, before);
  });

  test("ends in mid-call, and is started again for a later one", async () => {
    assert.equal(await textOf(client, "exits__echo"), "{}");
    const { code, message } = await beside(refusalOf(client, "exits__exit"));
    assert.equal(code, "upstream_unreachable");
    assert.match(message!, /status 3: last words of the server/);
    isRecorded("exits", "upstream_unreachable");
    const stopped = await until(
      () => lastEvent("upstream.stopped", "exits"),
      (event) => event !== undefined,
    );
    assert.match(JSON.stringify(stopped), /exited with status 3/);
    await until(
      async () => (await client.callTool({ name: "exits__echo", arguments: {} })).isError,
      (failed) => failed !== true,
    );
  });

  test("floods: it is stopped, and why is on record", async () => {
    const { code, message } = await beside(refusalOf(client, "floods__flood"));
    assert.equal(code, "upstream_unreachable");
    assert.match(message!, /floods us/);
    const stopped = await until(
      () => lastEvent("upstream.stopped", "floods"),
      (event) => event !== undefined,
    );
    assert.match(JSON.stringify(stopped), /floods us.*"flood":\d+/);
  });

  test("writes garbage to standard output: it is ignored and counted", async () => {
    assert.equal(await beside(textOf(client, "garbles__garbage")), "after garbage");
  });

  test("answers for another id: nobody gets it", async () => {
    assert.equal(await beside(textOf(client, "forges__wrongId")), "true");
  });

  test("answers more than its limit: the call fails, the server stays", async () => {
    const { code } = await beside(refusalOf(client, "big__big", { bytes: 200_000 }));
    assert.equal(code, "upstream_too_large");
    isRecorded("big", "upstream_too_large");
    assert.equal(await textOf(client, "big__echo"), "{}");
  });

  test("answers with half a gigabyte: it ends, and nobody else", async () => {
    const { code } = await beside(refusalOf(client, "big__big", { bytes: 500_000_000 }));
    assert.match(code!, /^upstream_(unreachable|too_large)$/);
  });

  test("writes without end: it is stopped, and the daemon has not kept it", async () => {
    const { code, message } = await beside(refusalOf(client, "endless__echo"));
    assert.equal(code, "upstream_unreachable");
    assert.match(message!, /writes without end/);
    const status = readFileSync(`/proc/${stage.daemon().pid}/status`, "utf8");
    const memoryMb = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
    assert.ok(memoryMb < MEMORY_MAX_MB, `the daemon has ${memoryMb} MB`);
  });

  test("changes its tools in mid-session: what is new is held", async () => {
    assert.equal(await textOf(client, "changes__echo"), "{}");
    assert.equal(await beside(textOf(client, "changes__change")), "changed");
    await until(
      () => refusalOf(client, "changes__added"),
      ({ rule }) => rule === "pin:changes:tool:added",
    );
    const { tools } = await client.listTools();
    const names = tools.map(({ name }) => name);
    assert.ok(names.includes("changes__change") && !names.includes("changes__added"), names.join());
  });

  test("asks for the client's roots, which the client did not offer: it is told so", async () => {
    const { code } = JSON.parse(await beside(textOf(client, "asks__roots"))) as { readonly code: number };
    assert.equal(code, -32_601);
  });

  test("ignores SIGTERM and forks: a kill ends all of it at once", async () => {
    assert.equal(await textOf(client, "stubborn__echo"), "{}");
    const roots = descendants(stage.daemon().pid).filter((child) => commandOf(child).includes("\0stubborn\0"));
    const own = [...new Set(roots.flatMap((root) => [root, ...descendants(root)]))];
    assert.ok(
      own.some((child) => commandOf(child).includes("setInterval")),
      "it forked",
    );
    await stage.home.json(["kill", "service:stubborn", "--why", "a test"]);
    await until(
      () => own.filter(isAlive),
      (left) => left.length === 0,
    );
    assert.equal((await refusalOf(client, "stubborn__echo"))["code"], "killed");
    assert.equal(await textOf(client, "good__echo"), "{}");
    await stage.home.json(["resume", "service:stubborn", "--why", "a test"]);
  });

  test("and when the daemon stops, nothing of any of them is left", async () => {
    assert.equal(await textOf(client, "stubborn__echo"), "{}");
    const all = descendants(stage.daemon().pid);
    assert.ok(all.length > 10, `${all.length} processes ran`);
    await stage.daemon().stop();
    assert.deepEqual(all.filter(isAlive), []);
    const { ok } = await stage.home.json<{ readonly ok: boolean }>(["audit", "verify"]);
    assert.equal(ok, true);
  });
});

/** Its words, each ended by NUL; `""` when it is gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** A zombie has ended; it waits for whoever is its parent now. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}
