import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { readEventLine } from "./event-line.ts";
import { listNodeFolders, listSegments, readTorn } from "./read-lines.ts";
import { type AuditQuery, type FoundEvent, matchesQuery, searchAudit } from "./search-audit.ts";

/** How often the files are looked at: 250 ms. */
const LOOK_MS = 250;

/** How much of a file is taken at a time: 1 MiB. */
const TAKE_BYTES = 1024 * 1024;

const LINE_FEED = 10;

/**
 * Gives the newest events, then each new one as it is written, until the signal says stop.
 *
 * For a person's terminal: it may show an event an instant before it is durable, and it polls.
 *
 * @param folder - An `audit/` folder, one node's folder in it, or a home.
 * @param query - `limit` says how many old events come first.
 */
export async function* tailAudit(folder: string, query: AuditQuery, signal: AbortSignal): AsyncGenerator<FoundEvent> {
  const places = await placesAtEnd(folder);
  const old = await searchAudit(folder, query);
  const shown = new Map<string, number>();
  for (const event of old) {
    shown.set(event.record.node, event.record.seq);
    yield event;
  }
  while (!signal.aborted) {
    for (const event of await takeNew(folder, places)) {
      if (event.record.seq <= (shown.get(event.record.node) ?? 0) || !matchesQuery(event.record, query)) continue;
      yield event;
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** How far each file was read. A file that is not named here is new. */
type Places = Map<string, number>;

async function placesAtEnd(folder: string): Promise<Places> {
  const places: Places = new Map();
  for (const node of await listNodeFolders(folder)) {
    for (const { path } of await listSegments(node)) places.set(path, (await readTorn(path)).offset);
  }
  return places;
}

async function takeNew(folder: string, places: Places): Promise<FoundEvent[]> {
  const found: FoundEvent[] = [];
  for (const node of await listNodeFolders(folder)) {
    for (const { path } of (await listSegments(node)).slice(-2)) found.push(...(await takeFrom(path, places)));
  }
  return found;
}

async function takeFrom(path: string, places: Places): Promise<FoundEvent[]> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const from = Math.min(places.get(path) ?? 0, size);
    const bytes = Buffer.alloc(Math.min(size - from, TAKE_BYTES));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
    const whole = bytes.subarray(0, bytes.subarray(0, bytesRead).lastIndexOf(LINE_FEED) + 1);
    places.set(path, from + whole.length);
    return [...eventsOf(whole)];
  } finally {
    await file.close();
  }
}

function* eventsOf(bytes: Buffer): Generator<FoundEvent> {
  let start = 0;
  for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
    const read = readEventLine(bytes.subarray(start, end));
    if (!("fault" in read)) yield { line: read.text, record: read.record };
    start = end + 1;
  }
}
