import { randomBytes } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import { hashToken, tokenId } from "./access-tokens.ts";
import type { OAuthStore } from "./oauth-store.ts";
import type { RecordSeal } from "./record-seal.ts";

const MODEL = "RegistrationToken";
const USE = "RegistrationUse";
const USES_LIMIT = 1_000;
const TTL_LIMIT_SECONDS = 30 * 86_400;

export interface NewRegistrationToken {
  /** Whom clients that register with it act as. */
  readonly agent: string;
  readonly uses: number;
  readonly ttlSeconds: number;
  readonly by: string;
  readonly now: Date;
}

/** Tokens with which a client, in CI say, registers itself and is adopted at once (RFC 7591 §3). */
export interface RegistrationTokens {
  /** @throws {Problem} `invalid_request`, `audit_unavailable`, `store_unavailable`. */
  issue(order: NewRegistrationToken): Promise<{ readonly token: string; readonly expiresAt: Date }>;
  /** Uses a token up by one. @returns Its agent; `undefined` when it is none, has ended, or was used up. */
  redeem(token: string, now: Date): Promise<string | undefined>;
}

export function createRegistrationTokens(deps: {
  readonly store: Pick<OAuthStore, "find" | "put" | "insert">;
  readonly seal: RecordSeal;
  readonly audit: AuditLog;
}): RegistrationTokens {
  const { store, seal, audit } = deps;
  return {
    async issue({ agent, uses, ttlSeconds, by, now }) {
      checkLimits(uses, ttlSeconds);
      const token = `dwi_${randomBytes(32).toString("base64url")}`;
      const expiresAt = new Date(now.getTime() + ttlSeconds * 1_000);
      const data = {
        kind: "registration",
        token: tokenId(hashToken(token)),
        uses,
        expires_at: expiresAt.toISOString(),
        by,
      };
      await audit.append({ type: "token.issued", agent, data });
      await store.put(seal.seal(MODEL, token, { agent, uses }, expiresAt));
      return { token, expiresAt };
    },
    async redeem(token, now) {
      if (!token.startsWith("dwi_")) return undefined;
      const record = await store.find({ model: MODEL, id: hashToken(token) });
      const payload = record && seal.open(record);
      if (record?.expiresAt === undefined || payload === undefined || record.expiresAt <= now) return undefined;
      for (let use = 1; use <= Number(payload["uses"]); use++) {
        // INVARIANT: each use is a row that only one of any number of parallel registrations can add.
        if (await store.insert(seal.seal(USE, `${token} ${use}`, {}, record.expiresAt)))
          return String(payload["agent"]);
      }
      return undefined;
    },
  };
}

function checkLimits(uses: number, ttlSeconds: number): void {
  const whole = Number.isInteger(uses) && Number.isInteger(ttlSeconds);
  if (whole && uses >= 1 && uses <= USES_LIMIT && ttlSeconds >= 1 && ttlSeconds <= TTL_LIMIT_SECONDS) return;
  throw new Problem("invalid_request", {
    detail: `a registration token has 1 to ${USES_LIMIT} uses and lives for at most 30 days`,
    remedy: "Say `--uses 1 --ttl 1h`.",
  });
}
