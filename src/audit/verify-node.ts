import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { MAX_UNSIGNED_EVENTS } from "./audit-chain.ts";
import { type AuditRecord, FIRST_PREV, readEventLine } from "./event-line.ts";
import { MerkleTree, parsePeaks } from "./merkle-frontier.ts";
import { listSegments, readLines, type Segment, segmentName } from "./read-lines.ts";
import { type Checkpoint, type NoteVerifier, originOf, parseCheckpoint, parseVkey } from "./signed-note.ts";

/** Something about the evidence that its node did not write. */
export interface AuditFinding {
  /** `<node>/NNNNNN.jsonl`, or the file it is about. */
  readonly segment: string;
  /** The line's number in the chain, as far as it is known. */
  readonly seq: number | null;
  readonly problem: string;
}

/** What a node's evidence is held against. */
export interface NodeExpectations {
  /** Keys that were kept elsewhere; without them `key.pub` is believed. */
  readonly pinned: readonly NoteVerifier[] | undefined;
  /** A signed note that was kept elsewhere. */
  readonly kept: { readonly note: string; readonly checkpoint: Checkpoint } | undefined;
  /** The last durable line of a running node: what follows it is not judged, and open calls are no findings. */
  readonly live: { readonly seq: number; readonly hash: string } | undefined;
}

/** What was found in one node's folder. */
export interface NodeVerdict {
  readonly events: number;
  readonly checkpoints: number;
  readonly findings: readonly AuditFinding[];
}

/** After so many findings of a node, only their number is given. */
const MAX_FINDINGS = 200;

/** Checks one node's folder, in one pass and in memory that does not grow with it. */
export async function verifyNode(folder: string, expected: NodeExpectations): Promise<NodeVerdict> {
  const pass = new NodePass(basename(folder), expected);
  pass.useKey(await readPublicKey(folder));
  for (const name of await readdir(folder)) {
    if (name.includes("jsonl") && !/^[0-9]{6}\.jsonl$/.test(name))
      pass.find(name, null, "the file does not belong here");
  }
  const segments = await listSegments(folder);
  for (const segment of segments) {
    await pass.segment(segment, { last: segment === segments.at(-1) });
    if (pass.done) break;
  }
  return pass.verdict();
}

class NodePass {
  readonly #node: string;
  readonly #expected: NodeExpectations;
  readonly #findings: AuditFinding[] = [];
  #unlisted = 0;
  #key: NoteVerifier | undefined;
  #segmentName = segmentName(1);
  #segmentIndex = 0;
  #events = 0;
  #checkpoints = 0;
  #unsigned = 0;
  #seq = 0;
  /** `undefined` after a line that could not be read. */
  #prev: string | undefined = FIRST_PREV;
  #tree = new MerkleTree();
  readonly #open = new Map<string, { readonly segment: string; readonly seq: number }>();
  #keptSeen = false;
  done = false;

  constructor(node: string, expected: NodeExpectations) {
    this.#node = node;
    this.#expected = expected;
  }

