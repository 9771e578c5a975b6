import type { AuditLog } from "../audit/event.ts";
import type { Cancellation } from "../base/cancellation.ts";
import { newId } from "../base/ids.ts";
import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Principal } from "../identity/principal.ts";
import type { Keyring } from "../vault/keyring.ts";
import type { Approval, ApprovalStatus, Approver, ShownApproval, Yes } from "./approval.ts";
import { approvalEvent } from "./approval-event.ts";
import { checkWindow, notOpen, notThere, tooManyOpen } from "./approval-problems.ts";
import {
  lapse,
  pendingApproval,
  refusalOfAnswer,
  refusalOfYes,
  sayNo,
  sayYes,
  statusAt,
  useOnce,
} from "./approval-states.ts";
import {
  type ApprovalRecord,
  type ApprovalStore,
  approvalOf,
  isSameRequester,
  type StoredApproval,
} from "./approval-store.ts";
import { sealQuestion, trimQuestion, unsealBrief, unsealRequest } from "./sealed-question.ts";
import { createTurns } from "./turns.ts";
import { createWaiters } from "./waiters.ts";

/** Questions of one agent that wait for an answer. */
const PENDING_LIMIT = 100;
/** Bytes of request and preview, as JSON: what a person can be shown, and what is stored. */
const QUESTION_LIMIT_BYTES = 2 * 1_024 * 1_024;
/** Characters of a person's reason that are kept. */
const WHY_LIMIT = 500;
/** Approvals in one list. */
const LIST_LIMIT = 500;
/** Lapsed approvals settled in one go. */
const SWEEP_BATCH = 100;
/** Milliseconds for which an approval stays listed after it lapsed; the evidence keeps it for good. */
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;
/** Altered records that are remembered as told. */
const ALTERED_LIMIT = 1_000;
const PRUNE_EVERY_MS = 60 * 60 * 1_000;
/** Times a change is tried again after another node changed the same approval. */
const CHANGE_TRIES = 5;

const ALL: readonly ApprovalStatus[] = ["pending", "granted", "denied", "expired", "used"];

export interface ApprovalsDeps {
  readonly store: ApprovalStore;
  readonly audit: AuditLog;
  readonly keyring: Pick<Keyring, "seal" | "unseal">;
  /** The assurance level in force; it stands in each event. */
  readonly assurance: () => 0 | 1 | 2;
}

/** The same call, and on what grounds it is held. */
interface HeldCall {
  readonly principal: Principal;
  /** `requestDigest` of the canonical request. */
  readonly digest: string;
  /** Digest of the operation's definition and the rules that asked: another file, another question. */
  readonly basis: string;
  readonly now: Date;
}

export interface HoldRequest extends HeldCall {
  readonly requestId: string;
  readonly service: string;
  /** The name within the service; `undefined` when several matched. */
  readonly operation: string | undefined;
  readonly message: string;
  /** The whole of what will be sent, as a person is shown it: method, url, headers, body. No credential. */
  readonly request: JsonValue;
  readonly preview: JsonValue | undefined;
  /** Makes message and preview, in place of those above, and only when the question is really asked: fetching one costs a call. */
  readonly prepare?: () => Promise<Pick<HoldRequest, "message" | "preview">>;
  readonly expiresSeconds: number;
  readonly quorum: number;
  readonly separate: boolean;
}

export interface UseRequest extends HeldCall {
  readonly id: string;
  readonly requestId: string;
}

/** What there is about a call. `denied` and `expired` are told once: finding them again gives `none`. */
export type FoundApproval =
  | { readonly kind: "none" }
  | { readonly kind: "pending" | "granted" | "denied" | "expired"; readonly approval: Approval };

export type UsedApproval =
  | { readonly ok: true; readonly approval: Approval }
  /** `other_call`: it was given for another call, requester or rule. `altered`: its record is not one that we wrote. */
  | { readonly ok: false; readonly reason: Exclude<ApprovalStatus, "granted"> | "unknown" | "other_call" | "altered" };

