import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** Files that are read at once. */
const PARALLEL_READS = 8;

/** What lies in a folder: one line per file and link, sorted; and a cheaper look at the same. */
export interface TreeLook {
  /** SHA-256 (hex) over sizes, inodes and times of change: equal looks mean untouched files, as only the system sets `ctime`. */
  readonly stamp: string;
  readonly entries: readonly TreeEntry[];
}

interface TreeEntry {
  /** Relative, with `/`. */
  readonly path: string;
  readonly kind: "file" | "link" | "other";
  readonly executable: boolean;
}

/** Looks at all files below a folder without reading them; links are not followed. @throws what the file system says. */
export async function lookAtTree(root: string): Promise<TreeLook> {
  const found: (TreeEntry & { readonly stamp: string })[] = [];
  const walk = async (folder: string): Promise<void> => {
    const inner = await readdir(join(root, folder), { withFileTypes: true });
    await Promise.all(
      inner.map(async (entry) => {
        const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory()) return walk(path);
        const { size, ino, mode, mtimeNs, ctimeNs } = await lstat(join(root, path), { bigint: true });
        const kind = entry.isFile() ? "file" : entry.isSymbolicLink() ? "link" : "other";
        const stamp = [path, size, ino, mode, mtimeNs, ctimeNs].join("\0");
        found.push({ path, kind, executable: (mode & 0o111n) !== 0n, stamp });
        return undefined;
      }),
    );
  };
  await walk("");
  found.sort((one, other) => (one.path < other.path ? -1 : 1));
  const stamps = createHash("sha256");
  for (const { stamp } of found) stamps.update(stamp).update("\n");
  return { stamp: stamps.digest("hex"), entries: found };
}

/** SHA-256 (hex) over names, kinds and contents of all files below a folder, as {@link lookAtTree} found them. */
export async function digestTree(root: string, entries: readonly TreeEntry[]): Promise<string> {
  const lines = new Array<string>(entries.length);
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < entries.length; at = next++) {
      const entry = entries[at] as TreeEntry;
      lines[at] = `${JSON.stringify(entry.path)} ${entry.kind} ${entry.executable} ${await contentDigest(root, entry)}`;
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, worker));
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

async function contentDigest(root: string, { path, kind }: TreeEntry): Promise<string> {
  const hash = createHash("sha256");
  if (kind === "file") hash.update(await readFile(join(root, path)));
  if (kind === "link") hash.update(await readlink(join(root, path)));
  return hash.digest("hex");
}
