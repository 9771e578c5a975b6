import type { Rate } from "../config/schema.ts";

/** Whether one more call fits into a rate. */
export interface Counters {
  /** Reads only. `rule` and `agent` together name the count. */
  room(rule: string, agent: string, rate: Rate, now: Date): Room;
}

export type Room = { readonly ok: true } | { readonly ok: false; readonly retryAfterSeconds: number };

/** Counters that one process keeps for itself. */
export interface LocalCounters extends Counters {
  /** Takes the places of one call, all of them, whether or not there was room. */
  count(rates: readonly { readonly rule: string; readonly rate: Rate }[], agent: string, now: Date): void;
  /**
   * Takes the places of one call if each rate has room, and none otherwise.
   *
   * Calls that are decided in one turn see each other only through this: `room` alone would let all of them in.
   */
  take(rates: readonly { readonly rule: string; readonly rate: Rate }[], agent: string, now: Date): Room;
}

/** Up to this count a window is exact: one instant is kept for each call. */
export const EXACT_COUNT = 1_000;
/** A larger count is kept in this many slices; a slice leaves the window whole, so the error is on the strict side. */
export const SLICES = 1_000;
/** Counts beyond the rate are lumped together once a window holds this many slices. */
const MAX_SLICES = 2 * SLICES;
/** Windows kept at once. Beyond it, those that ran out are dropped; while all are in use a new one has no room. */
export const MAX_WINDOWS = 100_000;
/** A full house is looked through for empty windows at most this often. */
const SWEEP_INTERVAL_MS = 1_000;

/**
 * Counts calls in sliding windows, in memory.
 *
 * Never fails open: a clock that steps back keeps what was counted, and a full table refuses.
 */
export function createCounters(options: { readonly maxWindows?: number } = {}): LocalCounters {
  const maxWindows = options.maxWindows ?? MAX_WINDOWS;
  const windows = new Map<string, Window>();
  let sweptAtMs = Number.NEGATIVE_INFINITY;

  const admit = (nowMs: number): boolean => {
    if (windows.size < maxWindows) return true;
    if (Math.abs(nowMs - sweptAtMs) >= SWEEP_INTERVAL_MS) {
      sweptAtMs = nowMs;
      for (const [key, window] of windows) if (window.emptyAt(nowMs)) windows.delete(key);
    }
    return windows.size < maxWindows;
  };
  const room = (rule: string, agent: string, rate: Rate, now: Date): Room => {
    const window = windows.get(windowKey(rule, agent, rate));
    if (window !== undefined) return window.room(now.getTime());
    if (rate.count <= 0 || !admit(now.getTime())) return { ok: false, retryAfterSeconds: Math.ceil(rate.perSeconds) };
    return { ok: true };
  };
  const count: LocalCounters["count"] = (rates, agent, now) => {
    for (const { rule, rate } of rates) {
      const key = windowKey(rule, agent, rate);
      const window = windows.get(key) ?? createWindow(rate);
      window.count(now.getTime());
      if (windows.has(key) || admit(now.getTime())) windows.set(key, window);
    }
  };
  const take: LocalCounters["take"] = (rates, agent, now) => {
    for (const { rule, rate } of rates) {
      const answer = room(rule, agent, rate, now);
      if (!answer.ok) return answer;
    }
    count(rates, agent, now);
    return { ok: true };
  };
  return { room, count, take };
}

/** A changed rate begins a new count; the lengths make the three parts unambiguous. */
function windowKey(rule: string, agent: string, rate: Rate): string {
  return `${rule.length} ${rule} ${agent} ${rate.count}/${rate.perSeconds}`;
}

interface Window {
  room(nowMs: number): Room;
  count(nowMs: number): void;
  emptyAt(nowMs: number): boolean;
}

/** A queue of slices, oldest first; an exact window has slices of no length, so each holds the calls of one instant. */
function createWindow(rate: Rate): Window {
  const spanMs = rate.perSeconds * 1_000;
  const sliceMs = rate.count <= EXACT_COUNT ? 0 : spanMs / SLICES;
  const slices: { fromMs: number; lastMs: number; calls: number }[] = [];
  let total = 0;

  const expire = (nowMs: number): void => {
    let gone = 0;
    for (const slice of slices) {
      if (slice.lastMs + spanMs > nowMs) break;
      total -= slice.calls;
      gone += 1;
    }
    if (gone > 0) slices.splice(0, gone);
  };
  return {
    room(nowMs) {
      expire(nowMs);
      if (total < rate.count) return { ok: true };
      const first = slices[0];
      const waitMs = first === undefined ? spanMs : first.lastMs + spanMs - nowMs;
      return { ok: false, retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1_000)) };
    },
    count(nowMs) {
      expire(nowMs);
      total += 1;
      const last = slices.at(-1);
      // INVARIANT: `lastMs` never falls along the queue, even when the clock steps back.
      const atMs = last === undefined ? nowMs : Math.max(nowMs, last.lastMs);
      if (last !== undefined && (atMs - last.fromMs <= sliceMs || slices.length >= MAX_SLICES)) {
        last.lastMs = atMs;
        last.calls += 1;
      } else {
        slices.push({ fromMs: atMs, lastMs: atMs, calls: 1 });
      }
    },
    emptyAt(nowMs) {
      expire(nowMs);
      return total === 0;
    },
  };
}
