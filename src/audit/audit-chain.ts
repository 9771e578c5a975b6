import type { AuditEvent } from "./event.ts";
import { FIRST_PREV, writeEventLine } from "./event-line.ts";
import { type MerkleFrontier, MerkleTree, printPeaks } from "./merkle-frontier.ts";
import type { NoteSigner } from "./signed-note.ts";

/** No more events than this stand between two signed checkpoints; a verifier holds the log to it. */
export const MAX_UNSIGNED_EVENTS = 1000;

/** An event that comes this long after the last checkpoint brings a new one along: 1 s. */
const CHECKPOINT_INTERVAL_MS = 1000;

/** How much a checkpoint says about calls under way, in characters, the oldest first; later ones are found by reading on. */
const MAX_OPEN_CHARS = 64 * 1024;

/** Where a chain has come to. */
export interface ChainTip {
  /** `seq` of the last line; 0 before the first. */
  readonly seq: number;
  /** `hash` of the last line. */
  readonly hash: string;
  readonly tree: MerkleFrontier;
  /** `seq` of the last `audit.checkpoint`; 0 before the first. */
  readonly checkpointSeq: number;
}

/** A permitted call whose outcome is not written yet: what its outcome will have to repeat. */
export interface OpenCall {
  readonly seq: number;
  readonly request_id: string;
  readonly agent: string | null;
  readonly tenant: string | null;
  readonly user: string | null;
  readonly service: string | null;
  readonly operation: string | null;
}

/** The tip of an empty log. */
export const FIRST_TIP: ChainTip = { seq: 0, hash: FIRST_PREV, tree: { size: 0, peaks: [] }, checkpointSeq: 0 };

/** A line that was given its place. */
export interface ChainedLine {
  readonly line: string;
  readonly seq: number;
}

/**
 * Gives events their place: number, time, hash of the line before. Pure but for its own state; writes nothing.
 *
 * The Merkle tree lags behind: its hashes are made when {@link AuditChain.tip} is asked for, so that they can be made
 * while the disk is busy.
 */
export class AuditChain {
  readonly #node: string;
  readonly #signer: NoteSigner;
  #seq: number;
  #hash: string;
  #tree: MerkleTree;
  #unabsorbed: string[] = [];
  #checkpointSeq: number;
  #checkpointAtMs = 0;
  #at = { ms: Number.NaN, text: "" };

  constructor({ node, signer, tip }: { readonly node: string; readonly signer: NoteSigner; readonly tip: ChainTip }) {
    this.#node = node;
    this.#signer = signer;
    this.#seq = tip.seq;
    this.#hash = tip.hash;
    this.#tree = new MerkleTree(tip.tree);
    this.#checkpointSeq = tip.checkpointSeq;
  }

  /** Whether a checkpoint should stand before the next event. */
  checkpointDue(now: Date): boolean {
    const events = this.#seq - this.#checkpointSeq;
    if (events >= MAX_UNSIGNED_EVENTS) return true;
    return events > 0 && Math.abs(now.getTime() - this.#checkpointAtMs) >= CHECKPOINT_INTERVAL_MS;
  }

  add(event: AuditEvent, now: Date): ChainedLine {
    const seq = this.#seq + 1;
    const place = { seq, at: this.#timestamp(now), node: this.#node, prev: this.#hash };
    const { line, hash } = writeEventLine(event, place);
    this.#seq = seq;
    this.#hash = hash;
    this.#unabsorbed.push(line);
    return { line, seq };
  }

  /**
   * Adds an `audit.checkpoint` over every line so far, itself excluded.
   *
   * It carries the tree's peaks and the calls under way, so that a start reads back no further than to here.
   *
   * @param open - Calls under way as far as is durable, oldest first.
   * @param durableSeq - Up to where `open` is complete.
   */
  addCheckpoint(
    { open, durableSeq }: { readonly open: Iterable<OpenCall>; readonly durableSeq: number },
    now: Date,
  ): ChainedLine & { readonly note: string } {
    this.#absorb();
    const root = this.#tree.root();
    const note = this.#signer.sign({ size: this.#tree.size, root });
    const { listed, openFrom } = this.#openCalls(open, durableSeq);
    const data = {
      size: this.#tree.size,
      root: root.toString("hex"),
      note,
      peaks: printPeaks(this.#tree.frontier()),
      open: listed as unknown as readonly { readonly [key: string]: string | number | null }[],
      open_from: openFrom,
    };
    const added = this.add({ type: "audit.checkpoint", data }, now);
    this.#checkpointSeq = added.seq;
    this.#checkpointAtMs = now.getTime();
    return { ...added, note };
  }

  tip(): ChainTip {
    this.#absorb();
    return { seq: this.#seq, hash: this.#hash, tree: this.#tree.frontier(), checkpointSeq: this.#checkpointSeq };
  }

  /** Forgets every line after this tip. */
  reset(tip: ChainTip): void {
    this.#seq = tip.seq;
    this.#hash = tip.hash;
    this.#tree = new MerkleTree(tip.tree);
    this.#unabsorbed = [];
    this.#checkpointSeq = tip.checkpointSeq;
  }

  #absorb(): void {
    for (const line of this.#unabsorbed) this.#tree.absorb(line);
    this.#unabsorbed = [];
  }

  /** Calls older than the last checkpoint are listed; the few since then are found by reading on from `openFrom`. */
  #openCalls(open: Iterable<OpenCall>, durableSeq: number): { listed: OpenCall[]; openFrom: number } {
    const listed: OpenCall[] = [];
    let chars = 0;
    for (const call of open) {
      if (call.seq > this.#checkpointSeq) return { listed, openFrom: call.seq };
      chars += JSON.stringify(call).length;
      if (chars > MAX_OPEN_CHARS) return { listed, openFrom: call.seq };
      listed.push(call);
    }
    return { listed, openFrom: durableSeq + 1 };
  }

  #timestamp(now: Date): string {
    const ms = now.getTime();
    if (ms !== this.#at.ms) this.#at = { ms, text: now.toISOString() };
    return this.#at.text;
  }
}
