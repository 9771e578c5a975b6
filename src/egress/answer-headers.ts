import type { AnswerScrubber } from "./outbound-request.ts";
import { type ReferenceView, rewriteLink, rewriteLocation } from "./rewrite-reference.ts";

/**
 * The answer's headers that may pass: content, caching, paging, request ids. All others stay here: cookies, challenges,
 * framing, and whatever else an upstream may think of.
 */
const PASSING: ReadonlySet<string> = new Set([
  "content-type",
  "content-language",
  "content-disposition",
  "allow",
  "cache-control",
  "expires",
  "etag",
  "last-modified",
  "age",
  "vary",
  "retry-after",
  "deprecation",
  "sunset",
  "x-request-id",
  "request-id",
  "x-correlation-id",
  "x-github-request-id",
  "x-github-media-type",
  "x-amzn-requestid",
  "x-ms-request-id",
  "idempotency-key",
  "idempotent-replayed",
  "stripe-should-retry",
  "stripe-version",
  "x-total-count",
  "x-total",
  "x-total-pages",
  "x-page",
  "x-per-page",
  "x-next-page",
  "x-prev-page",
]);

const PASSING_WITH_RANGES: ReadonlySet<string> = new Set(["accept-ranges", "content-range"]);

/** Rate-limit headers, by the words that vendors build them of: a free suffix could carry a secret. */
const RATE_LIMIT =
  /^(?:x-|anthropic-)?rate-?limit(?:-(?:limit|remaining|reset|used|resource|policy|requests|tokens|input|output|after|second|minute|hour|day|month|observed|bucket|scope|global)){0,3}$/;

/** Visible ASCII, space and tab. Anything else has more than one reading, and the scrubber knows one. */
const PLAIN = /^[\t\x20-\x7e]*$/;

/** What a program behind the egress proxy is not shown either: framing, connections, sessions, other ways to the host. */
const NOT_FOR_PROGRAMS =
  /^(?:connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-(?:length|encoding|range)|accept-ranges|set-cookie2?|alt-svc|proxy-.*|doorward-.*)$/;

/** Words of letters: a name that is free could be a secret in lower case. */
const WORDS = /^(?:[a-z]{1,16}[0-9]?|[0-9])(?:-(?:[a-z]{1,16}[0-9]?|[0-9])){0,7}$/;

export interface HeaderFilter {
  readonly view: ReferenceView;
  readonly scrubber: AnswerScrubber | undefined;
  readonly rangesAllowed: boolean;
  readonly passing?: ReadonlySet<string> | undefined;
  /** `program`: all but connection and session headers, and references as they came. Absent: those of the list. */
  readonly names?: "listed" | "program" | undefined;
}

/**
 * Reduces an answer's headers to what may pass, scrubbed as it will be seen: after rewriting, so that no rewriting
 * can put together what an upstream had pulled apart.
 *
 * @param headers - Lower-case names; a repeated header's values as an array.
 */
export function passHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  filter: HeaderFilter,
): { readonly headers: (readonly [string, string])[]; readonly redacted: number } {
  const passed: (readonly [string, string])[] = [];
  let redacted = 0;
  for (const name of Object.keys(headers)) {
    if (!mayPass(name, filter) && filter.passing?.has(name) !== true) continue;
    const values = headers[name];
    for (const value of typeof values === "string" ? [values] : (values ?? [])) {
      const seen = PLAIN.test(value) ? rewrite(name, value, filter) : undefined;
      if (seen === undefined) continue;
      const clean = filter.scrubber?.text(seen);
      redacted += clean?.redacted ?? 0;
      passed.push([name, clean?.text ?? seen]);
      if (name === "content-type" || name === "location") break;
    }
  }
  return { headers: passed, redacted };
}

function mayPass(name: string, { rangesAllowed, names }: HeaderFilter): boolean {
  if (names === "program" && WORDS.test(name) && !NOT_FOR_PROGRAMS.test(name)) return true;
  if (PASSING.has(name) || name === "location" || name === "link") return true;
  if (rangesAllowed && PASSING_WITH_RANGES.has(name)) return true;
  return name.includes("rate") && name.length < 80 && RATE_LIMIT.test(name);
}

function rewrite(name: string, value: string, { view, names }: HeaderFilter): string | undefined {
  // A program sees the service where it is; where a reference leads it is told by the proxy, should it go there.
  if (names === "program") return value;
  if (name === "location") return rewriteLocation(value, view);
  if (name === "link") return rewriteLink(value, view);
  return value;
}
