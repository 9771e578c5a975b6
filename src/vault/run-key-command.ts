import { spawn } from "node:child_process";
import { MAX_KEY_MATERIAL_BYTES } from "./key-material.ts";

/** A key command talks to a secret manager or a TPM; longer than this, it hangs. */
const KEY_COMMAND_TIMEOUT_MS = 10_000;

/** Where what the command writes to stderr goes: to the owner's terminal. */
const STDIO = ["ignore", "pipe", "inherit"] as const;

/**
 * Runs the owner's command of `--kek exec:CMD` and returns what it writes to stdout.
 *
 * The text is given to the system's shell: it is the owner's, from the command line or `vault.json`. When time is up, or the
 * output too long, its whole process group is ended.
 *
 * @throws when it cannot run, fails, is late or writes too much. The message never holds its output.
 */
export async function runKeyCommand(command: string, { timeoutMs = KEY_COMMAND_TIMEOUT_MS } = {}): Promise<Buffer> {
  const child = spawn(command, { shell: true, stdio: [...STDIO], detached: process.platform !== "win32" });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const end = (why: string) => {
    killGroup(child.pid);
    reject(new Error(why));
  };
  const timer = setTimeout(() => end(`it did not end within ${timeoutMs} ms`), timeoutMs);
  child.stdout?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_KEY_MATERIAL_BYTES) end("it wrote more than 64 KiB");
    else chunks.push(chunk);
  });
  child.on("error", reject);
  child.on("close", (code, signal) => {
    if (code === 0) resolve(Buffer.concat(chunks));
    else reject(new Error(code === null ? `it was ended by ${signal}` : `it ended with status ${code}`));
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    child.stdout?.destroy();
    for (const chunk of chunks) chunk.fill(0);
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch {
    // Already gone.
  }
}
