import { isListHeader, judgeHeader } from "./header-rules.ts";
import { ambiguous, quote, type Refused, refused } from "./refusal.ts";
import type { RequestForm } from "./request-form.ts";

/** Of all headers that pass, names and values. */
export const MAX_HEADER_BYTES = 16 * 1024;
export const MAX_HEADERS = 64;

export type Header = readonly [name: string, value: string];

export type CanonicalHeaders =
  | { readonly ok: true; readonly headers: readonly Header[]; readonly dropped: readonly string[] }
  | Refused;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;

/**
 * Lets those of an agent's headers through that may pass, adds the owner's, and sorts them by name.
 *
 * @param raw - In order, names in any case.
 * @returns Lower-case names. `dropped` leaves out what every HTTP client sends for its own connection.
 */
export function canonicalHeaders(raw: readonly Header[], form: RequestForm): CanonicalHeaders {
  const passed: Header[] = [];
  const dropped = new Set<string>();
  const rules = {
    allowHeaders: form.allowHeaders,
    ranges: form.ranges,
    credential: form.credential.header,
    program: form.program === true,
  };
  for (const [written, value] of raw) {
    if (!TOKEN.test(written)) return refused("invalid_request", `the header name ${quote(written)} is not a token`);
    const name = written.toLowerCase();
    const encoded = contentEncodingFault(name, value);
    if (encoded !== undefined) return encoded;
    const judgement = judgeHeader(name, rules);
    if (judgement !== "pass") {
      if (form.door === "mcp") return headerRefused(name, judgement === "unlisted");
      if (judgement !== "transport") dropped.add(name);
    } else if (isSet(form, name)) dropped.add(name);
    else {
      const fault = valueFault(name, value);
      if (fault !== undefined) return fault;
      passed.push([name, value.trim()]);
    }
  }
  for (const [name, value] of form.setHeaders) passed.push([name, value]);
  return sizeFault(passed) ?? repetitionFault(passed) ?? { ok: true, headers: sorted(passed), dropped: [...dropped] };
}

function isSet({ setHeaders }: RequestForm, name: string): boolean {
  return setHeaders.has(name) || (name.includes("_") && setHeaders.has(name.replaceAll("_", "-")));
}

/** Rules and schemas must read the body, so it may not be compressed. */
function contentEncodingFault(name: string, value: string): Refused | undefined {
  if (name.replaceAll("_", "-") !== "content-encoding") return undefined;
  const coding = value.trim().toLowerCase();
  return coding === "" || coding === "identity"
    ? undefined
    : refused("unsupported_encoding", `the body is encoded as ${quote(coding)}`);
}

function headerRefused(name: string, unlisted: boolean): Refused {
  if (unlisted) return refused("header_refused", `the header ${quote(name)} may not pass`);
  return refused(
    "header_refused",
    `the header ${quote(name)} is Doorward's own or overrides the request`,
    "Leave the header out.",
  );
}

function valueFault(name: string, value: string): Refused | undefined {
  if (VALUE.test(value)) return undefined;
  return refused(
    "invalid_request",
    `the header ${quote(name)} holds a character that is not visible ASCII`,
    "Write header values in visible ASCII, without line breaks.",
  );
}

function sizeFault(headers: readonly Header[]): Refused | undefined {
  if (headers.length > MAX_HEADERS)
    return refused("too_large", `the request has more than ${MAX_HEADERS} headers that pass`);
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes > MAX_HEADER_BYTES
    ? refused("too_large", `the headers are larger than ${MAX_HEADER_BYTES} bytes`)
    : undefined;
}

function repetitionFault(headers: readonly Header[]): Refused | undefined {
  if (headers.length < 2) return undefined;
  const seen = new Set<string>();
  for (const [name] of headers) {
    const folded = name.replaceAll("_", "-");
    if (seen.has(folded) && !isListHeader(folded)) {
      return ambiguous(`the header ${quote(name)} stands several times`, "Send the header once.");
    }
    seen.add(folded);
  }
  return undefined;
}

/** By name; repeated names in the order in which they came, since a list has one. */
function sorted(headers: readonly Header[]): readonly Header[] {
  if (headers.length < 2) return headers;
  return headers.toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
}
