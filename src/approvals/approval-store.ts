import { timingSafeEqual } from "node:crypto";
import type { Kysely, Selectable } from "kysely";
import { z } from "zod";
import type { Database } from "../store/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import type { Approval, ApprovalStatus, Yes } from "./approval.ts";

/** Rows of one call that are looked at: far more than can be live at once. */
const SAME_CALL_LIMIT = 20;

/** An approval as it was read. `version` is the row's authentication tag: it changes with every change. */
export interface ApprovalRecord extends Approval {
  readonly version: Uint8Array;
}

/** A row that was read; `ok: false` when it was altered by someone who has not the state key. */
export type StoredApproval =
  | { readonly ok: true; readonly record: ApprovalRecord }
  | { readonly ok: false; readonly id: string };

export type Held =
  | { readonly kind: "held" }
  /** The same question is being asked already. */
  | { readonly kind: "pending"; readonly record: ApprovalRecord };

/**
 * Where approvals are kept. Every change is durable when its promise resolves.
 * Each method throws {@link Problem} `store_unavailable` when the store cannot do it.
 */
export interface ApprovalStore {
  /** Adds a pending approval, unless one for the same call, basis and requester is pending: atomic over all nodes. */
  hold(approval: Approval, sealed: Uint8Array): Promise<Held>;
  find(id: string): Promise<StoredApproval | undefined>;
  /** What was asked about one call, newest first. */
  findSame(digest: string): Promise<readonly StoredApproval[]>;
  /** Newest first. */
  list(filter: {
    readonly statuses: readonly ApprovalStatus[];
    readonly limit: number;
  }): Promise<readonly StoredApproval[]>;
  /** Pending or granted, and past its time; oldest first. */
  lapsed(now: Date, limit: number): Promise<readonly StoredApproval[]>;
  countPending(agent: string, now: Date): Promise<number>;
  /** The sealed request and preview, as they were given. */
  sealedOf(id: string): Promise<Uint8Array | undefined>;
  /**
   * Changes an approval if nobody changed it since it was read: atomic over all nodes.
   *
   * @returns `false` when somebody did; read it again.
   */
  replace(from: ApprovalRecord, to: Approval, sealed?: Uint8Array): Promise<boolean>;
  /** Forgets what lapsed before an instant. */
  prune(before: Date): Promise<void>;
}

/**
 * Keeps approvals in the table `approvals`.
 *
 * Each row carries a keyed tag over what was asked and what was answered, so that a row edited in the file is not
 * believed. `sealed` is not under the tag, so that it need not be read to judge a row: it authenticates itself, bound to
 * the id.
 *
 * @param deps.keyring - Of the home: a row of another home is not believed either.
 */
export function createApprovalStore(deps: {
  readonly db: Kysely<Database>;
  readonly keyring: Pick<Keyring, "tag">;
}): ApprovalStore {
  const { db, keyring } = deps;
  const tagOf = (row: Omit<Row, "tag">): Uint8Array => keyring.tag("approvals", tagged(row));
  const read = (row: Row): StoredApproval => {
    const expected = tagOf(row);
    if (row.tag.length !== expected.length || !timingSafeEqual(row.tag, expected)) return { ok: false, id: row.id };
    return { ok: true, record: { ...recordOf(row), version: row.tag } };
  };
  return {
    hold: (approval, sealed) =>
      db.transaction().execute(async (transaction) => {
        const rows = await transaction
          .selectFrom("approvals")
          .select(COLUMNS)
          .where("digest", "=", approval.digest)
          .where("basis", "=", approval.basis)
          .where("status", "=", "pending")
          .where("expires_at", ">", approval.requestedAt.toISOString())
          .execute();
        for (const row of rows) {
          const stored = read(row);
          if (stored.ok && isSameRequester(stored.record, approval)) return { kind: "pending", record: stored.record };
        }
        const row = rowOf(approval);
        await transaction
          .insertInto("approvals")
          .values({ ...row, sealed, tag: tagOf(row) })
          .execute();
        return { kind: "held" };
      }),
    async find(id) {
      const row = await db.selectFrom("approvals").select(COLUMNS).where("id", "=", id).executeTakeFirst();
      return row === undefined ? undefined : read(row);
    },
    async findSame(digest) {
      const query = db.selectFrom("approvals").select(COLUMNS).where("digest", "=", digest);
      const rows = await query.orderBy("requested_at", "desc").orderBy("id").limit(SAME_CALL_LIMIT).execute();
      return rows.map(read);
    },
    async list({ statuses, limit }) {
      const query = db.selectFrom("approvals").select(COLUMNS).where("status", "in", statuses);
      const rows = await query.orderBy("requested_at", "desc").orderBy("id").limit(limit).execute();
      return rows.map(read);
    },
    async lapsed(now, limit) {
      const query = db.selectFrom("approvals").select(COLUMNS).where("status", "in", ["pending", "granted"]);
      const rows = await query
        .where("expires_at", "<=", now.toISOString())
        .orderBy("expires_at")
        .limit(limit)
        .execute();
      return rows.map(read);
    },
    async countPending(agent, now) {
      const { count } = await db
        .selectFrom("approvals")
        .select((expression) => expression.fn.countAll<number | string>().as("count"))
        .where("status", "=", "pending")
        .where("expires_at", ">", now.toISOString())
        .where("agent", "=", agent)
        .executeTakeFirstOrThrow();
      return Number(count);
    },
    async sealedOf(id) {
      return (await db.selectFrom("approvals").select("sealed").where("id", "=", id).executeTakeFirst())?.sealed;
    },
    async replace(from, to, sealed) {
      const row = rowOf(to);
      const { numUpdatedRows } = await db
        .updateTable("approvals")
        .set({ ...row, ...(sealed === undefined ? {} : { sealed }), tag: tagOf(row) })
        .where("id", "=", from.id)
        .where("tag", "=", from.version)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },
    async prune(before) {
      await db.deleteFrom("approvals").where("expires_at", "<", before.toISOString()).execute();
    },
  };
}

