import { constants, fdatasync, type Mode, writeSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { segmentName } from "./read-lines.ts";

/** A segment that has reached this size is followed by a new one: 64 MiB. */
export const SEGMENT_BYTES = 64 * 1024 * 1024;

/** What is kept back against a full disk, so that calls under way can still be completed on record: 1 MiB. */
const RESERVE_BYTES = 1024 * 1024;

const FILE_MODE: Mode = 0o600;
const RESERVE_NAME = "reserve";

/** The segment being written. `offset` is where the next batch goes: everything before it is durable. */
export interface SegmentFile {
  readonly index: number;
  readonly offset: number;
  /**
   * Writes at `offset` and makes it durable; only then does `offset` move.
   *
   * @param written - Called once it is on its way to the disk: work that can be done while the disk is busy.
   * @throws The system's error. The file may then hold any part of the bytes: see {@link SegmentFile.abandon}.
   */
  append(bytes: Buffer, written: () => void): Promise<void>;
  /** Cuts what a failed append may have left, as far as this descriptor still can, and closes it. Never throws. */
  abandon(): Promise<void>;
  close(): Promise<void>;
}

/** Creates the next segment; its name is durable when this returns. Takes over one that exists and is empty. */
export async function createSegment(folder: string, index: number): Promise<SegmentFile> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const handle = await open(join(folder, segmentName(index)), flags, FILE_MODE);
  try {
    if ((await handle.stat()).size > 0) throw new Error(`${segmentName(index)} exists already`);
    await syncFolder(folder);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return segmentFile(handle, index, 0);
}

/**
 * Opens a segment to go on at `offset`, cutting what stands behind it.
 *
 * @param last - The line that must end at `offset`: what was acknowledged must still be there.
 * @throws An error that says what is missing, or the system's.
 */
export async function reopenSegment(
  folder: string,
  at: { readonly index: number; readonly offset: number },
  last: { readonly hash: string },
): Promise<SegmentFile> {
  const handle = await open(join(folder, segmentName(at.index)), constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const { size } = await handle.stat();
    if (size < at.offset) throw new Error(`${segmentName(at.index)} is shorter than what was written to it`);
    await checkTail(handle, at, last);
    if (size > at.offset) await handle.truncate(at.offset);
    await handle.sync();
  } catch (error) {
    await handle.close();
    throw error;
  }
  return segmentFile(handle, at.index, at.offset);
}

/** Makes or refills the reserve. @throws The system's error when there is no room for it; no part of it stays. */
export async function fillReserve(folder: string): Promise<void> {
  const path = join(folder, RESERVE_NAME);
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, FILE_MODE);
  try {
    if ((await handle.stat()).size === RESERVE_BYTES) return;
    // Not zeros: a file system may store those as nothing.
    await handle.writeFile(Buffer.alloc(RESERVE_BYTES, "doorward reserve "));
    await handle.sync();
  } catch (error) {
    await releaseReserve(folder);
    throw error;
  } finally {
    await handle.close();
  }
}

/** Gives the reserve's space back. Never throws. */
export async function releaseReserve(folder: string): Promise<void> {
  await unlink(join(folder, RESERVE_NAME)).catch(() => undefined);
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a small file and makes it durable. */
export async function writeSmallFile(folder: string, name: string, content: string): Promise<void> {
  const handle = await open(join(folder, name), "w", FILE_MODE);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncFolder(folder);
}

function segmentFile(handle: FileHandle, index: number, start: number): SegmentFile {
  let offset = start;
  return {
    index,
    get offset() {
      return offset;
    },
    append: (bytes, written) =>
      new Promise((resolve, reject) => {
        writeAll(handle.fd, bytes, offset);
        let fault: unknown;
        fdatasync(handle.fd, (failed) => {
          if (failed !== null || fault !== undefined) return reject(failed ?? fault);
          offset += bytes.length;
          resolve();
        });
        try {
          written();
        } catch (error) {
          fault = error;
        }
      }),
    async abandon() {
      await handle.truncate(offset).catch(() => undefined);
      await handle.close().catch(() => undefined);
    },
    close: () => handle.close(),
  };
}

/**
 * Writes all of it. A short write is followed by another, which then says what is wrong.
 *
 * In the frame of the caller, since it copies to the system's memory and waits for no disk: on the path of every call a
 * way through the thread pool costs more than the copy. The waiting is `fdatasync`'s, which is asynchronous.
 */
function writeAll(fd: number, bytes: Buffer, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    const count = writeSync(fd, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw new Error("the file takes no more bytes");
    done += count;
  }
}

async function checkTail(
  handle: FileHandle,
  at: { readonly index: number; readonly offset: number },
  last: { readonly hash: string },
): Promise<void> {
  if (at.offset === 0) return;
  const length = Math.min(at.offset, TAIL_BYTES);
  const tail = Buffer.alloc(length);
  const { bytesRead } = await handle.read(tail, 0, length, at.offset - length);
  if (bytesRead !== length || !tail.toString("latin1").endsWith(`,"hash":"${last.hash}"}\n`)) {
    throw new Error(`${segmentName(at.index)} no longer ends as it was written`);
  }
}

/** Enough for the end of a line, its hash included. */
const TAIL_BYTES = 256;