interface Answer {
  readonly id: string;
  readonly by: Approver;
  readonly now: Date;
}

/**
 * Questions to people about exact calls, and their answers.
 *
 * An approval covers one call (or repetitions of it in a window), is used at most once, and is never given by an agent.
 * Two orders of writing keep it so whatever fails: what widens (asked, granted) is evidence first and state second, what
 * narrows (used, denied) is state first. A change is one compare-and-swap in the store, durable before it counts, so
 * that of any number of repeats, on any number of nodes, exactly one gets the use; after a crash in mid-call it is spent.
 *
 * Every method throws {@link Problem} `store_unavailable` or `audit_unavailable` when state or evidence cannot be had.
 */
export class Approvals {
  readonly #deps: ApprovalsDeps;
  readonly #turns = createTurns();
  readonly #waiters = createWaiters();
  /** Ids whose records were altered, as far as they were told already. */
  readonly #altered = new Set<string>();
  #prunedAtMs = 0;

  constructor(deps: ApprovalsDeps) {
    this.#deps = deps;
  }

  /** Looks for a question that this call asked before, under the rules as they are now. */
  async find({ principal, digest, basis, now }: HeldCall): Promise<FoundApproval> {
    const asked = await this.#askedBy(principal, digest, now);
    const live = (status: ApprovalStatus) => asked.find((one) => one.status === status && one.basis === basis);
    const granted = live("granted");
    if (granted !== undefined) return { kind: "granted", approval: approvalOf(granted) };
    const pending = live("pending");
    if (pending !== undefined) return { kind: "pending", approval: approvalOf(pending) };
    const [last] = asked;
    if (last === undefined || last.told || (last.status !== "denied" && last.status !== "expired"))
      return { kind: "none" };
    const told = await this.#deps.store.replace(last, { ...last, told: true });
    return told ? { kind: last.status, approval: approvalOf(last) } : { kind: "none" };
  }

