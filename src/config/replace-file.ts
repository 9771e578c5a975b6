import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Mode of a file that was not there before. */
const NEW_FILE_MODE = 0o600;

/** The file that a path leads to: links are followed, and the last part need not exist yet. */
export async function resolveTarget(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
}

/**
 * Replaces a file's content so that a crash or a fault at any instant leaves the old text or the new one, whole.
 *
 * Written beside it, synced, renamed over it, and the folder synced. Mode and owner stay. Only one may do this to a file at
 * a time (`file-lock.ts`): the name of the file beside it is fixed, so that what a crash left is cleared by the next.
 *
 * @param target - As {@link resolveTarget} gives it.
 * @throws What the system says. The old text stands then, unless the very last step failed: the new one stands, whole.
 */
export async function replaceFile(target: string, text: string): Promise<void> {
  const folder = dirname(target);
  const beside = besideOf(target);
  await rm(beside, { force: true });
  try {
    const file = await open(beside, "wx", NEW_FILE_MODE);
    try {
      await copyAttributes(target, file);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, target);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Where the new text is written first. */
export function besideOf(target: string): string {
  return join(dirname(target), `.${basename(target)}.new`);
}

async function copyAttributes(target: string, file: FileHandle): Promise<void> {
  const old = await stat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (old === undefined) return;
  const made = await file.stat();
  if (made.uid !== old.uid || made.gid !== old.gid) await file.chown(old.uid, old.gid);
  await file.chmod(old.mode & 0o7777);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
