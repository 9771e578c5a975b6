import { constants, fdatasync, writeSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { CommitJournal } from "./commit-journal.ts";
import { FILE_MODE, readAt, syncFolder } from "./durable-files.ts";
import { segmentName } from "./read-lines.ts";

/** A segment that has reached this size is followed by a new one: 64 MiB. */
export const SEGMENT_BYTES = 64 * 1024 * 1024;

/** What is kept back against a full disk, so that calls under way can still be completed on record: 1 MiB. */
const RESERVE_BYTES = 1024 * 1024;

const RESERVE_NAME = "reserve";

/** The segment being written. `offset` is where the next batch goes: everything before it is durable. */
export interface SegmentFile {
  readonly index: number;
  readonly offset: number;
  /**
   * Writes at `offset` and makes it durable, in the journal or here; only then does `offset` move.
   *
   * @param written - Called once it is on its way to the disk: work that can be done while the disk is busy.
   * @throws The system's error. The file may then hold any part of the bytes: see {@link SegmentFile.abandon}.
   */
  append(text: string, written: () => void): Promise<void>;
  /** Makes all of it durable here, so that the journal holds nothing that is needed. @throws The system's error. */
  settle(): Promise<void>;
  /** Cuts what a failed append may have left, as far as this descriptor still can, and closes it. Never throws. */
  abandon(): Promise<void>;
  close(): Promise<void>;
}

/** Creates the next segment; its name is durable when this returns. Takes over one that exists and is empty. */
export async function createSegment(
  folder: string,
  index: number,
  journal: CommitJournal | undefined,
): Promise<SegmentFile> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const handle = await open(join(folder, segmentName(index)), flags, FILE_MODE);
  try {
    if ((await handle.stat()).size > 0) throw new Error(`${segmentName(index)} exists already`);
    await syncFolder(folder);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return segmentFile(handle, { index, offset: 0 }, journal);
}

/**
 * Opens a segment to go on at `offset`, cutting what stands behind it. Durable so when this returns, also in the journal.
 *
 * @param last - The line that must end at `offset`: what was acknowledged must still be there.
 * @throws An error that says what is missing, or the system's.
 */
export async function reopenSegment(
  folder: string,
  at: { readonly index: number; readonly offset: number },
  last: { readonly hash: string },
  journal: CommitJournal | undefined,
): Promise<SegmentFile> {
  const handle = await open(join(folder, segmentName(at.index)), constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    await journal?.rewrite(handle);
    const { size } = await handle.stat();
    if (size < at.offset) throw new Error(`${segmentName(at.index)} is shorter than what was written to it`);
    await checkTail(handle, at, last);
    if (size > at.offset) await handle.truncate(at.offset);
    await handle.sync();
    await journal?.erase();
  } catch (error) {
    await handle.close();
    throw error;
  }
  return segmentFile(handle, at, journal);
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

function segmentFile(
  handle: FileHandle,
  { index, offset: start }: { readonly index: number; readonly offset: number },
  journal: CommitJournal | undefined,
): SegmentFile {
  let offset = start;
  const syncHere = (done: (error: Error | null) => void): void => {
    fdatasync(handle.fd, (error) => {
      if (error === null) journal?.restart();
      done(error);
    });
  };
  /** Writes a batch to where it is waited for, and begins to wait. @returns Its bytes, and what may be done meanwhile. */
  const put = (text: string, synced: (error: Error | null) => void): { length: number; meanwhile: () => void } => {
    const staged = journal?.stage({ index, offset }, text);
    if (staged === undefined || journal === undefined) {
      const bytes = Buffer.from(text);
      writeAll(handle.fd, bytes, offset);
      syncHere(synced);
      return { length: bytes.length, meanwhile: () => {} };
    }
    journal.write();
    journal.sync(synced);
    return { length: staged.length, meanwhile: () => writeAll(handle.fd, staged, offset) };
  };
  return {
    index,
    get offset() {
      return offset;
    },
    append: (text, written) =>
      new Promise((resolve, reject) => {
        let fault: unknown;
        const { length, meanwhile } = put(text, (failed) => {
          if (failed !== null || fault !== undefined) return reject(failed ?? fault);
          journal?.keep();
          offset += length;
          resolve();
        });
        try {
          meanwhile();
          written();
        } catch (error) {
          fault = error;
        }
      }),
    async settle() {
      await handle.datasync();
      await journal?.erase();
    },
    async abandon() {
      await handle.truncate(offset).catch(() => undefined);
      await handle.close().catch(() => undefined);
      await journal?.withdraw();
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
  const tail = await readAt(handle, length, at.offset - length);
  if (!tail.toString("latin1").endsWith(`,"hash":"${last.hash}"}\n`)) {
    throw new Error(`${segmentName(at.index)} no longer ends as it was written`);
  }
}

/** Enough for the end of a line, its hash included. */
const TAIL_BYTES = 256;