  /**
   * Asks a person. A call that asks already is not asked about twice, however many repeats come at once.
   *
   * @returns The open question about this call; it may be granted by now when somebody answered meanwhile.
   * @throws {Problem} `rate_limited` when the agent has too many open questions; `too_large` for what nobody could read.
   */
  async hold(request: HoldRequest): Promise<{ readonly approval: Approval; readonly created: boolean }> {
    const { principal, digest, basis, now } = request;
    return await this.#turns(`call:${digest}`, async () => {
      const asked = await this.#askedBy(principal, digest, now);
      const open = asked.filter(({ status }) => status === "pending" || status === "granted");
      const same = open.find((one) => one.basis === basis);
      if (same !== undefined) return { approval: approvalOf(same), created: false };
      await this.#checkRoom(principal.agent, now);
      const asking = { ...request, ...(await request.prepare?.()) };
      const approval = pendingApproval(newId("apr"), asking);
      const sealed = this.#sealed(approval.id, asking);
      for (const old of open) await this.#supersede(old, now);
      await this.#record("approval.requested", approval, {
        requestId: request.requestId,
        data: { expires_at: approval.expiresAt.toISOString(), quorum: approval.quorum, separate: request.separate },
      });
      const held = await this.#deps.store.hold(approval, sealed);
      return held.kind === "held" ? { approval, created: true } : { approval: approvalOf(held.record), created: false };
    });
  }

  /**
   * Takes the one use of a granted approval, or one use within its window.
   *
   * @returns With `ok`, it is spent durably and the use is evidence. A throw may leave it spent, never unspent and used.
   */
  async use({ id, requestId, principal, digest, basis, now }: UseRequest): Promise<UsedApproval> {
    return await this.#change<UsedApproval>(
      id,
      now,
      async (record, status) => {
        if (record.digest !== digest || record.basis !== basis || !isSameRequester(record, principal)) {
          return { done: { ok: false, reason: "other_call" } };
        }
        if (status !== "granted") return { done: { ok: false, reason: status } };
        const used = useOnce(approvalOf(record), now);
        const unchanged = record.usedAt !== undefined && used.status === "granted";
        if (!unchanged && !(await this.#replace(record, used))) return "again";
        await this.#record("approval.used", used, { requestId, data: { repeatable: used.status === "granted" } });
        return { done: { ok: true, approval: used } };
      },
      (reason) => ({ ok: false, reason }),
    );
  }

  /**
   * Says yes, once or for a while.
   *
   * @param answer.forSeconds - Whole seconds for which the same call may be repeated; absent: once.
   * @returns `granted` when the quorum is reached, else `pending` with the yeses so far.
   * @throws {Problem} `denied` when this approver may not answer; `invalid_request` when it is not open; `not_found`.
   */
  async grant(
    answer: Answer & { readonly forSeconds?: number | undefined; readonly why?: string | undefined },
  ): Promise<Approval> {
    const { id, by, now, forSeconds } = answer;
    checkWindow(forSeconds);
    const why = answer.why?.slice(0, WHY_LIMIT);
    return await this.#change(
      id,
      now,
      async (record, status) => {
        if (status !== "pending") throw notOpen(record, status);
        const refusal = refusalOfAnswer(record, by) ?? refusalOfYes(record, by, await this.#isSeparate(record.id));
        if (refusal !== undefined) throw refusal;
        const yes: Yes = { by: by.id, at: now, forSeconds };
        const next = sayYes(approvalOf(record), yes, why);
        await this.#record("approval.granted", next, {
          data: {
            by: by.id,
            why,
            yeses: next.yeses.length,
            quorum: next.quorum,
            complete: next.status === "granted",
            for_seconds: forSeconds,
            expires_at: next.expiresAt.toISOString(),
          },
        });
        return (await this.#replace(record, next)) ? { done: next } : "again";
      },
      (reason) => {
        throw notThere(id, reason);
      },
    );
  }

  /**
   * Says no; also to what was granted and is not used up.
   *
   * @throws {Problem} As {@link grant} does. On `audit_unavailable` the no holds all the same.
   */
  async deny({ id, by, now, why }: Answer & { readonly why: string }): Promise<Approval> {
    return await this.#change(
      id,
      now,
      async (record, status) => {
        if (status !== "pending" && status !== "granted") throw notOpen(record, status);
        const refusal = refusalOfAnswer(record, by);
        if (refusal !== undefined) throw refusal;
        const next = sayNo(approvalOf(record), { by: by.id, at: now, why: why.slice(0, WHY_LIMIT) });
        if (!(await this.#replace(record, next))) return "again";
        await this.#record("approval.denied", next, { data: { by: by.id, why: next.why } });
        return { done: next };
      },
      (reason) => {
        throw notThere(id, reason);
      },
    );
  }

  /** An approval as it stands; `undefined` when there is none of this id, or its record was altered. */
  async get(id: string, now: Date): Promise<Approval | undefined> {
    const stored = await this.#deps.store.find(id);
    const record = stored === undefined ? undefined : await this.#believe(stored);
    return record === undefined ? undefined : { ...approvalOf(record), status: statusAt(record, now) };
  }

  /**
   * Everything that a person is shown before answering.
   *
   * @throws {Problem} `not_found`; `store_unavailable` when its record was altered.
   */
  async show(id: string, now: Date): Promise<ShownApproval> {
    const stored = await this.#deps.store.find(id);
    if (stored === undefined) throw notThere(id, "unknown");
    const record = await this.#believe(stored);
    const question = await this.#questionOf(id);
    if (record === undefined || question === undefined) throw notThere(id, "altered");
    const status = statusAt(record, now);
    const open = status === "pending" || status === "granted";
    if (open && question.request === undefined) throw notThere(id, "altered");
    return { ...approvalOf(record), status, ...question };
  }

  /** Approvals with their previews, newest first, at most 500; and the ids of records that were altered. */
  async list({ statuses = ALL, now }: { readonly statuses?: readonly ApprovalStatus[]; readonly now: Date }) {
    await this.#trySweep(now);
    const approvals: ShownApproval[] = [];
    const altered: string[] = [];
    for (const stored of await this.#deps.store.list({ statuses, limit: LIST_LIMIT })) {
      const question = stored.ok ? await this.#questionOf(stored.record.id) : undefined;
      if (!stored.ok || question === undefined) {
        altered.push(stored.ok ? stored.record.id : stored.id);
        continue;
      }
      const status = statusAt(stored.record, now);
      if (statuses.includes(status))
        approvals.push({ ...approvalOf(stored.record), status, ...question, request: undefined });
    }
    return { approvals, altered } as const;
  }

  /** Settles what has lapsed, and forgets what lapsed long ago. Call it now and then; nothing depends on when. */
  async sweep(now: Date): Promise<void> {
    let settled: number;
    let found: readonly StoredApproval[];
    do {
      settled = 0;
      found = await this.#deps.store.lapsed(now, SWEEP_BATCH);
      for (const stored of found) {
        const record = await this.#believe(stored);
        if (record === undefined) continue;
        await this.#settled(record, now);
        settled++;
      }
    } while (settled > 0 && found.length === SWEEP_BATCH);
    if (now.getTime() - this.#prunedAtMs < PRUNE_EVERY_MS) return;
    this.#prunedAtMs = now.getTime();
    await this.#deps.store.prune(new Date(now.getTime() - KEEP_MS));
  }

  /**
   * Waits until a pending approval is answered on this node, or the time is over; then gives it as it stands.
   *
   * @param options.clock - Read again after the wait.
   */
  async wait(
    id: string,
    options: { readonly ms: number; readonly clock: () => Date; readonly signal?: Cancellation },
  ): Promise<Approval | undefined> {
    const changed = this.#waiters.wait(id, options);
    const approval = await this.get(id, options.clock());
    if (approval?.status !== "pending") {
      changed.cancel();
      return approval;
    }
    await changed.settled;
    return await this.get(id, options.clock());
  }

  /** What one requester asked about one call, settled and believed, newest first. */
  async #askedBy(principal: Principal, digest: string, now: Date): Promise<readonly ApprovalRecord[]> {
    const asked: ApprovalRecord[] = [];
    for (const stored of await this.#deps.store.findSame(digest)) {
      const record = await this.#believe(stored);
      if (record === undefined || !isSameRequester(record, principal)) continue;
      asked.push(await this.#settled(record, now));
    }
    return asked;
  }

  /** The record, unless it was altered; that is told once as evidence, and then it is as if it were not there. */
  async #believe(stored: StoredApproval): Promise<ApprovalRecord | undefined> {
    if (stored.ok) return stored.record;
    if (this.#altered.has(stored.id)) return undefined;
    if (this.#altered.size < ALTERED_LIMIT) this.#altered.add(stored.id);
    await this.#deps.audit.append({ type: "approval.denied", code: "altered", data: { approval_id: stored.id } });
    return undefined;
  }

  /** The record after its time was looked at. */
  async #settled(record: ApprovalRecord, now: Date): Promise<ApprovalRecord> {
    if (statusAt(record, now) === record.status) return record;
    return await this.#turns(`id:${record.id}`, async () => {
      const stored = await this.#deps.store.find(record.id);
      if (!stored?.ok) return { ...record, ...lapse(record) };
      return await this.#settleInTurn(stored.record, now);
    });
  }

  /** Evidence first: until the state follows, the time says the same. */
  async #settleInTurn(record: ApprovalRecord, now: Date): Promise<ApprovalRecord> {
    const status = statusAt(record, now);
    if (status === record.status) return record;
    if (status === "expired") await this.#record("approval.expired", record, { data: { was: record.status } });
    await this.#replace(record, lapse(record));
    const stored = await this.#deps.store.find(record.id);
    return stored?.ok ? stored.record : { ...record, ...lapse(record) };
  }

  /** A question whose rules changed: its answer could not be used any more. */
  async #supersede(record: ApprovalRecord, now: Date): Promise<void> {
    await this.#turns(`id:${record.id}`, async () => {
      const stored = await this.#deps.store.find(record.id);
      if (!stored?.ok || statusAt(stored.record, now) !== stored.record.status) return;
      if (stored.record.status !== "pending" && stored.record.status !== "granted") return;
      await this.#record("approval.expired", stored.record, {
        code: "superseded",
        data: { was: stored.record.status },
      });
      await this.#replace(stored.record, { ...stored.record, status: "expired", told: true });
    });
  }

  /** Reads an approval, lets `step` change it, and tries again when another node was faster. */
  async #change<T>(
    id: string,
    now: Date,
    step: (record: ApprovalRecord, status: ApprovalStatus) => Promise<{ readonly done: T } | "again">,
    missing: (reason: "unknown" | "altered") => T,
  ): Promise<T> {
    return await this.#turns(`id:${id}`, async () => {
      for (let tries = 0; tries < CHANGE_TRIES; tries++) {
        const stored = await this.#deps.store.find(id);
        if (stored === undefined) return missing("unknown");
        const record = await this.#believe(stored);
        if (record === undefined) return missing("altered");
        const settled = await this.#settleInTurn(record, now);
        const result = await step(settled, statusAt(settled, now));
        if (result !== "again") return result.done;
      }
      throw new Problem("store_unavailable", { detail: `\`${id}\` is being changed by others all the time` });
    });
  }

  /** Changes the state; what is over keeps its request only when that is small. */
  async #replace(from: ApprovalRecord, to: Approval): Promise<boolean> {
    const over = to.status !== "pending" && to.status !== "granted";
    const sealed = over ? await this.#deps.store.sealedOf(from.id) : undefined;
    const replaced = await this.#deps.store.replace(from, to, sealed === undefined ? undefined : trimQuestion(sealed));
    if (replaced) this.#waiters.wake(from.id);
    return replaced;
  }

  async #record(
    type: Parameters<typeof approvalEvent>[0],
    approval: Approval,
    context: Omit<Parameters<typeof approvalEvent>[2], "digest" | "assurance">,
  ): Promise<void> {
    const { audit, assurance } = this.#deps;
    const digest = (value: string | Uint8Array) => audit.digest(value);
    await audit.append(approvalEvent(type, approval, { digest, assurance: assurance(), ...context }));
  }

  #sealed(id: string, { request, preview, separate }: HoldRequest): Uint8Array {
    const sealed = sealQuestion(this.#deps.keyring, id, { request, preview, separate });
    if (sealed.length <= QUESTION_LIMIT_BYTES) return sealed;
    throw new Problem("too_large", {
      detail: "the call is larger than what a person can be asked about",
      remedy: "Split it into smaller calls.",
    });
  }

  async #checkRoom(agent: string, now: Date): Promise<void> {
    if ((await this.#deps.store.countPending(agent, now)) < PENDING_LIMIT) return;
    throw tooManyOpen(agent, PENDING_LIMIT);
  }

  /** Whether the rule wants another person; looks at the whole question, which must be the one that was shown. */
  async #isSeparate(id: string): Promise<boolean> {
    const question = await this.#questionOf(id);
    if (question?.request === undefined) throw notThere(id, "altered");
    return question.separate;
  }

  async #questionOf(id: string) {
    const sealed = await this.#deps.store.sealedOf(id);
    const brief = sealed === undefined ? undefined : unsealBrief(this.#deps.keyring, id, sealed);
    if (sealed === undefined || brief === undefined) return undefined;
    return {
      separate: brief.separate,
      preview: brief.preview ?? undefined,
      request: unsealRequest(this.#deps.keyring, id, sealed),
    };
  }

  /** For a list, which must be had even when the evidence cannot be written. */
  async #trySweep(now: Date): Promise<void> {
    try {
      await this.sweep(now);
    } catch (error) {
      if (!(error instanceof Problem && error.code === "audit_unavailable")) throw error;
    }
  }
}
