/** Chunks from this size on are worth their own way. */
const SMALL_BYTES = 4 * 1024;
const JOINED_BYTES = 16 * 1024;

/** Joins small chunks that arrive in one read of a socket. */
export interface SmallChunkJoiner {
  push(chunk: Uint8Array): void;
  flush(): void;
}

/**
 * Makes a joiner in front of `take`.
 *
 * An answer may come in HTTP chunks of one byte each. Ten million of them cost a hundred times their bytes in memory
 * wherever they are kept, and a call into every layer each. A chunk never waits longer than the read that brought it.
 *
 * @param take - Called at once for large chunks; at the end of the read, from a microtask, for small ones. Must not throw.
 */
export function createSmallChunkJoiner(take: (chunk: Uint8Array) => void): SmallChunkJoiner {
  let first: Uint8Array | undefined;
  let joined: Uint8Array | undefined;
  let joinedBytes = 0;
  let scheduled = false;

  const flush = (): void => {
    const chunk = joined === undefined ? first : joined.subarray(0, joinedBytes);
    first = undefined;
    joined = undefined;
    joinedBytes = 0;
    if (chunk !== undefined) take(chunk);
  };
  const append = (chunk: Uint8Array): void => {
    if (joinedBytes + chunk.length > JOINED_BYTES) flush();
    joined ??= new Uint8Array(JOINED_BYTES);
    joined.set(chunk, joinedBytes);
    joinedBytes += chunk.length;
  };

  return {
    flush,
    push(chunk) {
      if (chunk.length >= SMALL_BYTES) {
        flush();
        take(chunk);
      } else if (first === undefined && joined === undefined) {
        first = chunk;
        if (scheduled) return;
        scheduled = true;
        queueMicrotask(() => {
          scheduled = false;
          flush();
        });
      } else {
        if (first !== undefined) append(first);
        first = undefined;
        append(chunk);
      }
    },
  };
}
