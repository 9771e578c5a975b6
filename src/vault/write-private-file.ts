import { randomBytes } from "node:crypto";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file that only this user may read (0600), whole or not at all, and durably.
 *
 * @param options - `ifThere: "keep"` leaves a file that exists as it is.
 * @returns Whether it was written.
 */
export async function writePrivateFile(
  path: string,
  content: string | Uint8Array,
  { ifThere }: { readonly ifThere: "replace" | "keep" },
): Promise<boolean> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeNew(draft, content);
    if (ifThere === "replace") await rename(draft, path);
    else if (!(await linkNew(draft, path))) return false;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(folder);
  return true;
}

async function writeNew(path: string, content: string | Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(content);
  await file.sync();
}

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}
