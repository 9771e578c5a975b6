import { isMethodOverrideHeader } from "./method-override.ts";

/** Request headers that pass on their own; also every name that begins with `if-`. The list is the contract's. */
const DEFAULT_ALLOWED = new Set([
  "accept",
  "accept-language",
  "content-type",
  "idempotency-key",
  "prefer",
  "traceparent",
  "tracestate",
  "x-request-id",
]);

/** Doorward's own on the way out, and sent by every client: not worth a word when they are dropped. */
const TRANSPORT = new Set([
  "host",
  "user-agent",
  "accept-encoding",
  "content-length",
  "content-encoding",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
]);

/** Who asks, from where, and for what: an upstream must not take it from an agent. */
const NEVER = new Set([
  "authorization",
  "cookie",
  "cookie2",
  "set-cookie",
  "forwarded",
  "via",
  "client-ip",
  "cluster-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
  "fastly-client-ip",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-remote-ip",
  "x-remote-addr",
  "x-remote-user",
  "x-originating-ip",
  "x-host",
  "x-original-host",
  "x-original-url",
  "x-original-uri",
  "x-rewrite-url",
  "x-url-scheme",
  "x-http-host-override",
]);
const NEVER_PREFIX = /^(?:proxy-|doorward-|x-doorward-|x-forwarded|x-envoy-)/;

/** Headers of which several stand for one list (RFC 9110 §5.3); of all others a second one is ambiguous. */
const LISTS = new Set(["accept", "accept-language", "if-match", "if-none-match", "prefer", "tracestate"]);

export type HeaderJudgement = "pass" | "transport" | "never" | "unlisted";

/**
 * What becomes of a header that an agent sent, by its name.
 *
 * The names that must not pass are looked for with `_` as `-`: CGI and its kin cannot tell these apart. A name with
 * `_` passes only when the owner lists it and it is no second spelling of one that passes by itself.
 *
 * @param name - Lower case, a token.
 */
export function judgeHeader(
  name: string,
  form: {
    readonly allowHeaders: ReadonlySet<string>;
    readonly ranges: boolean;
    readonly credential: string | undefined;
    readonly program: boolean;
  },
): HeaderJudgement {
  const dashed = name.includes("_") ? name.replaceAll("_", "-") : name;
  if (TRANSPORT.has(dashed)) return "transport";
  if (form.program && name === "authorization") return "pass";
  if (NEVER.has(dashed) || NEVER_PREFIX.test(dashed) || isMethodOverrideHeader(dashed)) return "never";
  if (form.credential !== undefined && dashed === form.credential.replaceAll("_", "-")) return "never";
  if (dashed === "range" || dashed === "if-range") return form.ranges && name === dashed ? "pass" : "unlisted";
  if (DEFAULT_ALLOWED.has(name) || name.startsWith("if-")) return "pass";
  if (name !== dashed && (DEFAULT_ALLOWED.has(dashed) || dashed.startsWith("if-"))) return "never";
  return form.allowHeaders.has(name) || (form.program && name === dashed) ? "pass" : "unlisted";
}

/** Whether several headers of this name are one list. */
export function isListHeader(name: string): boolean {
  return LISTS.has(name);
}
