/** Runs pieces of work that share a key one after the other, and others at the same time. */
export type Turns = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Makes a set of turns; a key is forgotten when nobody waits for it. */
export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    const before = last.get(key);
    const mine = (async () => {
      await before;
      return await work();
    })();
    const settled = mine.then(
      () => {},
      () => {},
    );
    last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (last.get(key) === settled) last.delete(key);
    }
  };
}
