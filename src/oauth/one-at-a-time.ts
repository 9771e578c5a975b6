/** Lets one of several uses of a value go on, and tells the others what became of it. */
export interface OneAtATime {
  /**
   * @param run - Says whether the value was used up.
   * @returns Whether it ran: not when another use, under way when this one came, used the value up.
   */
  use(value: string, run: () => Promise<boolean>): Promise<boolean>;
}

/**
 * Parallel uses of one code or refresh token are a client's doubled request, and later ones are a thief's: the first are
 * refused here, so that they do not end what the winner was given; the others are for the server's detection of reuse.
 */
export function createOneAtATime(): OneAtATime {
  const underWay = new Map<string, Promise<boolean>>();
  return {
    async use(value, run) {
      for (let other = underWay.get(value); other !== undefined; other = underWay.get(value)) {
        if (await other.catch(() => false)) return false;
      }
      const running = run();
      underWay.set(value, running);
      try {
        await running;
        return true;
      } finally {
        underWay.delete(value);
      }
    },
  };
}
