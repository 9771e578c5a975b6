import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainEnvironment, type Ran, type RunOptions, run } from "./run.testing.ts";

/** The launcher, as a user starts it. */
export const DOORWARD = join(import.meta.dirname, "../../bin/doorward.js");

/** A home made by the real command line, in a folder that is gone afterwards. */
export interface TestHome extends Disposable {
  /** The folder of everything: home, key-encryption key, whatever a test puts beside them. */
  readonly folder: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs one command line on this home. */
  cli(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** The same, which must end well and print JSON. */
  json<T = Record<string, unknown>>(args: readonly string[], options?: RunOptions): Promise<T>;
  writeConfig(text: string): void;
  readConfig(): string;
  /** The key that `agent key` or `agent add` wrote. */
  key(agent: string): string;
}

export interface TestHomeOptions {
  /** doorward.yaml. */
  readonly config?: string;
  /** By name; set with `secret set --stdin`. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Agents of the file that get a key. */
  readonly agents?: readonly string[];
}

/** Makes a home with `init --yes`, secrets and keys. */
export async function makeHome(options: TestHomeOptions = {}): Promise<TestHome> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-test-"));
  const home = join(folder, "home");
  const env = plainEnvironment({ HOME: folder, XDG_CONFIG_HOME: join(folder, "config"), TMPDIR: tmpdir() });
  const cli = (args: readonly string[], more: RunOptions = {}) =>
    run(process.execPath, [DOORWARD, ...args, "--home", home], { ...more, env: { ...env, ...more.env } });
  const json = async <T>(args: readonly string[], more?: RunOptions): Promise<T> => {
    const ran = await cli([...args, "--json"], more);
    assert.equal(ran.status, 0, `\`${args.join(" ")}\` ended with ${ran.status}: ${ran.stderr}`);
    return JSON.parse(ran.stdout) as T;
  };
  const made: TestHome = {
    folder,
    home,
    env,
    cli,
    json,
    writeConfig: (text) => writeFileSync(join(home, "doorward.yaml"), text),
    readConfig: () => readFileSync(join(home, "doorward.yaml"), "utf8"),
    key: (agent) => readFileSync(join(home, "agents", `${agent}.key`), "utf8").trim(),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
  try {
    await json(["init", "--yes", "--kek", `file:${join(folder, "kek")}`]);
    if (options.config !== undefined) made.writeConfig(options.config);
    for (const [name, input] of Object.entries(options.secrets ?? {}))
      await json(["secret", "set", name, "--stdin"], { input });
    for (const agent of options.agents ?? []) await json(["agent", "key", agent]);
    return made;
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

/** A daemon, as its own process. */
export interface TestDaemon extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly pid: number;
  /** What it said on stderr so far. */
  readonly said: () => string;
  /** Resolves when its stderr holds the text. */
  waitFor(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<number | null>;
  /** SIGTERM, and its status. */
  stop(): Promise<number | null>;
}

/** Starts `serve` on a free port and waits until it is ready. */
export async function startDaemon(home: TestHome, args: readonly string[] = []): Promise<TestDaemon> {
  const words = [DOORWARD, "serve", "--home", home.home, "--listen", "127.0.0.1:0", ...args];
  const child = spawn(process.execPath, words, { env: home.env, stdio: ["ignore", "ignore", "pipe"] });
  const talk = listenTo(child);
  const ended = new Promise<number | null>((resolve) => child.on("close", (status) => resolve(status)));
  await Promise.race([
    talk.waitFor("doorward ready on"),
    ended.then((status) => assert.fail(`the daemon ended with ${status}: ${talk.said()}`)),
  ]);
  const stop = () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    return ended;
  };
  return {
    url: /doorward ready on (\S+)/.exec(talk.said())![1]!,
    pid: child.pid!,
    ...talk,
    signal: (name) => void child.kill(name),
    ended,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** How long a daemon is listened to for what it must say: far beyond what a busy machine needs. */
const WAIT_MS = 60_000;

function listenTo(child: ChildProcess) {
  let text = "";
  const waiting = new Set<() => void>();
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    for (const look of waiting) look();
  });
  return {
    said: () => text,
    waitFor: (wanted: string) =>
      new Promise<void>((resolve, reject) => {
        const late = () => reject(new Error(`the daemon did not say \`${wanted}\`, but: ${text}`));
        const timer = setTimeout(late, WAIT_MS);
        const look = () => {
          if (!text.includes(wanted)) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Asks again until the answer is the one waited for; the test's own time limit is the only one. */
export async function until<T>(ask: () => Promise<T> | T, wanted: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
