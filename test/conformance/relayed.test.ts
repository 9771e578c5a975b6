/**
 * The official MCP conformance suite through `/mcp/SERVICE`: a fixture of the suite runs behind the daemon, in either era, and
 * the suite speaks either revision to it.
 *
 * `relayed.json` lists what fails and why. A failure that it does not list fails the test, and so does one that is fixed.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon } from "../harness/daemon.testing.ts";
import { startRelay } from "./relay.testing.ts";
import { runSuite } from "./run-suite.testing.ts";

/** Upstream's era → revision → scenario → failing check → reason. */
type Known = Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>>
>;

const KNOWN = JSON.parse(readFileSync(join(import.meta.dirname, "relayed.json"), "utf8")) as Known;
const FIXTURE = join(import.meta.dirname, "fixture-server.ts");

/** The sandbox has tests of its own; this one also runs where there can be none. */
const service = (era: string) => `  fixture-${era}:
    mcp: { command: ${JSON.stringify(process.execPath)}, args: [${JSON.stringify(FIXTURE)}, ${era}] }
    sandbox: { mode: "off" }
    operations: { all: { effect: write, tools: ["*"], prompts: ["*"], resources: ["*"] } }
`;
const CONFIG = `version: 1
services:
${Object.keys(KNOWN).map(service).join("")}roles: { all: { allow: ["*"] } }
agents: { suite: { roles: [all] } }
`;

describe("MCP conformance through /mcp/SERVICE", () => {
  const stack = new AsyncDisposableStack();
  let url = "";
  let folder = "";
  before(async () => {
    const home = stack.use(await makeHome({ config: CONFIG, agents: ["suite"] }));
    const daemon = stack.use(await startDaemon(home));
    const relay = stack.use(await startRelay({ to: daemon.url, key: home.key("suite") }));
    url = relay.url;
    folder = home.folder;
  });
  after(() => stack.disposeAsync());

  for (const [era, revisions] of Object.entries(KNOWN)) {
    for (const [revision, known] of Object.entries(revisions)) {
      test(`a client of ${revision} and a server of the ${era} era`, async () => {
        const results = join(folder, `${era}-${revision}`);
        const failing = await runSuite({ revision, url: `${url}/mcp/fixture-${era}`, folder: results });
        const failed = [...failing].filter(([, checks]) => checks.length > 0);
        const expected = Object.entries(known).map(([scenario, checks]) => [scenario, Object.keys(checks).sort()]);
        assert.deepEqual(failed.sort(), expected.sort());
        assert.ok(failing.size > 25, `only ${failing.size} scenarios ran`);
      });
    }
  }
});
