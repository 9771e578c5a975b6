import { z } from "zod";
import type { AuditLog } from "../audit/event.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Keyring } from "../vault/keyring.ts";
import { createActionChallenges } from "./action-challenges.ts";
import { PASSKEY_ALGORITHMS } from "./cose-key.ts";
import type { PasskeyRecord, PasskeyStore } from "./passkey-store.ts";
import type { Person } from "./person.ts";
import { type Checked, checkAssertion, checkRegistration, type Site, type WebauthnFault } from "./webauthn.ts";

/** Keys of one person. */
const KEYS_LIMIT = 10;
/** Milliseconds for which the browser waits. */
const CEREMONY_MS = 120_000;

/** Passkeys of people: they sign in with one, and prove owner actions at assurance level 1. */
export interface Passkeys {
  /** What the browser needs to make a key for a person who is signed in. */
  creation(person: Person, site: Site): Promise<JsonObject>;
  /** Keeps the key that the browser made. @throws {Problem} `denied` for an answer that does not hold; `invalid_request`. */
  add(person: Person, answer: JsonValue, site: Site): Promise<PasskeyRecord>;
  /** What the browser needs to prove an action; without a person any key will do. */
  request(action: string, person: Pick<Person, "id"> | undefined, site: Site): Promise<JsonObject>;
  /**
   * Checks that a key of ours proves an action, once.
   *
   * @returns Whose key it is. @throws {Problem} `denied`, in the same words whatever was wrong.
   */
  prove(action: string, answer: JsonValue, site: Site): Promise<PasskeyRecord>;
  list(): Promise<readonly PasskeyRecord[]>;
  /** @returns How many. */
  revokeOf(person: string, by: string): Promise<number>;
}

const BYTES = z
  .base64url()
  .max(16_384)
  .transform((text) => Buffer.from(text, "base64url"));
const CREATED = z.object({ clientDataJSON: BYTES, attestationObject: BYTES });
const USED = z.object({
  id: z.base64url().max(2_048),
  clientDataJSON: BYTES,
  authenticatorData: BYTES,
  signature: BYTES,
});

type Fault = WebauthnFault | "malformed" | "unknown_key" | "known_key" | "other_site";

/** The passkeys of a home. */
export function createPasskeys(deps: {
  readonly store: PasskeyStore;
  readonly keyring: Pick<Keyring, "tag">;
  readonly audit: AuditLog;
  readonly now: () => Date;
}): Passkeys {
  const { store, audit, now, keyring } = deps;
  const challenges = createActionChallenges(now);
  const refuse = async (reason: Fault, action: string, person: string | undefined): Promise<never> => {
    await audit.append({
      type: "token.refused",
      user: person,
      code: "denied",
      data: { kind: "passkey", reason, action: action.split("\n", 1)[0] },
    });
    throw new Problem("denied", {
      detail: "the passkey does not prove this action",
      remedy: "Reload the page and try again.",
    });
  };

  return {
    async creation(person, site) {
      const keys = await ofPerson(store, person.id);
      if (keys.length >= KEYS_LIMIT) throw tooMany();
      return {
        challenge: challenges.issue(creationOf(person)),
        rp: { id: site.rpId, name: "Doorward" },
        user: {
          id: keyring.tag("passkey-user", [person.id]).subarray(0, 16).toString("base64url"),
          name: person.id,
          displayName: person.name,
        },
        pubKeyCredParams: PASSKEY_ALGORITHMS.map((alg) => ({ type: "public-key", alg })),
        authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
        attestation: "none",
        excludeCredentials: keys.map(({ id }) => ({ type: "public-key", id })),
        timeout: CEREMONY_MS,
      };
    },
    async add(person, answer, site) {
      const action = creationOf(person);
      const parsed = CREATED.safeParse(answer);
      if (!parsed.success) return refuse("malformed", action, person.id);
      const challenge = challengeIn(parsed.data.clientDataJSON);
      const made = checkRegistration(parsed.data, { challenge, site });
      if (!made.ok) return refuse(made.reason, action, person.id);
      if (!challenges.take(challenge, action)) return refuse("challenge", action, person.id);
      if ((await ofPerson(store, person.id)).length >= KEYS_LIMIT) throw tooMany();
      const { id, name, roles } = person;
      const record: PasskeyRecord = { ...made.value, person: id, name, roles, rpId: site.rpId, createdAt: now() };
      if ((await store.find(record.id)) !== undefined) return refuse("known_key", action, id);
      await audit.append({
        type: "token.issued",
        user: id,
        data: { kind: "passkey", token: record.id, roles: [...roles], by: person.session },
      });
      if (!(await store.insert(record))) return refuse("known_key", action, id);
      return record;
    },
    async request(action, person, site) {
      const keys = person === undefined ? [] : await ofPerson(store, person.id);
      const here = keys.filter(({ rpId }) => rpId === site.rpId);
      return {
        challenge: challenges.issue(action),
        rpId: site.rpId,
        userVerification: "required",
        allowCredentials: here.map(({ id }) => ({ type: "public-key", id })),
        timeout: CEREMONY_MS,
      };
    },
    async prove(action, answer, site) {
      const parsed = USED.safeParse(answer);
      if (!parsed.success) return refuse("malformed", action, undefined);
      const record = await store.find(parsed.data.id);
      if (record === undefined) return refuse("unknown_key", action, undefined);
      if (record.rpId !== site.rpId) return refuse("other_site", action, record.person);
      const challenge = challengeIn(parsed.data.clientDataJSON);
      const used: Checked<number> = checkAssertion(parsed.data, { challenge, site, key: record });
      if (!used.ok) return refuse(used.reason, action, record.person);
      if (!challenges.take(challenge, action)) return refuse("challenge", action, record.person);
      // Where it counts, of two uses of one count only one is the person's.
      if (used.value !== record.signCount && !(await store.count(record, used.value))) {
        return refuse("counter", action, record.person);
      }
      return record;
    },
    list: () => store.list(),
    async revokeOf(person, by) {
      const gone = await store.removeOf(person);
      for (const id of gone) {
        await audit.append({ type: "token.revoked", user: person, data: { kind: "passkey", token: id, by } });
      }
      return gone.length;
    },
  };
}

/** A key is made for one person in one session. */
function creationOf({ id, session }: Person): string {
  return `passkey.add\n${JSON.stringify([id, session])}`;
}

/** What the answer says that it answers; that it is ours is looked at once its signature is right. */
function challengeIn(clientDataJSON: Uint8Array): string {
  return /"challenge":\s*"([\w-]+)"/.exec(Buffer.from(clientDataJSON).toString("latin1"))?.[1] ?? "";
}

async function ofPerson(store: PasskeyStore, person: string): Promise<readonly PasskeyRecord[]> {
  return (await store.list()).filter((key) => key.person === person);
}

function tooMany(): Problem {
  return new Problem("invalid_request", {
    detail: `there are ${KEYS_LIMIT} passkeys of this person already`,
    remedy: "Take them away with `doorward person revoke`, then make new ones.",
  });
}
