/** What `doorward status` says of servers: those that run, and those that failed. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import { openServerStage, textOf } from "./stage.testing.ts";

describe("the status of servers", { skip: cannotRun }, () => {
  test("names what runs with its sandbox, and why another does not", async () => {
    await using stage = await openServerStage({
      programs: [join(import.meta.dirname, "probing-server.ts")],
      services: (folder) => `  probing:
    mcp: { command: node, args: [${JSON.stringify(join(folder, "probing-server.ts"))}] }
    operations: { all: { effect: read, tools: ["*"] } }
  broken:
    mcp: { command: node, args: [${JSON.stringify(join(folder, "missing.js"))}] }
    operations: { all: { effect: read, tools: ["*"] } }
`,
    });
    await textOf(await stage.connect("/mcp"), "probing__list", { path: "/run/doorward" });
    await stage.home.cli(["service", "test", "broken"]);
    const { servers } = (await stage.home.json(["status"])) as {
      readonly servers: readonly Readonly<Record<string, unknown>>[];
    };
    const of = (service: string) => servers.find((server) => server["service"] === service);
    assert.deepEqual([of("probing")?.["state"], of("probing")?.["mode"]], ["ready", "strict"]);
    assert.equal(of("broken")?.["state"], "failed");
    assert.match(String(of("broken")?.["failure"]), /exited with status 1: Error: Cannot find module/);
    const { stdout } = await stage.home.cli(["status"]);
    assert.match(stdout, /^server probing: ready \(sandbox strict; 0 calls under way/m);
    assert.match(stdout, /^server broken: FAILED: /m);
  });
});
