import type { AuditEvent, AuditLog } from "../audit/event.ts";

/** Refusals of one name in a window that are recorded one by one. */
const IN_FULL = 30;
/** Milliseconds. */
const WINDOW_MS = 60_000;

/** Records refusals, so that whoever is refused in a loop does not fill the disk with it. */
export interface RefusalQuota {
  /**
   * Records a refusal of a name: the first of a window in full, the rest as one event when the window is over.
   *
   * That event is the last refusal with `count` and `since` added: how many it stands for, itself included, and since when.
   *
   * @param name - Of the file, so that there are few: a service, an agent.
   * @throws {Problem} `audit_unavailable`.
   */
  record(name: string, event: AuditEvent): Promise<void>;
  /** Records now what is counted of a name, since nothing more comes. Never rejects: what cannot be recorded was refused all the same. */
  flush(name?: string): Promise<void>;
}

interface Window {
  recorded: number;
  count: number;
  since: Date | undefined;
  last: AuditEvent | undefined;
}

/** Opens a quota. @param now - For the evidence alone; a clock that is set back gives nobody a new window. */
export function createRefusalQuota(deps: {
  readonly audit: Pick<AuditLog, "append">;
  readonly now: () => Date;
}): RefusalQuota {
  const windows = new Map<string, Window>();
  const tell = async (window: Window): Promise<void> => {
    const { count, since, last } = window;
    if (last === undefined || since === undefined) return;
    Object.assign(window, { count: 0, since: undefined, last: undefined });
    const event = { ...last, data: { ...last.data, count, since: since.toISOString() } };
    await deps.audit.append(event).catch(() => {});
  };
  const openWindow = (name: string): Window => {
    const window: Window = { recorded: 0, count: 0, since: undefined, last: undefined };
    windows.set(name, window);
    const end = () => {
      windows.delete(name);
      void tell(window);
    };
    setTimeout(end, WINDOW_MS).unref();
    return window;
  };
  return {
    async record(name, event) {
      const window = windows.get(name) ?? openWindow(name);
      if (window.recorded < IN_FULL) {
        window.recorded += 1;
        return deps.audit.append(event);
      }
      window.count += 1;
      window.since ??= deps.now();
      window.last = event;
    },
    async flush(name) {
      const ending = name === undefined ? [...windows.values()] : [windows.get(name)];
      await Promise.all(ending.map((window) => window && tell(window)));
    },
  };
}
