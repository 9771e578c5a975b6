/**
 * The log on disk: group commit, and what happens when the disk fails.
 *
 * One file, although long: the states of a commit and of its failure are one machine, and its invariants are
 *
 * - what was acknowledged is in the file; what was rejected is not, and its place in the chain is given anew;
 * - one batch is on its way to the disk, the next one collects meanwhile, and no timer is involved: a batch waits only
 *   while the event loop goes on bringing events for it, so that a lone caller never waits;
 * - after any error the descriptor is not trusted again: a failed fdatasync may have dropped the pages it was for.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { Problem } from "../base/problem.ts";
import { AuditChain, type ChainTip, type OpenCall } from "./audit-chain.ts";
import type { CommitJournal } from "./commit-journal.ts";
import type { AuditEvent, AuditEventType, AuditLog } from "./event.ts";
import { interruptedCall } from "./interrupted-call.ts";
import { OpenCalls } from "./open-calls.ts";
import { createSegment, fillReserve, releaseReserve, reopenSegment, type SegmentFile } from "./segment-file.ts";
import type { NoteSigner } from "./signed-note.ts";

/** The evidence of one node, open for appending. */
export interface FileAuditLog extends AuditLog, AsyncDisposable {
  readonly node: string;
  /** The public key of this node's checkpoints, as a C2SP vkey. */
  readonly publicKey: string;
  /** Appends a checkpoint over all that is there. @returns The signed note, durable. @throws {Problem} `audit_unavailable`. */
  checkpoint(): Promise<string>;
  /** The last durable line. */
  head(): { readonly seq: number; readonly hash: string };
  /** Tries to recover when there is need and it is time. @returns What {@link AuditLog.unavailable} says then. */
  probe(): Promise<string | undefined>;
  /** Called with a reason when appending becomes impossible, and with `undefined` when it is possible again. */
  onUnavailable(listener: (reason: string | undefined) => void): void;
  /** Appends `node.stopped` and a last checkpoint, if that is possible, and closes the file. Never throws. */
  close(): Promise<void>;
}

/** What a log begins with. */
export interface LogStart {
  /** The node's own folder. */
  readonly folder: string;
  readonly node: string;
  readonly signer: NoteSigner;
  readonly digestKey: Buffer;
  readonly now: () => Date;
  readonly segmentBytes: number;
  readonly tip: ChainTip;
  readonly segment: SegmentFile;
  /** `undefined` where there is no room for one. */
  readonly journal: CommitJournal | undefined;
  readonly open: readonly OpenCall[];
  /** Whether the reserve could be filled. */
  readonly reserved: boolean;
}

/** Events that are written even where there is only the reserve left: what makes things safer, or says how they ended. */
const ESSENTIAL: ReadonlySet<AuditEventType> = new Set<AuditEventType>([
  "call.completed",
  "approval.used",
  "approval.denied",
  "grant.revoked",
  "token.revoked",
  "secret.removed",
  "kill.set",
  "upstream.stopped",
  "audit.checkpoint",
  "audit.repaired",
  "node.started",
  "node.stopped",
]);

/** How long to wait between two attempts to recover: 1 s. */
const RETRY_MS = 1000;

/** What may wait for the disk, in characters: 32 Mi. */
const MAX_WAITING_CHARS = 32 * 1024 * 1024;

/** How many appends may wait for a recovery. */
const MAX_WAITING_APPENDS = 10_000;

/** A batch is closed after this many turns of the event loop, although each of them brought more. */
const GATHER_TURNS_MAX = 64;

/** A commit that takes longer than this is reported as trouble: 10 s. */
const STALLED_MS = 10_000;

const NO_SPACE = "the disk is full: only the outcomes of calls under way are still written";
const NO_RESERVE = "there is no room for the reserve against a full disk";

/** The first 16 bytes of the HMAC, in hexadecimal. */
const DIGEST_CHARS = 32;

type Deferred = PromiseWithResolvers<void>;

type State =
  | { readonly kind: "open" }
  /** No space but the reserve's: only essential events. */
  | { readonly kind: "reserve"; readonly why: string; readonly retryAtMs: number }
  | { readonly kind: "recovering"; readonly why: string; readonly done: Promise<void> }
  | { readonly kind: "broken"; readonly why: string; readonly retryAtMs: number }
  | { readonly kind: "closed" };

interface Batch {
  readonly lines: string[];
  chars: number;
  /** Calls that begin or end here, to be counted once durable. */
  readonly calls: { readonly seq: number; readonly event: AuditEvent }[];
  /** What can be done while it is on its way to the disk. */
  readonly meanwhile: (() => void)[];
  /** What the appends of this batch wait for; essential ones apart, because they get a second chance. */
  readonly ordinary: Deferred;
  readonly essential: Deferred;
  readonly essentialEvents: AuditEvent[];
  /** Of an earlier batch that failed: their events ride in this one. */
  readonly carried: Deferred[];
}

