/** What a stream of lines gives: a whole line, or the two ends of one that was too long to keep. */
export interface LineHandlers {
  line(bytes: Buffer): void;
  /** @param ends - Its beginning and its ending, as far as they were kept; all between is gone. */
  oversized(ends: { readonly start: Buffer; readonly end: Buffer }): void;
  /** So much came without a line's end that nobody should wait for it. */
  flooded(): void;
}

export interface LineLimits {
  readonly lineBytes: number;
  /** A line that is longer than this is a flood. */
  readonly floodBytes: number;
}

/** Kept of each end of an oversized line: an envelope's `id` stands first or last. */
const KEPT_BYTES = 256;
const NEWLINE = 0x0a;

/**
 * Cuts a child's output into lines, with memory bounded by the limit of a line.
 *
 * @returns Takes the next chunk. It calls nothing more once `flooded` was called.
 */
export function createLineCutter(limits: LineLimits, handlers: LineHandlers): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let length = 0;
  let start: Buffer | undefined;
  let ending: Buffer = Buffer.alloc(0);
  let over = false;

  const add = (piece: Buffer) => {
    length += piece.length;
    if (start !== undefined) {
      ending = keepEnd(ending, piece);
      return;
    }
    parts.push(piece);
    if (length <= limits.lineBytes) return;
    const kept = Buffer.concat(parts);
    start = Buffer.from(kept.subarray(0, KEPT_BYTES));
    ending = keepEnd(Buffer.alloc(0), kept);
    parts = [];
  };
  const end = () => {
    if (start !== undefined) handlers.oversized({ start, end: ending });
    else if (length > 0) handlers.line(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    parts = [];
    length = 0;
    start = undefined;
  };

  return (chunk) => {
    let from = 0;
    while (!over) {
      const at = chunk.indexOf(NEWLINE, from);
      if (at === -1) break;
      if (at > from) add(chunk.subarray(from, at));
      from = at + 1;
      end();
    }
    if (over || from === chunk.length) return;
    add(chunk.subarray(from));
    if (length <= limits.floodBytes) return;
    over = true;
    handlers.flooded();
  };
}

function keepEnd(kept: Buffer, piece: Buffer): Buffer {
  if (piece.length >= KEPT_BYTES) return Buffer.from(piece.subarray(piece.length - KEPT_BYTES));
  const both = Buffer.concat([kept, piece]);
  return both.subarray(Math.max(0, both.length - KEPT_BYTES));
}
