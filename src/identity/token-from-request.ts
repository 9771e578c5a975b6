import { looksLikeApiKey } from "./api-key.ts";

type Header = readonly [name: string, value: string];

/** Where a service's own credential goes, and so where an SDK may have put the Doorward token instead. */
export interface CredentialPlace {
  readonly kind: string;
  /** Of the header (any case) or of the query parameter. */
  readonly name?: string;
}

export interface TokenSource {
  /** As they came, names and values in turn; a repeated name stands several times. */
  readonly rawHeaders: readonly string[];
  /** `""`, or the query with its `?`, as it came. */
  readonly search: string;
  /** Of the service that is called; `undefined` where there is none, as on `/mcp`. */
  readonly credential: CredentialPlace | undefined;
}

export type FoundToken =
  /**
   * `token` is `undefined` when there is none. Headers, their names in lower case, and query are as they came, less every
   * place of a token.
   */
  | {
      readonly ok: true;
      readonly token: string | undefined;
      readonly headers: readonly Header[];
      readonly search: string;
    }
  /** Two places name two different Doorward keys: whoever put one there is not whoever put the other. */
  | { readonly ok: false; readonly reason: "ambiguous" };

/**
 * Takes the caller's token out of a request, wherever an ordinary SDK would put the vendor's key.
 *
 * `Authorization` with any scheme (`Bearer`, `token`, or none), `Basic` (as password, or as user name, as Stripe's
 * clients do), and the header or query parameter of the service's credential. A Doorward key wins over an SDK's dummy
 * in another of these places; every one of them is emptied, so that neither goes upstream.
 *
 * @returns Never throws. What is not a Doorward key is returned only when no place has one.
 */
export function tokenFromRequest({ rawHeaders, search, credential }: TokenSource): FoundToken {
  const place = credential?.kind === "header" ? credential.name?.toLowerCase() : undefined;
  const parameter = credential?.kind === "query" ? credential.name : undefined;
  const passing: Header[] = [];
  const candidates: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    if (name === "authorization") candidates.push(...fromAuthorization(value));
    else if (name === place) candidates.push(fromHeader(value));
    else passing.push([name, value]);
  }
  let kept = search;
  if (parameter !== undefined && search !== "") {
    const query = takeFromQuery(search, parameter);
    candidates.push(...query.values);
    kept = query.search;
  }
  return chooseToken(candidates, { headers: passing, search: kept });
}

function chooseToken(
  candidates: readonly string[],
  request: { readonly headers: readonly Header[]; readonly search: string },
): FoundToken {
  let key: string | undefined;
  let other: string | undefined;
  for (const candidate of candidates) {
    if (!looksLikeApiKey(candidate)) {
      if (candidate !== "") other ??= candidate;
    } else if (key !== undefined && key !== candidate) return { ok: false, reason: "ambiguous" };
    else key = candidate;
  }
  return { ok: true, token: key ?? other, headers: request.headers, search: request.search };
}

const BEARER = /^Bearer (\S+)$/;

/** What may be a token in an `Authorization` value: both halves of Basic, the last word of anything else. */
function fromAuthorization(value: string): readonly string[] {
  const bearer = BEARER.exec(value)?.[1];
  if (bearer !== undefined) return [bearer];
  const [scheme = "", rest = scheme] = value.trim().split(/\s+/);
  if (scheme.toLowerCase() !== "basic") return [rest];
  const pair = Buffer.from(rest, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon === -1) return [pair];
  return [pair.slice(colon + 1), pair.slice(0, colon)];
}

/** A vendor's header may carry a prefix of its own (`Token dw_…`, `apikey=dw_…`): the key is what ends the value. */
function fromHeader(value: string): string {
  const plain = value.trim();
  const last = plain.slice(Math.max(...[" ", "=", ":"].map((separator) => plain.lastIndexOf(separator))) + 1);
  return looksLikeApiKey(last) ? last : plain;
}

/** Takes parameters out of a query; those that stay are not touched by a byte. */
function takeFromQuery(search: string, parameter: string) {
  const values: string[] = [];
  const kept = search
    .replace(/^\?/, "")
    .split("&")
    .filter((part) => {
      const equals = part.indexOf("=");
      const name = decode(equals === -1 ? part : part.slice(0, equals));
      if (name !== parameter) return true;
      values.push(equals === -1 ? "" : (decode(part.slice(equals + 1)) ?? ""));
      return false;
    });
  if (values.length === 0) return { values, search };
  return { values, search: kept.length === 0 ? "" : `?${kept.join("&")}` };
}

/** `undefined` for what does not decode; the request's canonical form refuses that later. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}