export class SegmentedAuditLog implements FileAuditLog {
  readonly node: string;
  readonly publicKey: string;
  readonly #start: LogStart;
  readonly #chain: AuditChain;
  readonly #digestKey: KeyObject;
  readonly #open = new OpenCalls();
  /** Calls whose outcome could not be written: written as interrupted when that is possible again. */
  readonly #orphans = new Map<string, OpenCall>();
  readonly #listeners: ((reason: string | undefined) => void)[] = [];
  #segment: SegmentFile;
  #durable: ChainTip;
  #collecting: Batch = newBatch();
  #committing: { readonly sinceMs: number } | undefined;
  #committed: Promise<void> = Promise.resolve();
  #state: State;
  /** A sign of how many callers there are: see `#put`. */
  #lastBatchLines = 0;
  #waitingAppends = 0;
  #refilling: Promise<void> | undefined;

  constructor(start: LogStart) {
    this.#start = start;
    this.node = start.node;
    this.publicKey = start.signer.vkey;
    this.#chain = new AuditChain(start);
    // As a key object: bytes would be made into one at each digest, which takes longer than the digest.
    this.#digestKey = createSecretKey(start.digestKey);
    this.#durable = start.tip;
    this.#segment = start.segment;
    for (const call of start.open) this.#open.add(call);
    this.#state = start.reserved ? { kind: "open" } : { kind: "reserve", why: NO_RESERVE, retryAtMs: 0 };
  }

