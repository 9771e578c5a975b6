import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { PackageSpec } from "./package-install.ts";

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      link: z.boolean().optional(),
      inBundle: z.boolean().optional(),
    }),
  ),
});

/** What the lock of an installed package says. */
export interface LockFacts {
  readonly integrity: string;
  /** SHA-256 (hex) of the whole file. */
  readonly digest: string;
}

/** Why an installed folder does not hold the package, whole and with hashes; `undefined` when it does. */
export async function packageFault(folder: string, spec: PackageSpec): Promise<string | undefined> {
  const lock = await readLock(folder);
  if (lock === undefined) return "npm left no lock file";
  const own = lock.packages[`node_modules/${spec.name}`];
  if (own?.version !== spec.version) return "npm installed another version";
  for (const [path, entry] of Object.entries(lock.packages)) {
    // What is packed into another package is covered by that one's hash.
    if (path === "" || entry.inBundle === true) continue;
    if (entry.link === true || entry.integrity === undefined) {
      return `\`${path.replace(/^.*node_modules\//, "").slice(0, 100)}\` has no hash of a registry`;
    }
  }
  return undefined;
}

/** Reads the hashes of an installed package; `undefined` when they are not there. */
export async function readLockFacts(folder: string, spec: PackageSpec): Promise<LockFacts | undefined> {
  const bytes = await readFile(join(folder, "package-lock.json")).catch(() => undefined);
  const integrity = (await readLock(folder))?.packages[`node_modules/${spec.name}`]?.integrity;
  if (bytes === undefined || integrity === undefined) return undefined;
  return { integrity, digest: createHash("sha256").update(bytes).digest("hex") };
}

async function readLock(folder: string): Promise<z.infer<typeof lockSchema> | undefined> {
  try {
    const parsed = lockSchema.safeParse(JSON.parse(await readFile(join(folder, "package-lock.json"), "utf8")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
