import { constants, type Stats } from "node:fs";
import { open } from "node:fs/promises";

/**
 * Reads a regular file whole, or refuses it.
 *
 * A pipe or device named by mistake would block for ever or never end; links are followed, as Kubernetes mounts secrets
 * through them.
 *
 * @param check - Looks at owner and mode of what was opened; throws to refuse.
 * @throws when it is not a regular file, larger than `maxBytes`, or cannot be read.
 */
export async function readBoundedFile(
  path: string,
  { maxBytes, check }: { readonly maxBytes: number; readonly check?: (stat: Stats) => void },
): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  const stat = await file.stat();
  if (!stat.isFile()) throw new Error("it is not a regular file");
  check?.(stat);
  const room = Buffer.alloc(maxBytes + 1);
  let bytes = 0;
  while (bytes < room.length) {
    const { bytesRead } = await file.read(room, bytes, room.length - bytes, bytes);
    if (bytesRead === 0) break;
    bytes += bytesRead;
  }
  if (bytes > maxBytes) {
    room.fill(0);
    throw new Error(`it is larger than ${maxBytes} bytes`);
  }
  return room.subarray(0, bytes);
}
