import { readFile, realpath } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { z } from "zod";
import type { PackageSpec } from "./package-install.ts";

const manifestSchema = z.object({ bin: z.union([z.string(), z.record(z.string(), z.string())]).optional() });

/**
 * Finds the program that `npx` would run of an installed package: its only one, or the one that is called like it.
 *
 * @returns The absolute path without symbolic links, or why there is none. Never leads out of the package.
 */
export async function findPackageProgram(
  folder: string,
  { name }: PackageSpec,
): Promise<{ readonly path: string } | { readonly fault: string }> {
  const own = await realpath(join(folder, "node_modules", name)).catch(() => undefined);
  if (own === undefined) return { fault: "its folder is gone" };
  const text = await readFile(join(own, "package.json"), "utf8").catch(() => "");
  const bin = readBin(text);
  const short = basename(name);
  const programs = typeof bin === "string" ? { [short]: bin } : (bin ?? {});
  const names = Object.keys(programs);
  const chosen = names.length === 1 ? names[0] : names.find((one) => one === short);
  const relative = chosen === undefined ? undefined : programs[chosen];
  if (relative === undefined)
    return {
      fault:
        names.length === 0
          ? "it has no program"
          : `none of its programs (${names.join(", ").slice(0, 200)}) has its name`,
    };
  const path = await realpath(join(own, relative)).catch(() => undefined);
  if (path === undefined) return { fault: "its program is not in it" };
  return path.startsWith(own + sep) ? { path } : { fault: "its program lies outside of it" };
}

function readBin(text: string): z.infer<typeof manifestSchema>["bin"] {
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.bin : undefined;
  } catch {
    return undefined;
  }
}
