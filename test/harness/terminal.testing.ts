import { spawn } from "node:child_process";
import { DOORWARD, type TestHome } from "./daemon.testing.ts";
import { run } from "./run.testing.ts";

/** Why there is no terminal to type on; `false` where there is one. */
export const NO_TERMINAL =
  (await run("script", ["-qec", "true", "/dev/null"], { detached: true }).catch(() => undefined))?.status === 0
    ? false
    : "there is no `script` to make a terminal with";

/** What a question of the command line ends with. */
const QUESTION = /(?:passphrase|none\)|Again): /g;
const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** Runs a command line on a terminal of its own, and types a line whenever it asks. `stdout` is what a person sees. */
export function typeInto(home: TestHome, words: readonly string[], lines: readonly string[]) {
  const command = [process.execPath, DOORWARD, ...words, "--home", home.home].map(quote).join(" ");
  return new Promise<{ readonly status: number | null; readonly stdout: string }>((resolve, reject) => {
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env: home.env,
      stdio: ["pipe", "pipe", "ignore"],
    });
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
