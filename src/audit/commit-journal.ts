/**
 * Where a commit becomes durable: a file whose blocks are on the disk before they are needed.
 *
 * A line at the end of a growing file costs the system a new length, and with it a transaction of the file system, each
 * time it is made durable. Written over bytes that are there already it costs a third. So a batch goes to this file, which
 * alone is waited for, and meanwhile to its segment, where everybody reads it. When the file is full the segment itself is made
 * durable, and it begins anew.
 *
 * After a loss of power the start puts back what the segment lost: see `replay-journal.ts`. After a crash of this process
 * that can only be the last batch, of which nobody was told.
 */
import { randomBytes } from "node:crypto";
import { constants, fdatasync, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { FILE_MODE, syncFolder, writeAt } from "./durable-files.ts";
import { type BatchPlace, HEADER_BYTES, JOURNAL_BYTES, JOURNAL_NAME, readRun, sealRecord } from "./journal-record.ts";
import { putBack } from "./replay-journal.ts";

/** Bytes that one UTF-16 unit can take in UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

/** The journal of one node's log, open for writing. One batch at a time. */
export class CommitJournal {
  readonly #handle: FileHandle;
  /** What the file holds, as far as it matters. */
  readonly #mirror = Buffer.alloc(JOURNAL_BYTES);
  #generation = 0;
  /** Up to here the records count; the next one goes here. */
  #end = 0;
  /** Where the record that was staged last ends. */
  #stagedEnd = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
    this.restart();
  }

  /** Makes a batch ready. @returns Its bytes, valid until the next is staged; `undefined` when there is no room for it. */
  stage(place: BatchPlace, text: string): Buffer | undefined {
    const from = this.#end + HEADER_BYTES;
    if (from + text.length * MAX_BYTES_PER_UNIT > JOURNAL_BYTES) return undefined;
    const length = this.#mirror.write(text, from, "utf8");
    const record = this.#mirror.subarray(this.#end, from + length);
    sealRecord(record, this.#generation, place);
    this.#stagedEnd = from + length;
    return record.subarray(HEADER_BYTES);
  }

  /** Writes what was staged, in the frame of the caller: the system copies it. @throws The system's error. */
  write(): void {
    const { fd } = this.#handle;
    for (let at = this.#end; at < this.#stagedEnd; ) {
      const count = writeSync(fd, this.#mirror, at, this.#stagedEnd - at, at);
      if (count === 0) throw new Error("the journal takes no more bytes");
      at += count;
    }
  }

  /** Makes what was written durable. */
  sync(done: (error: Error | null) => void): void {
    fdatasync(this.#handle.fd, done);
  }

  /** What was staged is durable and stands: the next batch follows it. */
  keep(): void {
    this.#end = this.#stagedEnd;
  }

  /**
   * Takes back what was staged and does not stand, as far as this descriptor still can: a start after a crash must not
   * find it. The batches before it stay. Never throws.
   */
  async withdraw(): Promise<void> {
    const header = this.#mirror.subarray(this.#end, this.#end + HEADER_BYTES).fill(0);
    await writeAt(this.#handle, header, this.#end).catch(() => undefined);
  }

  /** Begins anew: all that it holds is durable in the segment. What still stands in the file is put back in vain. */
  restart(): void {
    this.#end = 0;
    this.#stagedEnd = 0;
    this.#generation = randomBytes(4).readUInt32LE();
  }

  /**
   * Voids all that it holds, durably, as it must be before a batch is refused that it may hold. All that counts must be
   * durable in the segment. @throws The system's error.
   */
  async erase(): Promise<void> {
    await writeAt(this.#handle, Buffer.alloc(HEADER_BYTES), 0);
    await this.#handle.datasync();
    this.restart();
  }

  /**
   * Writes to the segment again what it should hold, not durable yet: a failed fdatasync may have dropped the pages.
   *
   * @throws {AuditDamage} when somebody else wrote there. @throws The system's error.
   */
  async rewrite(segment: FileHandle): Promise<void> {
    const run = readRun(this.#mirror.subarray(0, this.#end));
    if (run !== undefined) await putBack(segment, run);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * Opens the journal, erased; its name and its blocks are durable when this returns.
 *
 * @returns `undefined` when there is no room for it: the segment is waited for then. @throws The system's error.
 */
export async function openJournal(folder: string): Promise<CommitJournal | undefined> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const handle = await open(join(folder, JOURNAL_NAME), flags, FILE_MODE);
  try {
    // Also where it is there: a file that was copied may have holes, which are no blocks.
    await writeAt(handle, Buffer.alloc(JOURNAL_BYTES), 0);
    await handle.truncate(JOURNAL_BYTES);
    await handle.sync();
    await syncFolder(folder);
    return new CommitJournal(handle);
  } catch (error) {
    await handle.truncate(0).catch(() => undefined);
    await handle.close();
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT") return undefined;
    throw error;
  }
}
