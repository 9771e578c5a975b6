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
  return new NeedleScrub(needles);
}

class NeedleScrub implements ScrubStream {
  /** How often the marker was put in. */
  redacted = 0;
  readonly #marker: Uint8Array;
  readonly #search: NeedleSearch;
  /** What was kept back, or is still to be read; it begins at `base` in the text. */
  #kept: Uint8Array = EMPTY;
  #base = 0;
  /** How much of the text was given out or taken out. */
  #done = 0;
  /** Where the last redaction ended. Another that touches it is part of it. */
  #redactedTo = -1;

  constructor(needles: CompiledNeedles) {
    this.#marker = needles.marker;
    this.#search = new NeedleSearch(needles);
  }

  push(chunk: Uint8Array): Uint8Array | readonly Uint8Array[] {
    if (chunk.length === 0) return chunk;
    if (this.#kept.length === 0) return this.#take(chunk, false);
    return chunk.length < 2 * SEAM_BYTES
      ? this.#take(Buffer.concat([this.#kept, chunk]), false)
      : this.#takeSeam(chunk);
  }

  end(): Uint8Array {
    return this.#take(this.#kept, true);
  }

  /** @param text - All that is not done yet, from `base` on. */
  #take(text: Uint8Array, final: boolean): Uint8Array {
    const search = this.#search;
    search.advance(text, this.#base, final);
    const released = this.#release(text, final ? this.#base + text.length : search.undecidedFrom(this.#redactedTo));
    const keepFrom = Math.min(this.#done, search.position);
    this.#kept = keepFrom - this.#base === text.length ? EMPTY : new Uint8Array(text.subarray(keepFrom - this.#base));
    this.#base = keepFrom;
    return released;
  }

  #release(text: Uint8Array, limit: number): Uint8Array {
    if (!this.#search.hasFound) return this.#releaseClean(text, limit);
    const parts: Uint8Array[] = [];
    for (const [start, end] of this.#search.takeFound(limit)) {
      if (start > this.#done) parts.push(text.subarray(this.#done - this.#base, start - this.#base));
      if (start > this.#redactedTo) {
        parts.push(this.#marker);
        this.redacted++;
      }
      this.#done = Math.max(this.#done, end);
      this.#redactedTo = Math.max(this.#redactedTo, end);
    }
    if (limit > this.#done) {
      parts.push(text.subarray(this.#done - this.#base, limit - this.#base));
      this.#done = limit;
    }
    return parts.length === 1 && parts[0] !== this.#marker ? whole(parts[0]!, text) : Buffer.concat(parts);
  }

  #releaseClean(text: Uint8Array, limit: number): Uint8Array {
    if (limit <= this.#done) return EMPTY;
    const from = this.#done - this.#base;
    this.#done = limit;
    return from === 0 && limit - this.#base === text.length ? text : text.subarray(from, limit - this.#base);
  }

  /** What was kept back is read with the first bytes of the chunk; what is kept of these stands in the chunk. */
  #takeSeam(chunk: Uint8Array): readonly Uint8Array[] {
    const seam = this.#take(Buffer.concat([this.#kept, chunk.subarray(0, SEAM_BYTES)]), false);
    const { length } = this.#kept;
    if (length > SEAM_BYTES) return [seam, this.#take(Buffer.concat([this.#kept, chunk.subarray(SEAM_BYTES)]), false)];
    return [seam, this.#take(chunk.subarray(SEAM_BYTES - length), false)];
  }
}

/** The text itself where a part is all of it, so that nothing is copied and the caller may see that nothing changed. */
function whole(part: Uint8Array, text: Uint8Array): Uint8Array {
  return part.length === text.length ? text : part;
}
