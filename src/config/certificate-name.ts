import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";

const MAX_CHARS = 2_048;
/** SPIFFE-ID §2: a trust domain, and segments without dots alone in them. */
const SPIFFE = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/;
const URI = /^[a-z][a-z0-9+.-]*:\/\/[\x21-\x7e]+$/;
const SUBJECT_PART = /^[A-Za-z][A-Za-z0-9]*=[^\p{Cc}]+$|^\d+(?:\.\d+)+=[^\p{Cc}]+$/u;

/**
 * What a client certificate is known by: a URI of its subject alternative name, or its whole subject (RFC 4514).
 *
 * @returns A URI as it is; a subject without spaces after its commas.
 */
export function parseCertificateName(text: string): Parsed<string> {
  if (text.length > MAX_CHARS) return unparsed("the name is too long", `write at most ${MAX_CHARS} characters`);
  if (text.startsWith("spiffe:")) {
    if (SPIFFE.test(text)) return parsed(text);
    return unparsed(`${quote(text)} is not a SPIFFE ID`, "write it as in `spiffe://acme.example/agents/dns-bot`");
  }
  if (URI.test(text)) return parsed(text);
  const parts = text.split(/(?<!\\),\s*/);
  if (parts.every((part) => SUBJECT_PART.test(part))) return parsed(parts.join(","));
  return unparsed(
    `${quote(text)} names no certificate`,
    "write a URI, as in `spiffe://acme.example/agents/dns-bot`, or the whole subject, as in `CN=dns-bot,O=Acme`",
  );
}
