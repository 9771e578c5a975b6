import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { MAX_LINE_BYTES } from "./event-line.ts";

/** How much is read at a time: 1 MiB. */
const CHUNK_BYTES = 1024 * 1024;

const LINE_FEED = 10;

/** One file of a node's log. */
export interface Segment {
  readonly name: string;
  readonly path: string;
  /** From 1, without gaps. */
  readonly index: number;
}

/** Lines that were read together. */
export interface LineChunk {
  readonly lines: readonly Buffer[];
  /** What stands after the last line feed; only on the last chunk of a file, and empty when it ends as it should. */
  readonly torn?: Buffer;
}

/** `NNNNNN.jsonl` */
export function segmentName(index: number): string {
  return `${String(index).padStart(6, "0")}.jsonl`;
}

/** The segments of a node's folder, in order. Empty when there is no such folder. */
export async function listSegments(folder: string): Promise<Segment[]> {
  const names = await namesIn(folder);
  return names
    .filter((name) => /^[0-9]{6}\.jsonl$/.test(name))
    .sort()
    .map((name) => ({ name, path: join(folder, name), index: Number(name.slice(0, 6)) }));
}

/**
 * The nodes' folders below an `audit/` folder, a home, or a node's folder itself.
 *
 * @returns Paths, sorted; empty when there is no evidence there.
 */
export async function listNodeFolders(folder: string): Promise<string[]> {
  if (await isNodeFolder(folder)) return [folder];
  const found = await nodeFoldersIn(folder);
  return found.length > 0 ? found : nodeFoldersIn(join(folder, "audit"));
}

/**
 * Reads a file's lines, many at a time, in bounded memory. A line over {@link MAX_LINE_BYTES} is given cut, so that it
 * cannot pass for a good one.
 */
export async function* readLines(path: string): AsyncGenerator<LineChunk> {
  const file = await open(path, "r");
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
      if (bytesRead === 0) break;
      const bytes =
        rest.length === 0 ? chunk.subarray(0, bytesRead) : Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      const { lines, rest: left } = splitLines(bytes);
      rest = left.length > MAX_LINE_BYTES ? left.subarray(0, MAX_LINE_BYTES + 1) : left;
      yield { lines };
    }
    yield { lines: [], torn: rest };
  } finally {
    await file.close();
  }
}

/**
 * Reads a file's lines from the last to the first.
 *
 * @param end - The offset to begin at, just after a line feed; `undefined` for the end of the file.
 */
export async function* readLinesBackward(path: string, end?: number): AsyncGenerator<Buffer> {
  const file = await open(path, "r");
  try {
    let position = end ?? (await file.stat()).size;
    let rest: Buffer = Buffer.alloc(0);
    while (position > 0) {
      const length = Math.min(CHUNK_BYTES, position);
      const chunk = Buffer.allocUnsafe(length);
      await readFully(file, chunk, position - length);
      position -= length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([chunk, rest]);
      const first = position === 0 ? -1 : bytes.indexOf(LINE_FEED);
      if (position > 0 && first < 0) {
        if (bytes.length > MAX_LINE_BYTES + CHUNK_BYTES) throw new RangeError(`a line of ${path} is too long`);
        rest = bytes;
        continue;
      }
      const { lines, rest: torn } = splitLines(bytes.subarray(first + 1));
      if (torn.length > 0) yield torn;
      for (let index = lines.length - 1; index >= 0; index -= 1) yield lines[index]!;
      rest = bytes.subarray(0, first + 1);
    }
  } finally {
    await file.close();
  }
}

/** What stands after the last line feed of a file: where it begins, and the bytes. */
export async function readTorn(path: string): Promise<{ readonly offset: number; readonly bytes: Buffer }> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    let position = size;
    const parts: Buffer[] = [];
    while (position > 0) {
      const length = Math.min(CHUNK_BYTES, position);
      const chunk = Buffer.allocUnsafe(length);
      await readFully(file, chunk, position - length);
      const last = chunk.lastIndexOf(LINE_FEED);
      parts.unshift(chunk.subarray(last + 1));
      if (last >= 0) return { offset: position - length + last + 1, bytes: Buffer.concat(parts) };
      position -= length;
    }
    return { offset: 0, bytes: Buffer.concat(parts) };
  } finally {
    await file.close();
  }
}

async function readFully(file: Awaited<ReturnType<typeof open>>, into: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new RangeError("the file became shorter while it was read");
    done += bytesRead;
  }
}

function splitLines(bytes: Buffer): { lines: Buffer[]; rest: Buffer } {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return { lines, rest: bytes.subarray(start) };
}

async function isNodeFolder(folder: string): Promise<boolean> {
  return (await namesIn(folder)).some((name) => name === "key.pub" || /^[0-9]{6}\.jsonl$/.test(name));
}

async function nodeFoldersIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await namesIn(folder)).sort()) {
    if (await isNodeFolder(join(folder, name))) found.push(join(folder, name));
  }
  return found;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}
