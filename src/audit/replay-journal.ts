import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { readAt, writeAt } from "./durable-files.ts";
import { JOURNAL_BYTES, JOURNAL_NAME, type JournalRun, readRun } from "./journal-record.ts";
import { AuditDamage } from "./load-chain.ts";
import { segmentName } from "./read-lines.ts";

/** What a start put back into a segment. */
export interface Replayed {
  readonly segment: string;
  readonly bytes: number;
}

/**
 * Puts back what the last segment lost of the batches that were durable in the journal, and makes it durable there.
 * The journal stays as it is: a start that ends in the middle of this is followed by one that does it again.
 *
 * @returns What was lost; `undefined` when nothing was.
 * @throws {AuditDamage} when a loss of power does not explain what the segment holds: an edit is not undone.
 * @throws The system's error, as when the disk is full.
 */
export async function replayJournal(folder: string): Promise<Replayed | undefined> {
  const run = await readJournal(folder);
  if (run === undefined) return undefined;
  const segment = segmentName(run.index);
  const handle = await openIfThere(join(folder, segment), constants.O_RDWR);
  if (handle === undefined) throw new AuditDamage(segment, "the file is missing, and the journal holds lines of it");
  try {
    const bytes = await putBack(handle, run);
    await handle.sync();
    return bytes > 0 ? { segment, bytes } : undefined;
  } finally {
    await handle.close();
  }
}

/**
 * Writes a run to its segment again; not durable yet.
 *
 * Also where nothing is missing: a page whose way to the disk failed can be read as if nothing had happened, until the
 * system needs the memory.
 *
 * @returns How many bytes were missing. @throws {AuditDamage} as {@link replayJournal}, before anything is written.
 */
export async function putBack(segment: FileHandle, { index, offset, bytes }: JournalRun): Promise<number> {
  const { size } = await segment.stat();
  if (size < offset) {
    throw new AuditDamage(
      segmentName(index),
      `it ends at ${size}, and \`${JOURNAL_NAME}\` says that it was longer than ${offset}; if these are copies that were made while it was written, remove \`${JOURNAL_NAME}\``,
    );
  }
  const found = await readAt(segment, bytes.length, offset);
  const missing = countMissing(found, bytes);
  if (missing === undefined) {
    throw new AuditDamage(segmentName(index), `behind ${offset} it is not what \`${JOURNAL_NAME}\` says was written`);
  }
  await writeAt(segment, bytes, offset);
  return missing;
}

/** After a loss of power the end is missing, or pages are zeros, which no line contains. `undefined`: something else is there. */
function countMissing(found: Buffer, bytes: Buffer): number | undefined {
  let missing = bytes.length - found.length;
  for (let at = 0; at < found.length; at += 1) {
    if (found[at] === bytes[at]) continue;
    if (found[at] !== 0) return undefined;
    missing += 1;
  }
  return missing;
}

async function readJournal(folder: string): Promise<JournalRun | undefined> {
  // Only read; but to open a pipe that somebody put there for reading alone would wait for its other end.
  const handle = await openIfThere(join(folder, JOURNAL_NAME), constants.O_RDWR);
  if (handle === undefined) return undefined;
  try {
    return readRun(await readAt(handle, JOURNAL_BYTES, 0));
  } finally {
    await handle.close();
  }
}

async function openIfThere(path: string, flags: number): Promise<FileHandle | undefined> {
  try {
    return await open(path, flags | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
