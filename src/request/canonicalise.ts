import { canonicalBody } from "./canonical-body.ts";
import { canonicalHeaders, type Header } from "./canonical-headers.ts";
import { canonicalPath } from "./canonical-path.ts";
import { canonicalQuery } from "./canonical-query.ts";
import type { CanonicalRequest } from "./canonical-request.ts";
import type { RawRequest } from "./raw-request.ts";
import { ambiguous, type Refused, refused } from "./refusal.ts";
import type { RequestForm } from "./request-form.ts";

export type { CanonicalRequest } from "./canonical-request.ts";

export type Canonicalised = { readonly ok: true; readonly request: CanonicalRequest } | Refused;

/** CONNECT and TRACE never leave: one opens a tunnel, the other echoes the credential. */
export const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** A target that is longer is not looked at. */
const MAX_TARGET_CHARACTERS = 64 * 1024;
const PRINTABLE = /^[\x21-\x7e]*$/;

/**
 * Brings a request into its one form, or refuses it.
 *
 * What comes out is decided on and sent, byte for byte. It is a fixed point: put in again it comes out the same.
 *
 * @returns Never throws. Problems: `not_canonical` names the part, `method_not_allowed`, `header_refused`,
 * `unsupported_encoding`, `too_large`, `invalid_request`. Cost is linear in the request.
 * @see design.md §3; RFC 3986 §6.2.2 for what is made alike.
 */
export function canonicalise(raw: RawRequest, form: RequestForm): Canonicalised {
  if (!METHODS.includes(raw.method)) {
    return refused("method_not_allowed", "the method cannot be sent", `Use one of ${METHODS.join(", ")}, in capitals.`);
  }
  const target = plainTarget(raw.target, form.door);
  if (typeof target !== "string") return target;
  const mark = target.indexOf("?");
  const path = canonicalPath(mark === -1 ? target : target.slice(0, mark));
  if (!path.ok) return path;
  const query = canonicalQuery(mark === -1 ? "" : target.slice(mark + 1), form.credential.query);
  if (!query.ok) return query;
  const headers = canonicalHeaders(raw.headers, form);
  if (!headers.ok) return headers;
  const body = canonicalBody(raw.body, { headers: headers.headers, limitBytes: form.requestBytes });
  if (!body.ok) return body;
  return {
    ok: true,
    request: {
      service: form.service,
      method: raw.method,
      path: path.path,
      segments: path.segments,
      query: query.query,
      search: query.search,
      headers: body.type === undefined ? headers.headers : withType(headers.headers, body.type),
      body: body.body,
      content: body.content,
      dropped: headers.dropped,
      origin: raw.origin,
      mcp: undefined,
    },
  };
}

/** The target in printable ASCII. People's words come in through MCP and are encoded; what comes over HTTP must be. */
function plainTarget(target: string, door: RequestForm["door"]): string | Refused {
  if (target.length > MAX_TARGET_CHARACTERS) return refused("too_large", "the target is too long");
  if (target.includes("#")) {
    return ambiguous(
      "the target holds a `#`, which begins a fragment",
      "Leave the fragment out, or write `%23` for a `#`.",
    );
  }
  if (PRINTABLE.test(target)) return target;
  if (/[\u0000-\u001f\u007f-\u009f]/.test(target)) {
    return ambiguous("the target holds a control character", "Leave control characters out.");
  }
  if (door !== "mcp") {
    return ambiguous("the target holds a character that is not printable ASCII", "Percent-encode it as UTF-8.");
  }
  if (!target.isWellFormed()) {
    return ambiguous("the target holds half of a character (a lone surrogate)", "Send whole characters.");
  }
  return target.replace(/[^\x21-\x7e]+/g, encodeURIComponent);
}

function withType(headers: readonly Header[], type: string): readonly Header[] {
  const at = headers.findIndex(([name]) => name > "content-type");
  return headers.toSpliced(at === -1 ? headers.length : at, 0, ["content-type", type]);
}