  useKey(own: string | undefined): void {
    const origin = originOf(this.#node);
    const key = own === undefined ? undefined : parseVkey(own);
    if (own === undefined) this.find("key.pub", null, "the public key is missing");
    else if (key === undefined) this.find("key.pub", null, "the public key cannot be read");
    else if (key.origin !== origin) this.find("key.pub", null, `the public key is of \`${key.origin}\``);
    const { pinned } = this.#expected;
    this.#key = pinned === undefined ? key : pinned.find((one) => one.origin === origin);
    if (pinned === undefined) return;
    if (this.#key === undefined) this.find("key.pub", null, `no key was given for \`${origin}\``);
    else if (own?.trim() !== this.#key.vkey) this.find("key.pub", null, "the public key is not the one given");
  }

  async segment(segment: Segment, { last }: { readonly last: boolean }): Promise<void> {
    this.#segmentName = segment.name;
    if (segment.index !== this.#segmentIndex + 1) {
      this.find(segment.name, null, `\`${segmentName(this.#segmentIndex + 1)}\` is missing before this segment`);
    }
    this.#segmentIndex = segment.index;
    const before = this.#events;
    let torn = 0;
    for await (const chunk of readLines(segment.path)) {
      for (const line of chunk.lines) {
        this.#line(line);
        if (this.done) return;
      }
      torn = chunk.torn?.length ?? 0;
    }
    if (torn > 0 && !(last && this.#expected.live !== undefined)) {
      this.find(segment.name, this.#seq + 1, "the last line was not written to its end");
    }
    if (!last && this.#events === before) this.find(segment.name, null, "the segment is empty");
  }

  verdict(): NodeVerdict {
    const { live, kept } = this.#expected;
    if (live !== undefined && this.#seq < live.seq) {
      this.find(this.#segmentName, this.#seq, `the evidence ends here, but the running node is at ${live.seq}`);
    }
    if (kept !== undefined) this.#checkKept(kept);
    if (live === undefined) {
      for (const [id, { segment, seq }] of this.#open) {
        this.find(segment, seq, `the call \`${id}\` was permitted and has no outcome`);
      }
    }
    if (this.#unlisted > 0)
      this.#findings.push(this.#finding(this.#segmentName, null, `${this.#unlisted} more findings`));
    return { events: this.#events, checkpoints: this.#checkpoints, findings: this.#findings };
  }

  find(file: string, seq: number | null, problem: string): void {
    if (this.#findings.length >= MAX_FINDINGS) this.#unlisted += 1;
    else this.#findings.push(this.#finding(file, seq, problem));
  }

  #line(line: Buffer): void {
    this.#events += 1;
    this.#unsigned += 1;
    const read = readEventLine(line);
    if ("fault" in read) {
      this.#seq += 1;
      this.#prev = undefined;
      this.find(this.#segmentName, this.#seq, read.fault);
      this.#absorb(line);
      return;
    }
    this.#checkPlace(read.record);
    if (read.record.type === "audit.checkpoint") this.#checkpoint(read.record);
    else if (this.#unsigned === MAX_UNSIGNED_EVENTS + 1) {
      this.find(this.#segmentName, this.#seq, `more than ${MAX_UNSIGNED_EVENTS} events without a checkpoint`);
    }
    this.#call(read.record);
    this.#absorb(read.text);
    const { live } = this.#expected;
    if (live !== undefined && this.#seq >= live.seq) {
      if (this.#prev !== live.hash) this.find(this.#segmentName, this.#seq, "the running node wrote another line here");
      this.done = true;
    }
  }

  #checkPlace(record: AuditRecord): void {
    const problem = this.#placeFault(record);
    if (problem !== undefined) this.find(this.#segmentName, record.seq, problem);
    if (record.node !== this.#node) this.find(this.#segmentName, record.seq, `the line is of node \`${record.node}\``);
    this.#seq = record.seq;
    this.#prev = record.hash;
  }

  #placeFault({ seq, prev }: AuditRecord): string | undefined {
    if (seq > this.#seq + 1) return `line ${this.#seq + 1} is missing before this one`;
    if (seq <= this.#seq) return "the line is repeated, or stands in another place than it was written";
    if (this.#prev !== undefined && prev !== this.#prev) return "the line does not follow the line before it";
    return undefined;
  }

  #checkpoint(record: AuditRecord): void {
    this.#checkpoints += 1;
    this.#unsigned = 0;
    const note = typeof record["note"] === "string" ? record["note"] : "";
    const signed = parseCheckpoint(note);
    const peaks = parsePeaks(Number(record["size"]), record["peaks"]);
    if (
      signed === undefined ||
      peaks === undefined ||
      signed.size !== record["size"] ||
      signed.size !== record.seq - 1
    ) {
      this.find(this.#segmentName, record.seq, "the checkpoint does not cover the lines before it");
      return;
    }
    if (this.#key !== undefined && !this.#key.verifies(note)) {
      this.find(this.#segmentName, record.seq, "the checkpoint is not signed by this node's key");
    }
    const claimed = new MerkleTree(peaks);
    if (!signed.root.equals(this.#tree.root()) || this.#tree.size !== signed.size) {
      this.find(this.#segmentName, record.seq, "the lines before this checkpoint are not those that were signed");
      this.#tree = claimed;
    }
    if (!claimed.root().equals(signed.root) || signed.root.toString("hex") !== record["root"]) {
      this.find(this.#segmentName, record.seq, "the checkpoint contradicts itself");
    }
  }

  #call({ type, decision, request_id: id, seq }: AuditRecord): void {
    if (id === null) return;
    if (type === "call.decided" && decision === "permit") this.#open.set(id, { segment: this.#segmentName, seq });
    if (type !== "call.completed" || this.#open.delete(id)) return;
    this.find(this.#segmentName, seq, `the call \`${id}\` has an outcome and no open decision`);
  }

  #absorb(line: string | Buffer): void {
    this.#compareKept();
    this.#tree.absorb(line);
    this.#compareKept();
  }

  #compareKept(): void {
    const kept = this.#expected.kept?.checkpoint;
    if (kept === undefined || this.#keptSeen || kept.size !== this.#tree.size) return;
    this.#keptSeen = true;
    if (!this.#tree.root().equals(kept.root)) {
      this.find(this.#segmentName, this.#seq, "the lines up to here are not those of the checkpoint that was kept");
    }
  }

  #checkKept({ note, checkpoint }: NonNullable<NodeExpectations["kept"]>): void {
    this.#compareKept();
    if (this.#key !== undefined && !this.#key.verifies(note)) {
      this.find("key.pub", null, "the checkpoint that was kept is not signed by this node's key");
    }
    if (!this.#keptSeen) {
      const problem = `the checkpoint that was kept covers ${checkpoint.size} lines, and there are ${this.#tree.size}`;
      this.find(this.#segmentName, this.#seq, problem);
    }
  }

  #finding(file: string, seq: number | null, problem: string): AuditFinding {
    return { segment: `${this.#node}/${file}`, seq, problem };
  }
}

async function readPublicKey(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, "key.pub"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
