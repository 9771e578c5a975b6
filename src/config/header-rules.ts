import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";
import { quote } from "./quote.ts";

/** RFC 9110 token, in characters. */
const MAX_HEADER_NAME_CHARS = 100;
const MAX_HEADER_VALUE_CHARS = 4_096;

/** Framing, routing and hop-by-hop: Doorward's own, whoever asks. */
const CONNECTION_HEADERS =
  /^(?:host|content-length|content-encoding|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|http2-settings|accept-encoding|date|proxy-.*)$/;
/** What says who sent the request or which way it came. */
const FORWARDING_HEADERS =
  /^(?:forwarded|via|from|origin|referer|x-forwarded(?:-.*)?|x-real-ip|x-originating-ip|x-remote-(?:ip|addr|user)|x-cluster-client-ip|(?:x-|true-)?client-ip|cf-connecting-ip|fastly-client-ip|x-original-(?:url|uri|host)|x-rewrite-url|x-host|max-forwards|user-agent|sec-.*|doorward-.*)$/;
/** What makes some servers see another method than the one that was decided on. */
const OVERRIDE_HEADERS = /^(?:x-)?(?:http-)?method(?:-override)?$|^_method$/;
const CREDENTIAL_HEADERS =
  /^(?:cookie2?|set-cookie|www-authenticate)$|(?:^|-)(?:authorization|authentication|auth|api-?key|apikey|access-?key|token|secret|password|passwd|credentials?|signature|jwt)(?:-|$)/;

/** A header that an agent may send, as `headers.allow` names it. Lower-cased. */
export function parseAllowedHeader(text: string): Parsed<string> {
  const name = parseHeaderName(text);
  if (!name.ok) return name;
  const judged = name.value.replaceAll("_", "-");
  if (judged === "range")
    return unparsed("`Range` is not allowed by name", "write `ranges: true` on the operations that need it");
  if (CREDENTIAL_HEADERS.test(judged))
    return unparsed(
      `${quote(text)} carries credentials, which are Doorward's to put in`,
      "remove it; name the secret under `credential:`",
    );
  return reservedFault(text, judged) ?? name;
}

/** A header that Doorward sets on each request to a service. Lower-cased. */
export function parseSetHeader(text: string): Parsed<string> {
  const name = parseHeaderName(text);
  if (!name.ok) return name;
  const judged = name.value.replaceAll("_", "-");
  if (CREDENTIAL_HEADERS.test(judged))
    return unparsed(
      `${quote(text)} carries credentials, and no secret may stand in this file`,
      'write `credential: { kind: header, name: …, secret: "local:NAME" }`',
    );
  if (/^(?:range|content-type|if-.*)$/.test(judged))
    return unparsed(`${quote(text)} belongs to the single request`, "remove it");
  return reservedFault(text, judged) ?? name;
}

export function parseSetHeaderValue(text: string): Parsed<string> {
  if (looksLikeSecret(text) || looksRandom(text))
    return unparsed(
      "the value looks like a secret",
      "store it with `doorward secret set NAME --stdin` and name it under `credential:`",
    );
  if (text.length > MAX_HEADER_VALUE_CHARS)
    return unparsed("the value is too long", `write at most ${MAX_HEADER_VALUE_CHARS} characters`);
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text))
    return unparsed("the value cannot be sent", "write visible ASCII characters, without space at either end");
  return parsed(text);
}

/** The header that a credential of kind `header` goes into. Lower-cased. */
export function parseCredentialHeader(text: string): Parsed<string> {
  const name = parseHeaderName(text);
  if (!name.ok) return name;
  const judged = name.value.replaceAll("_", "-");
  if (/^(?:cookie2?|set-cookie|range|content-type|accept|if-.*|www-authenticate)$/.test(judged))
    return unparsed(
      `${quote(text)} cannot carry a credential`,
      "name the header that the API asks for, as in `X-Api-Key`",
    );
  return reservedFault(text, judged) ?? name;
}

function parseHeaderName(text: string): Parsed<string> {
  if (looksLikeSecret(text) || text.length > MAX_HEADER_NAME_CHARS || !/^[A-Za-z0-9!#$%&'*+.^_|~-]+$/.test(text)) {
    return unparsed(`${quote(text)} is not a header name`, "write letters, digits and `-`, as in `Stripe-Version`");
  }
  return parsed(text.toLowerCase());
}

function reservedFault(text: string, name: string): ReturnType<typeof unparsed> | undefined {
  if (CONNECTION_HEADERS.test(name) || FORWARDING_HEADERS.test(name))
    return unparsed(`${quote(text)} is Doorward's own`, "remove it");
  if (OVERRIDE_HEADERS.test(name))
    return unparsed(`${quote(text)} overrides the method that was decided on`, "remove it");
  return undefined;
}
