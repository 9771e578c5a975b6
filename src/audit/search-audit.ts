import { type AuditRecord, readEventLine } from "./event-line.ts";
import { listNodeFolders, listSegments, readLinesBackward } from "./read-lines.ts";

/** Which events to find. Absent conditions match everything; all that are given must hold. */
export interface AuditQuery {
  readonly request?: string;
  readonly agent?: string;
  readonly service?: string;
  /** A type (`call.decided`) or a family (`call.*`). */
  readonly type?: string;
  /** Not before this instant. */
  readonly since?: Date;
  /** How many of the newest; {@link DEFAULT_LIMIT} when absent, {@link MAX_LIMIT} at most. */
  readonly limit?: number;
}

/** One event found: the line as it stands in the file, and what it says. */
export interface FoundEvent {
  readonly line: string;
  readonly record: AuditRecord;
}

export const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 100_000;

/** How far a node's clock may have been set back before a line can be overlooked by `since`: 1 h. */
const CLOCK_SLACK_MS = 3_600_000;

/**
 * Finds events, reading from the newest to the oldest. Lines that cannot be read are passed over: `verify` names them.
 *
 * @param folder - An `audit/` folder, one node's folder in it, or a home.
 * @returns Oldest first.
 */
export async function searchAudit(folder: string, query: AuditQuery): Promise<FoundEvent[]> {
  const limit = Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
  const found: FoundEvent[] = [];
  for (const node of await listNodeFolders(folder)) found.push(...(await searchNode(node, query, limit)));
  found.sort((one, other) => (one.record.at < other.record.at ? -1 : one.record.at > other.record.at ? 1 : 0));
  return found.slice(-limit);
}

/** Whether an event is one of those asked for; `limit` is not looked at. */
export function matchesQuery(record: AuditRecord, query: AuditQuery): boolean {
  if (query.request !== undefined && record.request_id !== query.request) return false;
  if (query.agent !== undefined && record.agent !== query.agent) return false;
  if (query.service !== undefined && record.service !== query.service) return false;
  if (query.since !== undefined && !(Date.parse(record.at) >= query.since.getTime())) return false;
  return query.type === undefined || matchesType(record.type, query.type);
}

async function searchNode(folder: string, query: AuditQuery, limit: number): Promise<FoundEvent[]> {
  const found: FoundEvent[] = [];
  const needles = needlesOf(query);
  const stopBefore = query.since === undefined ? undefined : query.since.getTime() - CLOCK_SLACK_MS;
  for (const segment of (await listSegments(folder)).reverse()) {
    for await (const line of readLinesBackward(segment.path)) {
      if (found.length >= limit) return found.reverse();
      if (needles.length > 0 && stopBefore === undefined && !needles.every((needle) => line.includes(needle))) continue;
      const read = readEventLine(line);
      if ("fault" in read) continue;
      if (stopBefore !== undefined && Date.parse(read.record.at) < stopBefore) return found.reverse();
      if (matchesQuery(read.record, query)) found.push({ line: read.text, record: read.record });
    }
  }
  return found.reverse();
}

/** What must stand in a line that matches: looked for before the line is parsed. */
function needlesOf({ request, agent, service }: AuditQuery): Buffer[] {
  return [request, agent, service]
    .filter((value) => value !== undefined)
    .map((value) => Buffer.from(JSON.stringify(value)));
}

function matchesType(type: string, pattern: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
