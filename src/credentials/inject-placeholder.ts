import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { EnvCredentialConfig } from "../config/schema.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import { quote } from "../request/refusal.ts";
import { carriesCredential, type PlaceableRequest, placeText } from "./place-secret.ts";
import type { Placeholder } from "./placeholder.ts";

/** Where the placeholder stands in a request. */
export type PlaceholderFinding =
  | { readonly kind: "absent" }
  /** In its place, and nowhere else. */
  | { readonly kind: "placed" }
  /** Elsewhere, in a form that no key is put into, or beside a credential of the program's own. `detail` names the part. */
  | { readonly kind: "refused"; readonly detail: string };

/** A request with the key in the placeholder's place, and what must not come back in the answer. */
export interface InjectedPlaceholder {
  readonly headers: readonly (readonly [string, string])[];
  readonly search: string;
  readonly body: Uint8Array | undefined;
  readonly sensitive: readonly Secret[];
}

/**
 * Looks for a program's placeholder in all that it sent.
 *
 * Everything is looked through in each form of `SCRUBBED_ENCODINGS`, what is dropped on the way included: a placeholder out of
 * its place is a program that does something else with its key than it was declared to do.
 *
 * Where the key goes into a header, an `Authorization` without the placeholder is refused too: it would act in another
 * name than the declared one, and carry data off to an account of somebody else on a host that the program may reach.
 * Where the key goes into the query or the body, a program gets a token for it and must send that, so there it passes.
 *
 * @param place - Where it may stand in a request to this origin; `undefined` where this origin gets no key.
 * @returns Never throws. Cost is linear in the request.
 */
export function findPlaceholder(
  sent: { readonly headers: readonly (readonly [string, string])[]; readonly request: CanonicalRequest },
  placeholder: Placeholder,
  place: EnvCredentialConfig["place"] | undefined,
): PlaceholderFinding {
  const { request } = sent;
  const passing = new Set(request.headers.map(([name]) => name));
  const written = sent.headers.map(([name, value]) => [name.toLowerCase(), value] as const);
  const rest =
    place === undefined
      ? { ...request, count: 0 }
      : placeText(request, { placeholder: placeholder.value, place, text: "" });
  const leftovers: readonly (readonly [string, string])[] = [
    ["the path", request.path],
    ["the query", rest.search],
    ...rest.headers.map(([name, value]) => [headerPart(name), value] as const),
    ...written.filter(([name]) => !passing.has(name)).map(([name, value]) => [headerPart(name), value] as const),
    ["the name of a header", sent.headers.map(([name]) => name).join("\n")],
  ];
  const found = leftovers.find(([, text]) => placeholder.traces.text(text).redacted > 0);
  if (found !== undefined) return misplaced(found[0], place);
  if (rest.body !== undefined && placeholder.traces.bytes(rest.body).redacted > 0) return misplaced("the body", place);
  if (place === "header" && keepsAuthorization(request, rest)) {
    return { kind: "refused", detail: "`authorization` holds something else than the placeholder" };
  }
  return rest.count > 0 ? { kind: "placed" } : { kind: "absent" };
}

type Headers = CanonicalRequest["headers"];

function keepsAuthorization(before: { readonly headers: Headers }, after: { readonly headers: Headers }): boolean {
  return before.headers.some(([name, value], at) => name === "authorization" && after.headers[at]?.[1] === value);
}

/**
 * Puts the key in for the placeholder, in the frame that sends it.
 *
 * @param request - One for which {@link findPlaceholder} said `placed`.
 * @throws {Problem} `secret_unavailable` when the key cannot stand where the placeholder does.
 */
export function injectPlaceholder(
  request: PlaceableRequest,
  secret: Secret,
  use: { readonly placeholder: Placeholder; readonly place: EnvCredentialConfig["place"] },
): InjectedPlaceholder {
  const text = secret.reveal();
  if (use.place === "header" && !HEADER_VALUE.test(text)) throw unfit("no header can carry the secret");
  if (!text.isWellFormed()) throw unfit("the secret is not well-formed text");
  const { placeholder, place } = use;
  const { headers, search, body, pairs } = placeText(request, { placeholder: placeholder.value, place, text });
  return { headers, search, body, sensitive: [secret, ...pairs.map((pair) => new Secret(pair))] };
}

/** Visible ASCII, without spaces at its ends: what a header carries unchanged. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

function headerPart(name: string): string {
  return `the header ${quote(name)}`;
}

function misplaced(part: string, place: EnvCredentialConfig["place"] | undefined): PlaceholderFinding {
  return { kind: "refused", detail: `the placeholder stands in ${part}${whyNot(part, place)}` };
}

function whyNot(part: string, place: EnvCredentialConfig["place"] | undefined): string {
  if (place === undefined) return " of a request to a host that gets no key";
  const header = /^the header `(.*)`$/.exec(part)?.[1];
  if (place !== "header" || header === undefined) return `, and its place is the ${place}`;
  return carriesCredential(header) ? ", in a form that is not known" : ", which carries no credential";
}

function unfit(reason: string): Problem {
  return new Problem("secret_unavailable", { reason });
}
