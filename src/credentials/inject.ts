import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { HttpCredentialConfig } from "../config/schema.ts";

/** The parts of a request that a credential can stand in. */
export interface InjectionTarget {
  /** Lower-case names. */
  readonly headers: readonly (readonly [string, string])[];
  /** `""`, or `?…` as it will be sent. */
  readonly search: string;
}

/** A request with its credential on it, and what must not come back in the answer. */
export interface Injected extends InjectionTarget {
  /** For `createScrubber`: each value that amounts to the credential. Their encodings are the scrubber's business. */
  readonly sensitive: readonly Secret[];
}

/** What Node and every server take as one header value: no line breaks, no NUL, nothing beyond Latin-1. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;

/**
 * Puts a credential on a request, in the frame that sends it.
 *
 * A header of the credential's own name is replaced, never doubled: two values would let the upstream choose.
 *
 * @param into - The canonical request that was decided on; it is not changed.
 * @throws {Problem} `secret_unavailable` when the secret cannot stand where the credential goes, `invalid_request` when
 *   the query has a parameter of the credential's name already.
 */
export function inject(credential: HttpCredentialConfig, secret: Secret, into: InjectionTarget): Injected {
  switch (credential.kind) {
    case "bearer":
      return withHeader(into, "authorization", `Bearer ${secret.reveal()}`, [secret]);
    case "basic":
      return withBasic(into, credential.username, secret);
    case "header":
      return withHeader(into, credential.name, `${credential.prefix ?? ""}${secret.reveal()}`, [secret]);
    case "query":
      return withParameter(into, credential.name, secret);
    default:
      return credential satisfies never;
  }
}

/** @see RFC 7617; UTF-8, as §2.1 lets a server ask for. The pair counts as secret: its password may be short. */
function withBasic(into: InjectionTarget, username: string, password: Secret): Injected {
  if (username.includes(":")) throw unfit("the user name of a basic credential holds a colon");
  const pair = `${username}:${password.reveal()}`;
  const value = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
  return withHeader(into, "authorization", value, [password, new Secret(pair)]);
}

function withHeader(into: InjectionTarget, name: string, value: string, sensitive: readonly Secret[]): Injected {
  if (!HEADER_VALUE.test(value)) throw unfit("the secret holds a character that no header can carry");
  if (value !== value.trim()) throw unfit("the secret ends with white space, which a header loses");
  const others = into.headers.filter(([other]) => other.toLowerCase() !== name);
  return { headers: [...others, [name, value]], search: into.search, sensitive };
}

function withParameter(into: InjectionTarget, name: string, secret: Secret): Injected {
  if (new URLSearchParams(into.search).has(name)) {
    throw new Problem("invalid_request", { detail: `the query has \`${name}\`, which is the credential's place` });
  }
  const pair = `${encode(name)}=${encode(secret.reveal())}`;
  const before = into.search === "" || into.search === "?" ? "?" : `${into.search}&`;
  return { headers: into.headers, search: before + pair, sensitive: [secret] };
}

/** Percent-encodes all but the unreserved characters of RFC 3986. */
function encode(text: string): string {
  if (!text.isWellFormed()) throw unfit("the secret is not well-formed text");
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function unfit(reason: string): Problem {
  return new Problem("secret_unavailable", { reason });
}
