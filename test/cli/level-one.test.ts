/** Assurance level 1: owner actions need the passphrase, typed on a terminal. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";
import { NO_TERMINAL, typeInto } from "../harness/terminal.testing.ts";

const PASSPHRASE = "correct horse battery staple";
const CONFIG = `version: 1
roles: { none: {} }
agents: { bot: { roles: [none] } }
`;

describe("assurance level 1", { skip: NO_TERMINAL }, () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG }));
    const raised = await typed(["init"], [PASSPHRASE, PASSPHRASE]);
    assert.equal(raised.status, 0, raised.stdout);
  });
  after(() => stack.disposeAsync());

  const typed = (words: readonly string[], lines: readonly string[]) => typeInto(home, words, lines);
  const untyped = (words: readonly string[]) => home.cli(words, { detached: true });

  for (const running of [false, true]) {
    test(`${running ? "with" : "without"} a daemon`, async () => {
      await using daemon = running ? await startDaemon(home) : undefined;
      const status = JSON.parse((await untyped(["status", "--json"])).stdout) as {
        assurance: number;
        running: boolean;
      };
      assert.deepEqual([status.assurance, status.running], [1, daemon !== undefined]);
      for (const words of [
        ["agent", "key", "bot"],
        ["secret", "set", "a", "--from-env", "HOME"],
        ["policy", "accept"],
        ["resume", "all", "--why", "x"],
        ["person", "link", "--role", "auditor"],
      ]) {
        const refused = await untyped(words);
        assert.deepEqual([refused.status, refused.stdout], [3, ""], `${words.join(" ")}: ${refused.stderr}`);
        assert.match(refused.stderr, /passphrase/);
      }
      assert.equal((await untyped(["kill", "agent:bot", "--why", "no proof is needed"])).status, 0);
      const wrong = await typed(["resume", "agent:bot", "--why", "x"], ["not the passphrase"]);
      assert.notEqual(wrong.status, 0);
      const right = await typed(["resume", "agent:bot", "--why", "x"], [PASSPHRASE]);
      assert.equal(right.status, 0, right.stdout);
      assert.ok(!right.stdout.includes(PASSPHRASE), "it is not echoed");
      const issued = await typed(["agent", "key", "bot", "--print-only"], [PASSPHRASE]);
      assert.match(issued.stdout, /dw_/);
    });
  }

  test("a file that was edited waits for the owner's word", async () => {
    await using daemon = await startDaemon(home);
    home.writeConfig(`${CONFIG}  # a change\n`.replace("{ none: {} }", "{ none: {}, more: {} }"));
    daemon.signal("SIGHUP");
    await daemon.waitFor("refused, the last rules stay in force");
    assert.match((await untyped(["status"])).stdout, /NOT in force/);
    assert.equal((await typed(["policy", "accept"], [PASSPHRASE])).status, 0);
    assert.doesNotMatch((await untyped(["status"])).stdout, /NOT in force/);
  });

  test("the passphrase is in no file of the home, and in no event", async () => {
    const grep = await run("grep", ["-r", "-l", "-F", PASSPHRASE, home.folder]);
    assert.equal(grep.stdout, "");
  });
});
