/**
 * The official MCP conformance suite against a daemon, in both eras.
 *
 * `not-applicable.json` says of each scenario of a revision whether it applies. What applies passes; what does not says why,
 * and fails today: once it passes, it applies. A scenario or a failing check that the file does not know fails the test.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeHome, startDaemon } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";
import { startRelay } from "./relay.testing.ts";

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
const SUITE = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));
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

interface Check {
  readonly id: string;
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "INFO" | "SKIPPED";
}

/** Runs all scenarios of a revision. @returns The failing checks of each, by id. */
async function runSuite(options: {
  readonly revision: string;
  readonly url: string;
  readonly folder: string;
}): Promise<ReadonlyMap<string, readonly string[]>> {
  const words = [
    "server",
    "--url",
    options.url,
    "--suite",
    "all",
    "--spec-version",
    options.revision,
    "-o",
    options.folder,
  ];
  const ran = await run(process.execPath, [SUITE, ...words]);
  const failing = new Map<string, readonly string[]>();
  for (const name of readdirSync(options.folder)) {
    const scenario = /^server-(.+)-\d{4}-\d{2}-\d{2}T[\dZ-]+$/.exec(name)?.[1];
    assert.ok(scenario !== undefined, `${name} is the result of a scenario`);
    const checks = JSON.parse(readFileSync(join(options.folder, name, "checks.json"), "utf8")) as Check[];
    failing.set(
      scenario,
      checks
        .filter(({ status }) => status === "FAILURE")
        .map(({ id }) => id)
        .sort(),
    );
  }
  assert.notEqual(failing.size, 0, `the suite ran nothing: ${ran.stderr}`);
  return failing;
}
