/**
 * The official MCP conformance suite at the other end: its servers are upstreams of a daemon, and judge Doorward as their client.
 *
 * `upstream.json` lists what is run and which checks of it fail, with the reason. A failure that it does not list fails the
 * test, and so does one that is fixed; a scenario that a revision requires and the list does not know fails it too.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { makeHome, startDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";
import { type Check, failingOf, readChecks, SUITE } from "./run-suite.testing.ts";

interface Listed {
  /** Scenario → failing check → reason. */
  readonly run: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** How names of scenarios begin → reason. */
  readonly notRun: Readonly<Record<string, string>>;
}

const LISTED = JSON.parse(readFileSync(join(import.meta.dirname, "upstream.json"), "utf8")) as Record<string, Listed>;
const CLIENT = join(import.meta.dirname, "upstream-client.ts");
/** The caller is known before there is a service. */
const CONFIG = "version: 1\nagents: { suite: { roles: [] } }\n";

describe("MCP conformance of the upstream leg", () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG, agents: ["suite"] }));
    const daemon = stack.use(await startDaemon(home));
    env = {
      ...home.env,
      DOORWARD_TEST_URL: daemon.url,
      DOORWARD_TEST_PID: String(daemon.pid),
      DOORWARD_TEST_KEY: home.key("suite"),
      DOORWARD_TEST_CONFIG: join(home.home, "doorward.yaml"),
    };
  });
  after(() => stack.disposeAsync());

  /** Runs one scenario. @returns Its checks. */
  async function judge(scenario: string, revision: string): Promise<readonly Check[]> {
    const folder = join(home.folder, `${revision}-${scenario}`);
    const command = `${process.execPath} ${CLIENT}`;
    const words = ["client", "--command", command, "--scenario", scenario, "--spec-version", revision, "-o", folder];
    const { stderr } = await run(process.execPath, [SUITE, ...words], { env });
    const checks = [...readChecks(folder).values()].flat();
    assert.notEqual(checks.length, 0, `the suite judged nothing: ${stderr}`);
    return checks;
  }

  for (const [revision, listed] of Object.entries(LISTED)) {
    for (const [scenario, known] of Object.entries(listed.run)) {
      test(`${scenario} of ${revision}`, async () => {
        assert.deepEqual(failingOf(await judge(scenario, revision)), Object.keys(known).sort());
      });
    }
    test(`each scenario that ${revision} requires of a client is listed`, () => {
      const file = join(SUITE, `../../requirements/${revision}.yaml`);
      const { client } = parse(readFileSync(file, "utf8")) as { readonly client: readonly string[] };
      const unlisted = client.filter(
        (name) => !(name in listed.run) && !Object.keys(listed.notRun).some((start) => name.startsWith(start)),
      );
      assert.deepEqual(unlisted, []);
    });
  }
});
