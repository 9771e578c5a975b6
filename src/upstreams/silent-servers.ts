/** A server that did not answer in time is not waited for again before this; milliseconds. */
const REMEMBERED_MS = 30_000;
/** Pairs of server and agent; the one remembered longest makes room. */
const REMEMBERED_MAX = 1_024;

/** A server, and on whose behalf it was asked: what is silent for one credential may answer to another. */
export interface AskedServer {
  readonly service: string;
  readonly agent: string;
}

/** Servers that lately did not answer in the time that a listing has, so that one of them delays it once and not each time. */
export interface SilentServers {
  /** A listing gave it up. */
  gaveUp(asked: AskedServer, now: Date): void;
  answered(asked: AskedServer): void;
  isSilent(asked: AskedServer, now: Date): boolean;
  /**
   * Asks a silent server again, while nobody waits.
   *
   * @param session - Which is told when it answers; `""` for a client without one.
   * @returns `undefined` when the same is asked already, so that listings in a loop leave no heap of questions.
   */
  again<T>(asked: AskedServer, session: string, ask: () => Promise<T>): Promise<T> | undefined;
  /** Since when somebody's listings go without it, for the owner; `undefined` when nobody's do. */
  since(service: string, now: Date): Date | undefined;
  /** Its entry or its pins changed, or the owner looks at it: it is waited for again. */
  forget(service: string): void;
}

export function createSilentServers(): SilentServers {
  const silent = new Map<string, AskedServer & { readonly at: Date }>();
  const underWay = new Set<string>();
  const isRecent = (at: Date, now: Date) => Math.abs(now.getTime() - at.getTime()) < REMEMBERED_MS;
  return {
    gaveUp(asked, now) {
      silent.delete(keyOf(asked));
      if (silent.size >= REMEMBERED_MAX) silent.delete(silent.keys().next().value!);
      silent.set(keyOf(asked), { ...asked, at: now });
    },
    answered: (asked) => void silent.delete(keyOf(asked)),
    isSilent(asked, now) {
      const found = silent.get(keyOf(asked));
      return found !== undefined && isRecent(found.at, now);
    },
    again(asked, session, ask) {
      const key = `${keyOf(asked)}\0${session}`;
      if (underWay.has(key)) return undefined;
      underWay.add(key);
      return ask().finally(() => underWay.delete(key));
    },
    since: (service, now) =>
      [...silent.values()].find((each) => each.service === service && isRecent(each.at, now))?.at,
    forget(service) {
      for (const [key, each] of silent) if (each.service === service) silent.delete(key);
    },
  };
}

/** Names of services and agents hold no NUL. */
function keyOf({ service, agent }: AskedServer): string {
  return `${service}\0${agent}`;
}
