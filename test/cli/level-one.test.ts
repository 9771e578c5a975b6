/** Assurance level 1: owner actions need the passphrase, typed on a terminal. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { DOORWARD, makeHome, startDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";

const PASSPHRASE = "correct horse battery staple";
const CONFIG = `version: 1
roles: { none: {} }
agents: { bot: { roles: [none] } }
`;
const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
const SCRIPT =
  (await run("script", ["-qec", "true", "/dev/null"], { detached: true }).catch(() => undefined))?.status === 0;

/** What a question of the command line ends with. */
const QUESTION = /(?:passphrase|none\)|Again): /g;

/** Runs a command on a terminal of its own, and types a line whenever it asks. `stdout` is what a person sees. */
function type(command: string, { env, lines }: { readonly env: NodeJS.ProcessEnv; readonly lines: readonly string[] }) {
  return new Promise<{ readonly status: number | null; readonly stdout: string }>((resolve, reject) => {
    const child = spawn("script", ["-qec", command, "/dev/null"], { env, stdio: ["pipe", "pipe", "ignore"] });
    let stdout = "";
    let answered = 0;
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      for (const asked = [...stdout.matchAll(QUESTION)].length; answered < asked && answered < lines.length; ) {
        child.stdin.write(`${lines[answered++]}\r`);
      }
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout }));
  });
}

describe("assurance level 1", { skip: SCRIPT ? false : "there is no `script` to make a terminal with" }, () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG }));
    const raised = await typed(["init"], [PASSPHRASE, PASSPHRASE]);
    assert.equal(raised.status, 0, raised.stdout);
  });
  after(() => stack.disposeAsync());

  const typed = (words: readonly string[], lines: readonly string[]) => {
    const command = [process.execPath, DOORWARD, ...words, "--home", home.home].map(quote).join(" ");
    return type(command, { env: home.env, lines });
  };
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
