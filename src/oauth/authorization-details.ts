import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { MAX_CONTEXT_CHARACTERS, type SignedContext } from "../identity/principal.ts";
import { DETAILS_TYPE, isWithin, parseResource } from "./resources.ts";
import { areWithin, parseScopes } from "./scopes.ts";

/** Entries of `locations`, and of `actions`. */
const ENTRIES_LIMIT = 50;
const CONTEXT = ["purpose", "task", "tenant", "role"] as const;
const MEMBERS: ReadonlySet<string> = new Set(["type", "actions", "locations", ...CONTEXT]);

/**
 * What a token was issued for, beyond its scopes: the context of every call that it makes, and what it is limited to.
 *
 * Each part that is there takes something away; none gives anything.
 */
export interface AuthorizationDetails extends SignedContext {
  /** Patterns over `service:operation`. */
  readonly actions?: readonly string[] | undefined;
  /** Resources of ours that a token may be for. */
  readonly locations?: readonly string[] | undefined;
}

export type DetailsResult =
  | { readonly ok: true /** None where none are asked for. */; readonly details: AuthorizationDetails | undefined }
  | { readonly ok: false; readonly problem: string };

/** Reads the parameter `authorization_details` as it was sent. @returns Never throws. */
export function parseAuthorizationDetails(text: string, publicUrl: string): DetailsResult {
  const parsed = parseStrictJson(text, { depth: 4 });
  if (!parsed.ok) return fault(`authorization_details is not acceptable JSON: ${parsed.problem}`);
  return readDetails(parsed.value, (location) => parseResource(location, publicUrl) !== undefined);
}

/**
 * Reads authorization details: one object of our type, known members alone.
 *
 * Several objects would mean any of several contexts (RFC 9396 §2), so that no call would have one; an unknown member is a
 * limit that we would not keep. Both are refused.
 */
export function readDetails(value: unknown, isLocation: (location: string) => boolean = () => true): DetailsResult {
  if (!Array.isArray(value)) return fault("authorization_details must be a list");
  if (value.length === 0) return { ok: true, details: undefined };
  const [given] = value as readonly JsonValue[];
  if (value.length > 1) return fault("authorization_details must hold one object");
  if (!isObject(given)) return fault("it must hold an object");
  if (given["type"] !== DETAILS_TYPE) return fault(`the type must be \`${DETAILS_TYPE}\``);
  if (Object.keys(given).some((name) => !MEMBERS.has(name))) return fault("a member is not known");
  for (const name of CONTEXT) {
    if (given[name] !== undefined && !isPlainText(given[name])) return fault(`${name} must be a short plain text`);
  }
  const { actions, locations } = given;
  if (actions !== undefined && !areActions(actions)) return fault("actions must be a list of operations");
  if (locations !== undefined && !isListOf(locations, isLocation)) {
    return fault("locations must be a list of resources of this server");
  }
  return { ok: true, details: detailsOf(given) };
}

/**
 * What is left of authorization details when a client asks for less.
 *
 * @returns What both allow: what is not asked stays as granted. `undefined` when more is asked than was granted.
 */
export function narrowDetails(
  asked: AuthorizationDetails | undefined,
  granted: AuthorizationDetails | undefined,
  publicUrl: string,
): { readonly details: AuthorizationDetails | undefined } | undefined {
  if (asked === undefined || granted === undefined) return { details: asked ?? granted };
  for (const name of CONTEXT) {
    if (asked[name] !== undefined && granted[name] !== undefined && asked[name] !== granted[name]) return undefined;
  }
  const { actions, locations } = granted;
  if (asked.actions !== undefined && actions !== undefined && !areWithin(asked.actions, actions)) return undefined;
  const allowed = (location: string) => isAtLocation(granted, location, publicUrl);
  if (asked.locations !== undefined && locations !== undefined && !asked.locations.every(allowed)) return undefined;
  return { details: { ...granted, ...asked } };
}

/** Whether a token with these details may be for a resource. */
export function isAtLocation({ locations }: AuthorizationDetails, resource: string, publicUrl: string): boolean {
  return locations === undefined || isWithin(resource, locations, publicUrl);
}

/** The scopes that the actions leave: of each pair the narrower one. What only overlaps is left out, so that it is never more. */
export function scopesLeft(scopes: readonly string[], { actions }: AuthorizationDetails): readonly string[] {
  if (actions === undefined) return scopes;
  const left = [
    ...scopes.filter((scope) => areWithin([scope], actions)),
    ...actions.filter((action) => areWithin([action], scopes)),
  ];
  return [...new Set(left)];
}

/** As they stand in a token, in its answer and in introspection. */
export function detailsOnWire(details: AuthorizationDetails): readonly JsonObject[] {
  return [{ type: DETAILS_TYPE, ...present(details) } as JsonObject];
}

function detailsOf(given: JsonObject): AuthorizationDetails {
  const { type: _, ...rest } = given;
  return present(rest as AuthorizationDetails);
}

/** Without members that are not there, as these would hide what was granted. */
function present(details: AuthorizationDetails): AuthorizationDetails {
  return Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined));
}

/** One line without what turns or hides text: it is shown to the person who is asked. */
function isPlainText(value: JsonValue | undefined): boolean {
  if (typeof value !== "string" || value.length === 0 || value.length > MAX_CONTEXT_CHARACTERS) return false;
  return !/[\p{C}\p{Zl}\p{Zp}]|^\s|\s$/u.test(value);
}

function areActions(value: JsonValue): boolean {
  return isListOf(value, (action) => {
    const parsed = parseScopes(action);
    return parsed.ok && parsed.scopes.length === 1 && parsed.scopes[0] === action;
  });
}

function isListOf(value: JsonValue, fits: (entry: string) => boolean): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > ENTRIES_LIMIT) return false;
  return (value as readonly JsonValue[]).every((entry) => typeof entry === "string" && fits(entry));
}

function fault(problem: string): DetailsResult {
  return { ok: false, problem };
}
