/** The system's keychain, as far as Doorward uses it. Each call answers within its time limit or fails. */
export interface Keychain {
  /** @returns `undefined` when it has no such entry. @throws when no keychain answers. */
  get(entry: KeychainEntry): Promise<string | undefined>;
  set(entry: KeychainEntry, value: string): Promise<void>;
}

/** `service` groups the entries of one program; `account` names one. */
export interface KeychainEntry {
  readonly service: string;
  readonly account: string;
}

/** A locked keychain may be asking the user; without anybody there it must not hold up a daemon. */
const KEYCHAIN_TIMEOUT_MS = 10_000;

/**
 * The keychain of macOS, Windows or the Secret Service on Linux, through an optional native package.
 *
 * On Linux the Secret Service is demanded: the package would otherwise fall back to the kernel's keyring, which answers
 * readily and forgets everything at the next boot.
 */
export function systemKeychain({ timeoutMs = KEYCHAIN_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Keychain {
  const open = async ({ service, account }: KeychainEntry) => {
    const { AsyncEntry } = await import("@napi-rs/keyring");
    return new AsyncEntry(service, account, { linux: { store: "secret-service" } });
  };
  return {
    get: (entry) =>
      withinTime(timeoutMs, async (signal) => (await (await open(entry)).getPassword(signal)) ?? undefined),
    set: (entry, value) => withinTime(timeoutMs, async (signal) => (await open(entry)).setPassword(value, signal)),
  };
}

/** The native call may ignore its signal; the answer then comes too late and is dropped. */
async function withinTime<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const abort = new AbortController();
  const timer = setTimeout(() => {
    reject(new Error(`the keychain did not answer within ${timeoutMs} ms`));
    abort.abort();
  }, timeoutMs);
  try {
    return await Promise.race([work(abort.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}
