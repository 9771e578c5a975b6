import { chmod, lstat, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Problem } from "../base/problem.ts";
import { writePrivateFile } from "../vault/write-private-file.ts";

const NAME = /^[a-z][a-z0-9-]*$/;

/**
 * Where `connect` finds an agent's key: `<home>/agents/NAME.key`.
 *
 * @throws {Problem} `invalid_request` for what is no name, so that a name cannot lead out of the folder.
 */
export function agentKeyPath(home: string, agent: string): string {
  if (NAME.test(agent)) return join(home, "agents", `${agent}.key`);
  throw new Problem("invalid_request", {
    detail: "that cannot be the name of an agent",
    remedy: "Use a name of `agents:` in doorward.yaml.",
  });
}

/**
 * Writes an agent's key where `connect` finds it: mode 0600 in a folder of mode 0700, and whole or not at all.
 *
 * @returns The file's path.
 * @throws {Problem} `invalid_request` when `agents` is a link or a file. Errors of the file system propagate, and the old
 *   key then stays as it was.
 */
export async function writeAgentKey(home: string, agent: string, key: string): Promise<string> {
  const path = agentKeyPath(home, agent);
  await makePrivateFolder(dirname(path));
  await writePrivateFile(path, `${key}\n`, { ifThere: "replace" });
  return path;
}

async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory()) {
    throw new Problem("invalid_request", {
      detail: `\`${folder}\` is not a folder`,
      remedy: "Move it away; Doorward makes a folder of mode 0700 in its place.",
    });
  }
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700);
}
