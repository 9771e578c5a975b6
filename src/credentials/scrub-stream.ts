import type { CompiledNeedles } from "./compile-needles.ts";
import { NeedleSearch } from "./needle-search.ts";

/** One body on its way through a scrubber. */
export interface ScrubStream {
  /**
   * @returns What is decided by now: the chunk itself when there is nothing to take out or to keep back. Several pieces
   *   where that saves copying them together.
   */
  push(chunk: Uint8Array): Uint8Array | readonly Uint8Array[];
  /** The rest. Nothing may be pushed after it. */
  end(): Uint8Array;
  /** How often the marker was put in; it never falls. */
  readonly redacted: number;
}

const EMPTY = new Uint8Array(0);

/** Bytes of a chunk that are put together with what was kept back before it; the others are read where they stand. */
const SEAM_BYTES = 1024;

/**
 * A scrubber at work. What it gives out, put together, does not depend on how the text was cut into chunks.
 *
 * It keeps back the shortest ending that may still turn out to belong to a needle, so that events of a stream are not
 * delayed; its memory is bounded by the longest needle, escaped as deep as it may be.
 */
export function createScrubStream(needles: CompiledNeedles): ScrubStream {
  const search = new NeedleSearch(needles);
  /** What was kept back, or is still to be read; it begins at `base` in the text. */
  let kept: Uint8Array = EMPTY;
  let base = 0;
  /** How much of the text was given out or taken out. */
  let done = 0;
  /** Where the last redaction ended. Another that touches it is part of it. */
  let redactedTo = -1;
  let redacted = 0;

  const release = (text: Uint8Array, limit: number): Uint8Array => {
    const parts: Uint8Array[] = [];
    for (const [start, end] of search.takeFound(limit)) {
      if (start > done) parts.push(text.subarray(done - base, start - base));
      if (start > redactedTo) {
        parts.push(needles.marker);
        redacted++;
      }
      done = Math.max(done, end);
      redactedTo = Math.max(redactedTo, end);
    }
    if (limit > done) {
      parts.push(text.subarray(done - base, limit - base));
      done = limit;
    }
    return parts.length === 1 && parts[0] !== needles.marker ? whole(parts[0]!, text) : Buffer.concat(parts);
  };

  /** @param text - All that is not done yet, from `base` on. */
  const take = (text: Uint8Array, final: boolean): Uint8Array => {
    search.advance(text, base, final);
    const released = release(text, final ? base + text.length : search.undecidedFrom(redactedTo));
    const keepFrom = Math.min(done, search.position);
    kept = keepFrom - base === text.length ? EMPTY : new Uint8Array(text.subarray(keepFrom - base));
    base = keepFrom;
    return released;
  };

  /** What was kept back is read with the first bytes of the chunk; what is kept of these stands in the chunk. */
  const takeSeam = (chunk: Uint8Array): readonly Uint8Array[] => {
    const seam = take(Buffer.concat([kept, chunk.subarray(0, SEAM_BYTES)]), false);
    if (kept.length > SEAM_BYTES) return [seam, take(Buffer.concat([kept, chunk.subarray(SEAM_BYTES)]), false)];
    return [seam, take(chunk.subarray(SEAM_BYTES - kept.length), false)];
  };

  return {
    push: (chunk) => {
      if (chunk.length === 0 || kept.length === 0) return chunk.length === 0 ? chunk : take(chunk, false);
      return chunk.length < 2 * SEAM_BYTES ? take(Buffer.concat([kept, chunk]), false) : takeSeam(chunk);
    },
    end: () => take(kept, true),
    get redacted() {
      return redacted;
    },
  };
}

/** The text itself where a part is all of it, so that nothing is copied and the caller may see that nothing changed. */
function whole(part: Uint8Array, text: Uint8Array): Uint8Array {
  return part.length === text.length ? text : part;
}