/** The approval of a record, without what only the store needs. */
export function approvalOf({ version: _, ...approval }: ApprovalRecord): Approval {
  return approval;
}

/** Whether two approvals have the same requester, as far as a use of one by the other goes: a rotated key changes nothing. */
export function isSameRequester(
  one: Pick<Approval, "agent" | "user" | "tenant">,
  other: Pick<Approval, "agent" | "user" | "tenant">,
): boolean {
  return one.agent === other.agent && one.user === other.user && one.tenant === other.tenant;
}

type WholeRow = Selectable<Database["approvals"]>;
type Row = Omit<WholeRow, "sealed">;

const COLUMNS = [
  "id",
  "status",
  "agent",
  "client",
  "user",
  "tenant",
  "service",
  "operation",
  "digest",
  "basis",
  "message",
  "requested_at",
  "expires_at",
  "answered_at",
  "answered_by",
  "why",
  "window_until",
  "used_at",
  "told",
  "quorum",
  "granted_by",
  "tag",
] as const satisfies readonly (keyof Row)[];

const STATUS = z.enum(["pending", "granted", "denied", "expired", "used"]);
const YESES = z.array(z.object({ by: z.string(), at: z.string(), for_seconds: z.number().optional() }));

/** Every column but `sealed` and the tag, as one JSON list: no two rows have the same text. */
function tagged(row: Omit<Row, "tag">): readonly string[] {
  return [JSON.stringify(COLUMNS.filter((column) => column !== "tag").map((column) => row[column]))];
}

function rowOf(approval: Approval): Omit<Row, "tag"> {
  return {
    id: approval.id,
    status: approval.status,
    agent: approval.agent,
    client: approval.client,
    user: approval.user ?? null,
    tenant: approval.tenant ?? null,
    service: approval.service,
    operation: approval.operation ?? null,
    digest: approval.digest,
    basis: approval.basis,
    message: approval.message,
    requested_at: approval.requestedAt.toISOString(),
    expires_at: approval.expiresAt.toISOString(),
    answered_at: approval.answeredAt?.toISOString() ?? null,
    answered_by: approval.answeredBy ?? null,
    why: approval.why ?? null,
    window_until: approval.granted instanceof Date ? approval.granted.toISOString() : (approval.granted ?? null),
    used_at: approval.usedAt?.toISOString() ?? null,
    told: approval.told ? 1 : 0,
    quorum: approval.quorum,
    granted_by: JSON.stringify(
      approval.yeses.map(({ by, at, forSeconds }) => ({ by, at: at.toISOString(), for_seconds: forSeconds })),
    ),
  };
}

/** Of a row whose tag is right, and so one that we wrote. */
function recordOf(row: Omit<Row, "tag">): Approval {
  return {
    id: row.id,
    status: STATUS.parse(row.status),
    agent: row.agent,
    client: row.client,
    user: row.user ?? undefined,
    tenant: row.tenant ?? undefined,
    service: row.service,
    operation: row.operation ?? undefined,
    digest: row.digest,
    basis: row.basis,
    message: row.message,
    requestedAt: new Date(row.requested_at),
    expiresAt: new Date(row.expires_at),
    answeredAt: dateOf(row.answered_at),
    answeredBy: row.answered_by ?? undefined,
    why: row.why ?? undefined,
    granted: row.window_until === "once" ? "once" : dateOf(row.window_until),
    usedAt: dateOf(row.used_at),
    told: row.told === 1,
    quorum: row.quorum,
    yeses: YESES.parse(JSON.parse(row.granted_by)).map(
      ({ by, at, for_seconds }): Yes => ({ by, at: new Date(at), forSeconds: for_seconds }),
    ),
  };
}

function dateOf(text: string | null): Date | undefined {
  return text === null ? undefined : new Date(text);
}
