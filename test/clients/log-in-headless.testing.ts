import { spawn } from "node:child_process";
import type { TestHome } from "../harness/daemon.testing.ts";
import { signIn } from "./browser.testing.ts";

/** A URL of the authorization server, up to what a terminal writes around it. */
const AUTHORIZE = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?[^\s"\x07\x1b]+(?=[\s"\x07\x1b])/;

/**
 * Runs a program that logs in, and is the person: signs in, opens the URL that the program says, and allows it.
 *
 * @returns Its status, and all that it said.
 */
export async function logInHeadless(
  home: TestHome,
  command: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly status: number | null; readonly said: string }> {
  const browser = await signIn(home);
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd: home.folder, env, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let opened = false;
  const hear = (chunk: Buffer) => {
    said += chunk.toString("utf8");
    const [url] = AUTHORIZE.exec(said) ?? [];
    if (url === undefined || opened) return;
    opened = true;
    browser.consent(url).catch((error: unknown) => {
      said += String(error);
      child.kill("SIGKILL");
    });
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const status = await new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      said += String(error);
      resolve(null);
    });
    child.once("close", resolve);
  });
  return { status, said };
}
