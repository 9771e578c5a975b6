import type { AuditEvent, AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import type { Keyring } from "./keyring.ts";
import { sealSecret, unsealSecret } from "./sealed-secret.ts";
import { isSecretName } from "./secret-source.ts";
import type { SecretRow, SecretStore } from "./secret-store.ts";
import { faultOfSecretValue, MIN_SCRUBBABLE_BYTES } from "./secret-value.ts";

/** A value to store. */
export interface NewSecret {
  readonly name: string;
  /** The secret itself, without a trailing line break. Overwritten with zeros in any case. */
  readonly value: Buffer;
  readonly expiresAt?: Date;
  /** The owner accepts a value under 8 bytes, which cannot be scrubbed from text. */
  readonly short?: "accept";
}

/** What was stored. */
export interface StoredSecret {
  readonly name: string;
  readonly version: number;
  readonly short: boolean;
}

/** What was removed, and who still names it. */
export interface RemovedSecret {
  readonly name: string;
  readonly usedBy: readonly string[];
}

/** A secret as the owner may see it. */
export interface SecretInfo {
  readonly name: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly rotatedAt: Date | undefined;
  readonly expiresAt: Date | undefined;
  readonly usedBy: readonly string[];
  readonly short: boolean;
  /** `damaged`: the entry was edited or its storage failed; it cannot be used, the others can. */
  readonly state: "ok" | "expired" | "damaged";
}

/** The owner's side of the vault. */
export interface SecretWriter {
  set(secret: NewSecret, now: Date): Promise<StoredSecret>;
  rotate(secret: NewSecret, now: Date): Promise<StoredSecret>;
  remove(name: string, usedBy: readonly string[]): Promise<RemovedSecret>;
  list(usedBy: (name: string) => readonly string[], now: Date): Promise<readonly SecretInfo[]>;
}

/**
 * Writes secrets. The event is durable before the change: a change without evidence cannot be; evidence of a change that
 * then failed is followed by a second event with a code.
 */
export function createSecretWriter(deps: {
  readonly secrets: SecretStore;
  readonly keyring: Keyring;
  readonly audit: AuditLog;
}): SecretWriter {
  const { secrets, keyring, audit } = deps;

  const store = async (input: NewSecret, type: "secret.set" | "secret.rotated", now: Date): Promise<StoredSecret> => {
    const short = checkValue(input);
    checkExpiry(input.expiresAt, now);
    const old = await secrets.find(input.name);
    if (old === undefined && type === "secret.rotated") throw notFound(input.name);
    const facts = {
      name: input.name,
      version: (old?.version ?? 0) + 1,
      short: short ? 1 : 0,
      created_at: old?.created_at ?? now.toISOString(),
      rotated_at: old === undefined ? null : now.toISOString(),
      expires_at: input.expiresAt?.toISOString() ?? null,
    };
    const row = sealSecret(keyring, facts, input.value);
    const data = { secret: `local:${input.name}`, version: facts.version, short, expires_at: facts.expires_at };
    await recorded(audit, { type, data }, async () => {
      if (!(await secrets.put(row, old?.version))) throw changedMeanwhile(input.name);
    });
    return { name: input.name, version: facts.version, short };
  };
  const zeroing = async (input: NewSecret, work: () => Promise<StoredSecret>) => {
    try {
      return await work();
    } finally {
      input.value.fill(0);
    }
  };

  return {
    set: (input, now) => zeroing(input, () => store(input, "secret.set", now)),
    rotate: (input, now) => zeroing(input, () => store(input, "secret.rotated", now)),
    async remove(name, usedBy) {
      if ((await secrets.find(name)) === undefined) throw notFound(name);
      await recorded(
        audit,
        { type: "secret.removed", data: { secret: `local:${name}`, used_by: usedBy } },
        async () => {
          await secrets.remove(name);
        },
      );
      return { name, usedBy };
    },
    async list(usedBy, now) {
      return (await secrets.list()).map((row) => toInfo(keyring, row, usedBy(row.name), now));
    },
  };
}

async function recorded(audit: AuditLog, event: AuditEvent, change: () => Promise<void>): Promise<void> {
  await audit.append(event);
  try {
    await change();
  } catch (error) {
    const code = error instanceof Problem ? error.code : "internal_error";
    try {
      await audit.append({ ...event, code });
    } catch (unrecorded) {
      // What failed first is what the owner must hear of; the first event stands alone then.
      if (!(unrecorded instanceof Problem)) throw unrecorded;
    }
    throw error;
  }
}

/** @returns Whether the value is short. */
function checkValue({ name, value, short }: NewSecret): boolean {
  if (!isSecretName(name)) {
    throw invalid("that is not a name of a secret", "Write small letters, digits and `-`, a letter first, at most 64.");
  }
  const fault = faultOfSecretValue(value);
  if (fault !== undefined) throw invalid(`the value cannot be a secret: ${fault}`, "Give the bare value, one line.");
  if (value.length >= MIN_SCRUBBABLE_BYTES) return false;
  if (short === "accept") return true;
  throw invalid(
    `the value is shorter than ${MIN_SCRUBBABLE_BYTES} bytes, so it could not be scrubbed from answers`,
    "Add `--short` to take it all the same.",
  );
}

function checkExpiry(expiresAt: Date | undefined, now: Date): void {
  if (expiresAt === undefined || expiresAt > now) return;
  throw invalid("the expiry is not in the future", "Write a later date, `--expires 2027-02-01`.");
}

function toInfo(keyring: Keyring, row: SecretRow, usedBy: readonly string[], now: Date): SecretInfo {
  const value = unsealSecret(keyring, row);
  value?.fill(0);
  const expiresAt = row.expires_at === null ? undefined : new Date(row.expires_at);
  const expired = expiresAt !== undefined && expiresAt <= now;
  return {
    name: row.name,
    version: row.version,
    createdAt: new Date(row.created_at),
    rotatedAt: row.rotated_at === null ? undefined : new Date(row.rotated_at),
    expiresAt,
    usedBy,
    short: row.short !== 0,
    state: value === undefined ? "damaged" : expired ? "expired" : "ok",
  };
}

function invalid(detail: string, remedy: string): Problem {
  return new Problem("invalid_request", { detail, remedy });
}

function notFound(name: string): Problem {
  return new Problem("not_found", {
    detail: isSecretName(name) ? `there is no secret \`${name}\`` : "there is no such secret",
    remedy: "List them with `doorward secret list`.",
  });
}

function changedMeanwhile(name: string): Problem {
  return new Problem("store_unavailable", {
    detail: `the secret \`${name}\` was changed at the same time`,
    remedy: "Look at it with `doorward secret list` and try again.",
  });
}