  append(event: AuditEvent, meanwhile?: () => void): Promise<void> {
    if (this.#state.kind === "open") return this.#collect(event, meanwhile);
    return this.#appendInTrouble(event);
  }

  digest(value: string | Uint8Array): string {
    return `hmac:${createHmac("sha256", this.#digestKey).update(value).digest("hex").slice(0, DIGEST_CHARS)}`;
  }

  unavailable(): string | undefined {
    if (this.#state.kind === "closed") return "the evidence is closed";
    if (this.#state.kind !== "open") return this.#state.why;
    const stalledMs = this.#committing === undefined ? 0 : this.#nowMs() - this.#committing.sinceMs;
    return stalledMs > STALLED_MS ? `the disk has not answered for ${Math.floor(stalledMs / 1000)} s` : undefined;
  }

  async checkpoint(): Promise<string> {
    await this.probe();
    if (this.#state.kind !== "open" && this.#state.kind !== "reserve") throw this.#refusal();
    const { note, durable } = this.#collectCheckpoint(this.#start.now());
    await durable;
    return note;
  }

  head(): { readonly seq: number; readonly hash: string } {
    return { seq: this.#durable.seq, hash: this.#durable.hash };
  }

  async probe(): Promise<string | undefined> {
    const state = this.#state;
    if (state.kind === "recovering") await state.done;
    if (state.kind === "broken" && this.#isDue(state.retryAtMs)) await this.#recover(state.why);
    if (state.kind === "reserve" && this.#isDue(state.retryAtMs)) await this.#refill();
    return this.unavailable();
  }

  onUnavailable(listener: (reason: string | undefined) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    if (this.#state.kind === "closed") return;
    await this.append({ type: "node.stopped" }).catch(() => undefined);
    await this.checkpoint().catch(() => undefined);
    await this.#committed;
    this.#state = { kind: "closed" };
    await this.#segment.settle().catch(() => undefined);
    await this.#segment.close().catch(() => undefined);
    await this.#start.journal?.close().catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #collect(event: AuditEvent, meanwhile?: () => void): Promise<void> {
    if (this.#collecting.chars > MAX_WAITING_CHARS) return this.#refuse(event, "too many events wait for the disk");
    try {
      return this.#place(event, meanwhile);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #place(event: AuditEvent, meanwhile?: () => void): Promise<void> {
    const now = this.#start.now();
    if (this.#chain.checkpointDue(now)) this.#collectCheckpoint(now);
    const batch = this.#collecting;
    const { line, seq } = this.#chain.add(event, now);
    this.#put(batch, line);
    if (meanwhile !== undefined) batch.meanwhile.push(meanwhile);
    if (event.type === "call.decided" || event.type === "call.completed") batch.calls.push({ seq, event });
    if (!ESSENTIAL.has(event.type)) return batch.ordinary.promise;
    batch.essentialEvents.push(event);
    return batch.essential.promise;
  }

  #collectCheckpoint(now: Date): { readonly note: string; readonly durable: Promise<void> } {
    const state = { open: this.#open, durableSeq: this.#durable.seq };
    const { line, note } = this.#chain.addCheckpoint(state, now);
    this.#put(this.#collecting, line);
    // A checkpoint is not an event to be carried over: it would have to be made anew.
    return { note, durable: this.#collecting.ordinary.promise };
  }

  #put(batch: Batch, line: string): void {
    batch.lines.push(line);
    batch.chars += line.length;
    if (this.#committing !== undefined) return;
    this.#committing = { sinceMs: this.#nowMs() };
    const begin = () => {
      this.#committed = this.#commit();
    };
    // Where there is more than one caller, what the other sockets of this turn bring shares the commit.
    if (this.#lastBatchLines > 1) this.#gather(begin);
    else queueMicrotask(begin);
  }

  async #commit(): Promise<void> {
    while (this.#collecting.lines.length > 0) {
      this.#committing = { sinceMs: this.#nowMs() };
      let batch: Batch | undefined;
      try {
        if (this.#segment.offset >= this.#start.segmentBytes) await this.#rotate();
        batch = this.#collecting;
        this.#collecting = newBatch();
        this.#lastBatchLines = batch.lines.length;
        await this.#write(batch);
      } catch (error) {
        this.#committing = undefined;
        this.#fail(error, batch);
        return;
      }
      this.#acknowledge(batch);
      if (this.#lastBatchLines > 1) await new Promise<void>((resolve) => this.#gather(resolve));
    }
    this.#committing = undefined;
  }

  /** Waits while each turn of the event loop brings more events: a commit costs the processor as much as a whole call. */
  #gather(then: () => void): void {
    let turnsLeft = GATHER_TURNS_MAX;
    let gathered = -1;
    const look = () => {
      const { length } = this.#collecting.lines;
      if (length === gathered || turnsLeft === 0) return then();
      turnsLeft -= 1;
      gathered = length;
      setImmediate(look);
    };
    look();
  }

  async #write(batch: Batch): Promise<void> {
    let tip = this.#durable;
    // The last line ends like the others.
    batch.lines.push("");
    await this.#segment.append(batch.lines.join("\n"), () => {
      tip = this.#chain.tip();
      for (const work of batch.meanwhile) work();
    });
    this.#durable = tip;
  }

  async #rotate(): Promise<void> {
    await this.#segment.settle();
    const next = await createSegment(this.#start.folder, this.#segment.index + 1, this.#start.journal);
    await this.#segment.close().catch(() => undefined);
    this.#segment = next;
  }

  #acknowledge(batch: Batch): void {
    for (const { seq, event } of batch.calls) this.#count(seq, event);
    batch.ordinary.resolve();
    batch.essential.resolve();
    for (const deferred of batch.carried) deferred.resolve();
  }

  #count(seq: number, event: AuditEvent): void {
    const id = event.request_id;
    if (id === undefined) return;
    if (event.type === "call.completed") {
      this.#open.remove(id, event.tie);
      if (this.#orphans.size > 0) this.#orphans.delete(id);
    } else if (event.decision === "permit") {
      const { agent = null, tenant = null, user = null, service = null, operation = null } = event;
      this.#open.add({ seq, request_id: id, agent, tenant, user, service, operation }, event.tie);
    }
  }

  /** A commit failed: everything since the last durable line is forgotten, and the way back is looked for. */
  #fail(error: unknown, writing: Batch | undefined): void {
    const why = reasonOf(error);
    const affected = writing === undefined ? [this.#collecting] : [writing, this.#collecting];
    this.#collecting = newBatch();
    this.#chain.reset(this.#durable);
    this.#enter({ kind: "recovering", why, done: this.#abandonAndRecover(error, why, affected) });
  }

  async #abandonAndRecover(error: unknown, why: string, affected: readonly Batch[]): Promise<void> {
    await this.#segment.abandon();
    if (isNoSpace(error)) await releaseReserve(this.#start.folder);
    // Once is a chance, twice is a state: what was carried here already is given up, and nothing is tried for a while.
    const second = affected.some((batch) => batch.carried.length > 0);
    const state = second ? this.#broken(why) : await this.#reopen({ spaceIsShort: isNoSpace(error) });
    const problem = problemOf(why, error);
    for (const batch of affected) batch.ordinary.reject(problem);
    if (state.kind === "broken") for (const batch of affected) this.#giveUp(batch, problem);
    this.#settle(state);
    if (state.kind !== "broken") for (const batch of affected) this.#carry(batch);
  }

  #recover(why: string): Promise<void> {
    const done = this.#reopen({ spaceIsShort: false }).then((state) => this.#settle(state));
    this.#enter({ kind: "recovering", why, done });
    return done;
  }

  async #reopen({ spaceIsShort }: { readonly spaceIsShort: boolean }): Promise<State> {
    const { folder } = this.#start;
    try {
      this.#segment = await reopenSegment(folder, this.#segment, this.#durable, this.#start.journal);
    } catch (error) {
      return this.#broken(reasonOf(error));
    }
    if (spaceIsShort) return { kind: "reserve", why: NO_SPACE, retryAtMs: this.#nowMs() + RETRY_MS };
    return this.#fillReserve();
  }

  #fillReserve(): Promise<State> {
    return fillReserve(this.#start.folder).then(
      () => ({ kind: "open" }),
      (error) => ({ kind: "reserve", why: reasonOf(error), retryAtMs: this.#nowMs() + RETRY_MS }),
    );
  }

  #broken(why: string): State {
    return { kind: "broken", why, retryAtMs: this.#nowMs() + RETRY_MS };
  }

  #settle(state: State): void {
    this.#enter(state);
    if (state.kind === "broken") return;
    const orphans = [...this.#orphans.values()];
    this.#orphans.clear();
    for (const call of orphans) void this.#place(interruptedCall(call));
  }

  #refill(): Promise<void> {
    this.#refilling ??= this.#fillReserve().then((state) => {
      this.#refilling = undefined;
      if (this.#state.kind === "reserve") this.#enter(state);
    });
    return this.#refilling;
  }

  #carry(batch: Batch): void {
    if (batch.essentialEvents.length === 0) return;
    for (const event of batch.essentialEvents) void this.#place(event);
    this.#collecting.carried.push(batch.essential, ...batch.carried);
  }

  #giveUp(batch: Batch, problem: Problem): void {
    for (const event of batch.essentialEvents) this.#orphan(event);
    batch.essential.reject(problem);
    for (const deferred of batch.carried) deferred.reject(problem);
  }

  #orphan(event: AuditEvent): void {
    if (event.type !== "call.completed" || event.request_id === undefined) return;
    const call = this.#open.find(event.request_id, event.tie);
    if (call !== undefined) this.#orphans.set(call.request_id, call);
  }

  #appendInTrouble(event: AuditEvent): Promise<void> {
    const state = this.#state;
    switch (state.kind) {
      case "open":
        return this.#collect(event);
      case "closed":
        return this.#refuse(event);
      case "reserve":
        if (ESSENTIAL.has(event.type)) return this.#collect(event);
        if (!this.#isDue(state.retryAtMs)) return this.#refuse(event);
        return this.#appendAfter(event, this.#refill());
      case "recovering":
        return this.#appendAfter(event, state.done);
      case "broken":
        if (!this.#isDue(state.retryAtMs)) return this.#refuse(event);
        return this.#appendAfter(event, this.#recover(state.why));
    }
  }

  async #appendAfter(event: AuditEvent, attempt: Promise<void>): Promise<void> {
    if (this.#waitingAppends >= MAX_WAITING_APPENDS) return this.#refuse(event);
    this.#waitingAppends += 1;
    await attempt;
    this.#waitingAppends -= 1;
    const { kind } = this.#state;
    if (kind === "open" || (kind === "reserve" && ESSENTIAL.has(event.type))) return this.#collect(event);
    return this.#refuse(event);
  }

  #refuse(event: AuditEvent, why?: string): Promise<void> {
    this.#orphan(event);
    return Promise.reject(this.#refusal(why));
  }

  #refusal(why = this.unavailable() ?? "the evidence cannot be written"): Problem {
    return problemOf(why, undefined);
  }

  #enter(state: State): void {
    const before = this.unavailable();
    this.#state = state;
    const after = this.unavailable();
    if (before === after) return;
    for (const listener of this.#listeners) queueMicrotask(() => listener(after));
  }

  /** Also when the clock was set back: a retry is never further away than {@link RETRY_MS}. */
  #isDue(retryAtMs: number): boolean {
    const leftMs = retryAtMs - this.#nowMs();
    return leftMs <= 0 || leftMs > RETRY_MS;
  }

  #nowMs(): number {
    return this.#start.now().getTime();
  }
}

function newBatch(): Batch {
  const ordinary = Promise.withResolvers<void>();
  const essential = Promise.withResolvers<void>();
  // Every append hands its promise out; one that nobody asked for must not end the process when it rejects.
  ordinary.promise.catch(() => undefined);
  essential.promise.catch(() => undefined);
  return { lines: [], chars: 0, calls: [], meanwhile: [], ordinary, essential, essentialEvents: [], carried: [] };
}

function problemOf(why: string, cause: unknown): Problem {
  return new Problem("audit_unavailable", { reason: why, cause });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}
