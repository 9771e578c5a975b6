/** server-filesystem in its sandbox, and what many sessions leave behind. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Client } from "@modelcontextprotocol/client";
import { until } from "../harness/daemon.testing.ts";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import { descendants, openServerStage, packageScript, type ServerStage, textOf } from "./stage.testing.ts";

const SCRIPT = packageScript("@modelcontextprotocol/server-filesystem");

describe("server-filesystem", { skip: cannotRun }, () => {
  const stack = new AsyncDisposableStack();
  let stage: ServerStage;
  let client: Client;
  let notes: string;
  before(async () => {
    stage = stack.use(
      await openServerStage({
        services: (folder) => {
          notes = join(folder, "notes");
          mkdirSync(notes);
          mkdirSync(join(folder, "private"));
          writeFileSync(join(notes, "todo.txt"), "buy milk");
          writeFileSync(join(folder, "private", "diary.txt"), "dear diary");
          symlinkSync(join(folder, "private"), join(notes, "way-out"));
          // The server would keep to `notes` by itself; here it is told that all is its own, and the sandbox alone holds it.
          return `  files:
    mcp: { command: node, args: [${JSON.stringify(SCRIPT)}, /] }
    sandbox: { read: [${JSON.stringify(notes)}] }
    operations: { all: { effect: write, tools: ["*"] } }
`;
        },
      }),
    );
    client = await stage.connect("/mcp/files");
  });
  after(() => stack.disposeAsync());

  test("reads its declared folder", async () => {
    assert.equal(await textOf(client, "read_text_file", { path: join(notes, "todo.txt") }), "buy milk");
    assert.match(await textOf(client, "list_directory", { path: notes }), /\[FILE\] todo\.txt/);
  });

  test("sees no other file, by its path or by a link, and can write none", async () => {
    for (const [tool, args] of [
      ["read_text_file", { path: join(notes, "../private/diary.txt") }],
      ["read_text_file", { path: join(notes, "way-out/diary.txt") }],
      ["read_text_file", { path: "/etc/shadow" }],
      ["read_text_file", { path: join(stage.home.home, "owner.key") }],
      ["list_directory", { path: stage.home.home }],
      ["list_directory", { path: "/root" }],
      ["write_file", { path: join(notes, "new.txt"), content: "x" }],
    ] as const) {
      const { isError, content } = await client.callTool({ name: tool, arguments: args });
      assert.equal(isError, true, `${tool} ${args.path}: ${JSON.stringify(content)}`);
    }
    const tops = await textOf(client, "list_directory", { path: "/tmp" });
    assert.ok(!tops.includes("home"), tops);
  });
});

describe("server-memory", { skip: cannotRun }, () => {
  test("keeps what it is told in the one folder that it may write, also after its end", async () => {
    let kept = "";
    await using stage = await openServerStage({
      services: (folder) => {
        kept = join(folder, "kept");
        mkdirSync(kept, { mode: 0o777 });
        chmodSync(kept, 0o777);
        const script = JSON.stringify(packageScript("@modelcontextprotocol/server-memory"));
        return `  memory:
    mcp: { command: node, args: [${script}], env: { MEMORY_FILE_PATH: ${JSON.stringify(join(kept, "graph.json"))} } }
    sandbox: { write: [${JSON.stringify(kept)}] }
    operations: { all: { effect: write, tools: ["*"] } }
`;
      },
    });
    const entity = { name: "milk", entityType: "thing", observations: ["is white"] };
    const first = await stage.connect("/mcp/memory");
    await textOf(first, "create_entities", { entities: [entity] });
    await first.close();
    await stage.restart();
    assert.match(await textOf(await stage.connect("/mcp/memory"), "read_graph"), /is white/);
    assert.deepEqual(readdirSync(kept), ["graph.json"]);
  });
});

/** Sessions before anything is counted: code is loaded, memory has its size. */
const WARM = { shared: 400, own: 20 };
/** Clients that can be asked something have a server each; the others share one. */
const COUNTED = { shared: 440, own: 60 };
const AT_ONCE = 4;
/** What a session leaves would be tens of kilobytes at least, 500 times; a collector's moods are less than this. */
const GROWTH_MAX_MB = 24;

describe("sessions that are opened and closed", { skip: cannotRun }, () => {
  test("500 of them leave no process, no descriptor and no memory", async (t) => {
    await using stage = await openServerStage({
      programs: [join(import.meta.dirname, "probing-server.ts")],
      services: (folder) => `  probing:
    mcp: { command: node, args: [${JSON.stringify(join(folder, "probing-server.ts"))}] }
    operations: { all: { effect: read, tools: ["*"] } }
`,
    });
    const { url, pid } = stage.daemon();
    const key = stage.home.key("caller");
    const open = async (counts: typeof WARM) => {
      await inTurns(counts.shared, () => oneSession(`${url}/mcp/probing`, key, {}));
      await inTurns(counts.own, () => oneSession(`${url}/mcp/probing`, key, { elicitation: {} }));
    };
    const count = () => ({ processes: descendants(pid).length, descriptors: readdirSync(`/proc/${pid}/fd`).length });
    await oneSession(`${url}/mcp/probing`, key, {});
    const { processes } = count();
    assert.ok(processes > 0, "the shared server runs");
    await open(WARM);
    await until(count, (now) => now.processes <= processes);
    const before = { ...count(), memoryMb: memoryMb(pid) };
    await open(COUNTED);
    await until(count, (now) => now.processes <= processes);
    const after = { ...count(), memoryMb: memoryMb(pid) };
    t.diagnostic(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
    const started = stage.evidence().filter(({ type }) => type === "upstream.started").length;
    assert.equal(started, 1 + WARM.own + COUNTED.own);
    assert.ok(after.descriptors <= before.descriptors + AT_ONCE, `${after.descriptors} descriptors are open`);
    assert.ok(after.memoryMb < before.memoryMb + GROWTH_MAX_MB, `it grew to ${after.memoryMb} MB`);
  });
});

/** A session of an older client: `initialize`, one call, DELETE. */
async function oneSession(url: string, key: string, capabilities: object): Promise<void> {
  const send = async (body: object, session: Record<string, string> = {}) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...session,
      },
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
    return { session: answer.headers.get("mcp-session-id"), text: await answer.text() };
  };
  const info = {
    protocolVersion: "2025-11-25",
    capabilities,
    clientInfo: { name: "many", version: "1" },
  };
  const opened = await send({ id: 1, method: "initialize", params: info });
  assert.ok(opened.session !== null, opened.text);
  const session = { "mcp-session-id": opened.session, "mcp-protocol-version": "2025-11-25" };
  await send({ method: "notifications/initialized" }, session);
  const params = { name: "list", arguments: { path: "/run/doorward" } };
  const called = await send({ id: 2, method: "tools/call", params }, session);
  assert.match(called.text, /proxy\.sock/);
  const ended = await fetch(url, { method: "DELETE", headers: { authorization: `Bearer ${key}`, ...session } });
  assert.ok(ended.ok, `DELETE answered ${ended.status}`);
}

async function inTurns(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function memoryMb(pid: number): number {
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024);
}
