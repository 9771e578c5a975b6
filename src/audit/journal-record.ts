/**
 * The form of `<node>/journal`: the batches since the segment was durable, one behind the other.
 *
 * magic 8, checksum 4, generation 4, segment 4, length 4, offset in the segment 8 (two words), the bytes. The checksum
 * covers what follows it. A generation begins at the file's start; what an older one left behind it does not count.
 */
import { crc32 } from "node:zlib";

/** In a node's folder. */
export const JOURNAL_NAME = "journal";

/** 2 MiB: some thousand calls between two times that the segment is waited for. Also held in memory. */
export const JOURNAL_BYTES = 2 * 1024 * 1024;

/** What stands before the bytes of a batch. */
export const HEADER_BYTES = 32;

const MAGIC = "dwjrnl1\n";
const CHECKSUM_AT = 8;
const CHECKED_FROM = 12;
const WORD = 2 ** 32;

/** Where bytes stand in the chain's files. */
export interface BatchPlace {
  readonly index: number;
  readonly offset: number;
}

/** The batches of one generation: they follow each other in one segment. */
export interface JournalRun extends BatchPlace {
  readonly bytes: Buffer;
}

/** Writes the header of a record whose batch is in its place. */
export function sealRecord(record: Buffer, generation: number, { index, offset }: BatchPlace): void {
  record.write(MAGIC, 0, "latin1");
  record.writeUInt32LE(generation, CHECKED_FROM);
  record.writeUInt32LE(index, 16);
  record.writeUInt32LE(record.length - HEADER_BYTES, 20);
  record.writeUInt32LE(offset % WORD, 24);
  record.writeUInt32LE(Math.floor(offset / WORD), 28);
  record.writeUInt32LE(crc32(record.subarray(CHECKED_FROM)), CHECKSUM_AT);
}

/** Reads the records from the start to the first that is not whole, or not of their generation. */
export function readRun(journal: Buffer): JournalRun | undefined {
  const first = readRecord(journal, 0);
  if (first === undefined) return undefined;
  const batches: Buffer[] = [];
  let next = first.offset;
  for (let at = 0, record: JournalRecord | undefined = first; record !== undefined; record = readRecord(journal, at)) {
    if (record.generation !== first.generation || record.index !== first.index || record.offset !== next) break;
    batches.push(record.bytes);
    next += record.bytes.length;
    at += HEADER_BYTES + record.bytes.length;
  }
  return { index: first.index, offset: first.offset, bytes: Buffer.concat(batches) };
}

interface JournalRecord extends JournalRun {
  readonly generation: number;
}

function readRecord(journal: Buffer, at: number): JournalRecord | undefined {
  const from = at + HEADER_BYTES;
  if (from > journal.length || journal.toString("latin1", at, at + MAGIC.length) !== MAGIC) return undefined;
  const end = from + journal.readUInt32LE(at + 20);
  if (crc32(journal.subarray(at + CHECKED_FROM, end)) !== journal.readUInt32LE(at + CHECKSUM_AT)) return undefined;
  return {
    generation: journal.readUInt32LE(at + CHECKED_FROM),
    index: journal.readUInt32LE(at + 16),
    offset: journal.readUInt32LE(at + 24) + journal.readUInt32LE(at + 28) * WORD,
    bytes: journal.subarray(from, end),
  };
}
