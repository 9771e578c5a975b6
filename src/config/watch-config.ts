import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as setTimeoutAsync } from "node:timers/promises";
import { readConfigText } from "./load-config.ts";
import { resolveTarget } from "./replace-file.ts";

/** Editors write in several steps: the file is read when nothing happened for this long. */
const DEBOUNCE_MS = 100;
/** A changed file must have stood still for this long before it is read. */
const SETTLE_MS = 100;
/** How often it is looked at again within one look. */
const MAX_SETTLE_LOOKS = 50;
/** Where the system tells nothing (network drives, some containers), the file is looked at this often. */
const POLL_MS = 2_000;

export interface ConfigWatcher {
  /** Resolves when what is on disk is known: what is read after this is watched without a gap. Never rejects. */
  readonly ready: Promise<void>;
  /** Looks at once; resolves when the callback, if one was due, is done. */
  readonly check: () => Promise<void>;
  /** Nothing is called after this. Idempotent. */
  readonly close: () => void;
}

/**
 * Calls back when the content of doorward.yaml has changed, also by rename, through a link, or by its removal.
 *
 * The same content is reported once; one callback runs at a time. No timer keeps the process alive.
 *
 * @param changed - May return a promise, which is waited for; what it throws goes to `failed`.
 */
export function watchConfig(
  path: string,
  changed: () => unknown,
  failed: (error: unknown) => void = () => {},
): ConfigWatcher {
  const state: Watching = {
    path,
    changed,
    closed: false,
    facts: undefined,
    digest: undefined,
    running: Promise.resolve(),
    watchers: [],
  };
  let timer: NodeJS.Timeout | undefined;
  const look = (how: "full" | "facts") => {
    state.running = state.running.then(() => lookOnce(state, how)).catch(failed);
    return state.running;
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void look("full"), DEBOUNCE_MS).unref();
  };
  const poll = setInterval(() => void look("facts"), POLL_MS).unref();
  state.running = begin(state, soon).catch(failed);
  return {
    ready: state.running,
    check: () => look("full"),
    close: () => {
      state.closed = true;
      clearTimeout(timer);
      clearInterval(poll);
      for (const watcher of state.watchers) watcher.close();
    },
  };
}

interface Watching {
  readonly path: string;
  readonly changed: () => unknown;
  closed: boolean;
  /** Inode, size and times: a cheap hint that the content may differ. */
  facts: string | undefined;
  digest: string | undefined;
  running: Promise<void>;
  watchers: FSWatcher[];
}

async function begin(state: Watching, soon: () => void): Promise<void> {
  state.facts = await factsAtRest(state, await factsOf(state.path));
  state.digest = await digestOf(state.path);
  const target = await resolveTarget(state.path).catch(() => state.path);
  if (state.closed) return;
  for (const folder of new Set([dirname(state.path), dirname(target)])) {
    try {
      const watcher = watch(folder, { persistent: false }, soon);
      watcher.on("error", () => watcher.close());
      state.watchers.push(watcher);
    } catch (error) {
      // The poll sees it too, only later.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
}

async function lookOnce(state: Watching, how: "full" | "facts"): Promise<void> {
  if (state.closed) return;
  const seen = await factsOf(state.path);
  if (how === "facts" && seen === state.facts) return;
  if ((await digestOf(state.path)) === state.digest) {
    state.facts = seen;
    return;
  }
  // INVARIANT: a file that is being written is not read. Its beginning may be a whole file too, without the rules that
  // forbid something at its end.
  const facts = await factsAtRest(state, seen);
  if (facts === undefined) return;
  const digest = await digestOf(state.path);
  state.facts = facts;
  if (state.closed || digest === state.digest) return;
  state.digest = digest;
  await state.changed();
}

/** Waits until the file was not touched for a while. @returns `undefined` when it does not come to rest: a later look sees it. */
async function factsAtRest(state: Watching, seen: string): Promise<string | undefined> {
  let facts = seen;
  for (let looks = 0; looks < MAX_SETTLE_LOOKS && !state.closed; looks++) {
    await setTimeoutAsync(SETTLE_MS, undefined, { ref: false });
    const now = await factsOf(state.path);
    if (now === facts) return facts;
    facts = now;
  }
  return undefined;
}

async function factsOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

async function digestOf(path: string): Promise<string> {
  const text = await readConfigText(path);
  if (!text.ok) return text.finding.problem;
  return text.missing ? "missing" : createHash("sha256").update(text.bytes).digest("hex");
}
