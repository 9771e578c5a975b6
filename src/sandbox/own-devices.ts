import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Mount } from "./resolve-mounts.ts";

/** Names and numbers of the character devices that every sandbox has. */
const DEVICES = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
] as const;

/**
 * Device files for sandboxes of a daemon that runs as root.
 *
 * The kernel takes such a child for the owner of the host's own device files, which stand in every sandbox: it could take
 * the rights to `/dev/null` from everybody else. Files of our own are all that it can spoil.
 *
 * @param home - Doorward's home; they stand in its `devices` folder.
 * @returns Empty where they cannot be made or opened: without `mknod`, on a file system without devices, for other users.
 */
export function ownDevices(home: string): readonly Mount[] {
  if (process.getuid?.() !== 0 || !existsSync(home)) return [];
  const folder = join(home, "devices");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return DEVICES.map(([name, major, minor]) => {
      const source = join(folder, name);
      if (!existsSync(source))
        execFileSync("mknod", ["-m", "666", source, "c", String(major), String(minor)], { stdio: "ignore" });
      if (name === "null") closeSync(openSync(source, "r"));
      return { source, at: `/dev/${name}`, access: "device" };
    });
  } catch {
    return [];
  }
}
