/**
 * The official MCP conformance suite against a daemon, in both eras.
 *
 * `not-applicable.json` says of each scenario of a revision whether it applies. What applies passes; what does not says why,
 * and fails today: once it passes, it applies. A scenario or a failing check that the file does not know fails the test.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon } from "../harness/daemon.testing.ts";
import { startRelay } from "./relay.testing.ts";
import { runSuite } from "./run-suite.testing.ts";

interface Expected {
  /** Pass wholly. */
  readonly applicable: readonly string[];
  /** Apply but for some checks, which need a fixture: check id → reason. */
  readonly partly: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Scenario → reason. */
  readonly notApplicable: Readonly<Record<string, string>>;
}

const EXPECTED = JSON.parse(readFileSync(join(import.meta.dirname, "not-applicable.json"), "utf8")) as Record<
  string,
  Expected
>;
const CONFIG = `version: 1
services:
  registrar:
    url: http://127.0.0.1:9
    private: true
    operations: { read: { effect: read, allow: ["GET /{path...}"] } }
roles: { reader: { allow: ["registrar:*"] } }
agents: { suite: { roles: [reader] } }
`;

for (const [revision, expected] of Object.entries(EXPECTED)) {
  describe(`MCP conformance, ${revision}`, () => {
    const stack = new AsyncDisposableStack();
    let failing: ReadonlyMap<string, readonly string[]>;
    before(async () => {
      const home = stack.use(await makeHome({ config: CONFIG, agents: ["suite"] }));
      const daemon = stack.use(await startDaemon(home));
      const relay = stack.use(await startRelay({ to: daemon.url, key: home.key("suite") }));
      failing = await runSuite({ revision, url: `${relay.url}/mcp`, folder: join(home.folder, "results") });
    });
    after(() => stack.disposeAsync());

    for (const scenario of expected.applicable) {
      test(`${scenario} passes`, () => assert.deepEqual(failing.get(scenario), []));
    }
    for (const [scenario, checks] of Object.entries(expected.partly)) {
      test(`${scenario} passes but for what needs a fixture`, () => {
        assert.deepEqual(failing.get(scenario), Object.keys(checks).sort());
      });
    }
    for (const [scenario, reason] of Object.entries(expected.notApplicable)) {
      test(`${scenario} does not apply: ${reason}`, () => {
        assert.ok(failing.has(scenario), "the suite has the scenario");
        assert.notDeepEqual(failing.get(scenario), [], "it passes: list it as applicable");
      });
    }
    test("each scenario of the suite is judged, once", () => {
      const judged = [...expected.applicable, ...Object.keys(expected.partly), ...Object.keys(expected.notApplicable)];
      assert.deepEqual([...failing.keys()].sort(), judged.sort());
    });
  });
}
