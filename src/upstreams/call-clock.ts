import type { CallClock } from "./pending-call.ts";

/** The deadline of one call; it stands still while a person is asked. */
export function createCallClock(
  timeoutMs: number,
  nowMs: () => number,
  expired: () => void,
): CallClock & { stop(): void } {
  let leftMs = timeoutMs;
  let startedAtMs = nowMs();
  let pauses = 0;
  let timer: NodeJS.Timeout | undefined = setTimeout(expired, leftMs);
  let stopped = false;
  return {
    pause() {
      pauses += 1;
      if (pauses > 1 || stopped) return;
      clearTimeout(timer);
      leftMs -= nowMs() - startedAtMs;
    },
    resume() {
      pauses -= 1;
      if (pauses > 0 || stopped) return;
      startedAtMs = nowMs();
      timer = setTimeout(expired, Math.max(0, leftMs));
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
