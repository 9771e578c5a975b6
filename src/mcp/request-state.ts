import { createHash } from "node:crypto";
import { isObject, type JsonObject } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Principal } from "../identity/principal.ts";

/** A client that was asked for input has this long to repeat its call: 10 minutes, in milliseconds. */
const TTL_MS = 600_000;
/** Of an upstream's own state, before it is sealed. */
const MAX_STATE_CHARACTERS = 64 * 1024;
const PURPOSE = "mcp-request-state";

/** The call that a state belongs to; it is accepted with this one and no other. */
export interface StateOwner {
  readonly principal: Principal;
  readonly service: string;
  readonly method: string;
  readonly name: string;
  readonly arguments: JsonObject;
}

/** The states of calls that wait for their client's input: they travel through the client, who is not trusted with them. */
export interface RequestStates {
  /** @param state - As the upstream gave it, if it gave one. @returns `undefined` when it is too long to be carried. */
  seal(owner: StateOwner, state: string | undefined, now: Date): string | undefined;
  /** @returns `undefined` when it was made for another caller or call, is too old, or is not ours: all the same. */
  open(owner: StateOwner, sealed: string, now: Date): { readonly state: string | undefined } | undefined;
}

/** @param keyring - Of the home: any process that has it can open what another sealed. */
export function createRequestStates(keyring: {
  seal(purpose: string, place: readonly string[], bytes: Uint8Array): Buffer;
  unseal(purpose: string, place: readonly string[], box: Uint8Array): Buffer | undefined;
}): RequestStates {
  return {
    seal(owner, state, now) {
      if (state !== undefined && state.length > MAX_STATE_CHARACTERS) return undefined;
      const content = JSON.stringify({ state: state ?? null, until: now.getTime() + TTL_MS });
      return keyring.seal(PURPOSE, placeOf(owner), Buffer.from(content, "utf8")).toString("base64url");
    },
    open(owner, sealed, now) {
      const box = Buffer.from(sealed, "base64url");
      // One text per state: other spellings of the same bytes are not taken.
      if (box.toString("base64url") !== sealed) return undefined;
      const bytes = keyring.unseal(PURPOSE, placeOf(owner), box);
      const parsed = bytes === undefined ? undefined : parseStrictJson(bytes);
      if (parsed?.ok !== true || !isObject(parsed.value)) return undefined;
      const { state, until } = parsed.value;
      if (typeof until !== "number" || now.getTime() > until) return undefined;
      return { state: typeof state === "string" ? state : undefined };
    },
  };
}

function placeOf({ principal, service, method, name, arguments: args }: StateOwner): readonly string[] {
  const digest = createHash("sha256").update(JSON.stringify(args), "utf8").digest("hex");
  const { agent, client, tenant = "", user = "" } = principal;
  return [agent, client, tenant, user, service, method, name, digest];
}
