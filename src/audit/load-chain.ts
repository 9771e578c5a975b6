import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ChainTip, FIRST_TIP, MAX_UNSIGNED_EVENTS, type OpenCall } from "./audit-chain.ts";
import { type AuditRecord, FIRST_PREV, readEventLine } from "./event-line.ts";
import { MerkleTree, parsePeaks } from "./merkle-frontier.ts";
import { listSegments, readLinesBackward, readTorn, type Segment } from "./read-lines.ts";
import { type NoteVerifier, parseCheckpoint } from "./signed-note.ts";

/** The evidence is not what this node wrote: nothing may be appended to it. */
export class AuditDamage extends Error {
  readonly segment: string;

  constructor(segment: string, problem: string) {
    super(problem);
    this.name = "AuditDamage";
    this.segment = segment;
  }
}

/** What a start finds in a node's folder. */
export interface LoadedChain {
  readonly tip: ChainTip;
  /** Where to go on; `undefined` when there is no segment yet. */
  readonly segment: { readonly index: number; readonly offset: number } | undefined;
  /** Permitted calls without an outcome, oldest first: what a crash interrupted. */
  readonly open: readonly OpenCall[];
  /** A last line that was not written to its end, and therefore never acknowledged. */
  readonly torn: { readonly segment: string; readonly bytes: number; readonly sha256: string } | undefined;
}

/**
 * Reads back as much of a node's chain as it takes to go on: to the last checkpoint, or to the oldest open call.
 *
 * What stands between that checkpoint and the end is checked line by line; what lies before it is `verify`'s business.
 *
 * @param key - This node's own key: the last checkpoint must bear its signature.
 * @throws {AuditDamage} when what was read is not an unbroken end of a chain.
 */
export async function loadChain(folder: string, key: NoteVerifier): Promise<LoadedChain> {
  const segments = await listSegments(folder);
  const last = segments.at(-1);
  if (last === undefined) return { tip: FIRST_TIP, segment: undefined, open: [], torn: undefined };
  if (last.index !== segments.length) throw new AuditDamage(last.name, "a segment is missing before this one");

  const { offset, bytes } = await readTorn(last.path);
  const sha256 = hash("sha256", bytes, "hex");
  const torn = bytes.length > 0 ? { segment: last.name, bytes: bytes.length, sha256 } : undefined;
  const tail = await readTail(segments, offset);
  await checkPublicKey(folder, key, tail.lines.length === 0);
  const tip = followTail(tail, key);
  return { tip, segment: { index: last.index, offset }, open: tail.open, torn };
}

interface TailLine {
  readonly segment: string;
  readonly line: Buffer;
  readonly record: AuditRecord;
}

interface Tail {
  /** From the last checkpoint, or from the first line of all, to the end. */
  readonly lines: readonly TailLine[];
  readonly checkpoint: AuditRecord | undefined;
  readonly open: readonly OpenCall[];
}

async function readTail(segments: readonly Segment[], end: number): Promise<Tail> {
  const lines: TailLine[] = [];
  const calls = new OpenCallsBackward();
  let checkpoint: AuditRecord | undefined;
  for await (const at of linesFromTheEnd(segments, end)) {
    calls.add(at.record);
    if (checkpoint === undefined) {
      lines.push(at);
      if (at.record.type === "audit.checkpoint") checkpoint = at.record;
      else if (lines.length > MAX_UNSIGNED_EVENTS) throw new AuditDamage(at.segment, "the end has no checkpoint");
    }
    if (checkpoint !== undefined && at.record.seq <= Number(checkpoint["open_from"])) break;
  }
  if (checkpoint !== undefined) calls.addListed(checkpoint["open"]);
  return { lines: lines.reverse(), checkpoint, open: calls.result() };
}

async function* linesFromTheEnd(segments: readonly Segment[], end: number): AsyncGenerator<TailLine> {
  for (let index = segments.length - 1; index >= 0; index -= 1) {
    const { name, path } = segments[index]!;
    for await (const line of readLinesBackward(path, index === segments.length - 1 ? end : undefined)) {
      const read = readEventLine(line);
      if ("fault" in read) throw new AuditDamage(name, read.fault);
      yield { segment: name, line, record: read.record };
    }
  }
}

/** Checks the tail from its first line to its last, and rebuilds the state that it ends in. */
function followTail({ lines, checkpoint }: Tail, key: NoteVerifier): ChainTip {
  const tree = checkpoint === undefined ? new MerkleTree() : treeOf(lines[0]!, key);
  let seq = checkpoint === undefined ? 0 : checkpoint.seq - 1;
  let prev = checkpoint === undefined ? FIRST_PREV : checkpoint.prev;
  for (const { segment, line, record } of lines) {
    if (record.seq !== seq + 1) throw new AuditDamage(segment, `line ${seq + 1} is not where it should be`);
    if (record.prev !== prev) throw new AuditDamage(segment, `line ${record.seq} does not follow the line before it`);
    tree.absorb(line);
    seq = record.seq;
    prev = record.hash;
  }
  return { seq, hash: prev, tree: tree.frontier(), checkpointSeq: checkpoint?.seq ?? 0 };
}

/** The tree before a checkpoint's own line, from its peaks, checked against its signed root. */
function treeOf({ segment, record }: TailLine, key: NoteVerifier): MerkleTree {
  const note = String(record["note"]);
  const signed = parseCheckpoint(note);
  const frontier = parsePeaks(record.seq - 1, record["peaks"]);
  if (!key.verifies(note)) throw new AuditDamage(segment, "the last checkpoint is not signed by this node's key");
  if (signed === undefined || frontier === undefined || signed.size !== frontier.size) {
    throw new AuditDamage(segment, "the last checkpoint does not say what it covers");
  }
  const tree = new MerkleTree(frontier);
  if (!tree.root().equals(signed.root))
    throw new AuditDamage(segment, "the last checkpoint's peaks are not its root's");
  return tree;
}

async function checkPublicKey(folder: string, key: NoteVerifier, empty: boolean): Promise<void> {
  let text: string;
  try {
    text = await readFile(join(folder, "key.pub"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (!empty && text.trim() !== key.vkey) throw new AuditDamage("key.pub", "the public key is not this node's key");
}

/** Finds decisions without outcome while the lines pass from the last to the first. */
class OpenCallsBackward {
  readonly #completed = new Set<string>();
  readonly #open: OpenCall[] = [];

  add(record: AuditRecord): void {
    const id = record.request_id;
    if (id === null) return;
    if (record.type === "call.completed") this.#completed.add(id);
    if (record.type !== "call.decided" || record.decision !== "permit" || this.#completed.has(id)) return;
    const { seq, agent, tenant, user, service, operation } = record;
    this.#open.push({ seq, request_id: id, agent, tenant, user, service, operation });
  }

  /** Calls that a checkpoint names: older than all that was read. */
  addListed(listed: unknown): void {
    if (!Array.isArray(listed)) return;
    for (const call of listed as OpenCall[]) if (!this.#completed.has(call.request_id)) this.#open.push(call);
  }

  result(): OpenCall[] {
    return this.#open.sort((one, other) => one.seq - other.seq);
  }
}
