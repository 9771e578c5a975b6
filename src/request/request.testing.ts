import assert from "node:assert/strict";
import { type CanonicalRequest, canonicalise } from "./canonicalise.ts";
import type { RawRequest } from "./raw-request.ts";
import type { RequestForm } from "./request-form.ts";

export const FORM: RequestForm = {
  service: "registrar",
  door: "api",
  allowHeaders: new Set(["stripe-version"]),
  setHeaders: new Map(),
  ranges: false,
  requestBytes: 1024 * 1024,
  credential: {},
};

/** A plain GET, but for what a test is about. */
export function rawRequest(
  parts: Partial<Omit<RawRequest, "body">> & { body?: Uint8Array | string | undefined } = {},
): RawRequest {
  const body = typeof parts.body === "string" ? Buffer.from(parts.body, "utf8") : parts.body;
  return { method: "GET", target: "/", headers: [], ...parts, body };
}

export function accepted(parts: Parameters<typeof rawRequest>[0], form: Partial<RequestForm> = {}): CanonicalRequest {
  const result = canonicalise(rawRequest(parts), { ...FORM, ...form });
  assert.ok(result.ok, result.ok ? "" : `${JSON.stringify(parts)}: ${result.problem.message}`);
  return result.request;
}

/** The code and the detail of the refusal. */
export function refusal(parts: Parameters<typeof rawRequest>[0], form: Partial<RequestForm> = {}): string {
  const result = canonicalise(rawRequest(parts), { ...FORM, ...form });
  assert.ok(!result.ok, `${JSON.stringify(parts)} was taken`);
  assert.doesNotMatch(result.problem.message, /[^\x20-\x7e…]/, "a message is one printable line");
  return `${result.problem.code}: ${result.problem.message}`;
}

/**
 * The segments that the most lenient upstream would serve: it decodes until nothing changes, folds compatibility forms,
 * takes backslashes for slashes, drops path parameters, trims, and resolves dots. Written without the code under test.
 */
export function lenientSegments(path: string): string[] {
  let text = path;
  for (let before = ""; before !== text; ) {
    before = text;
    text = text
      .replace(/(?:%[0-9a-f]{2})+/gi, (octets) => Buffer.from(octets.replaceAll("%", ""), "hex").toString("utf8"))
      .replace(/%u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      .normalize("NFKC");
  }
  const resolved: string[] = [];
  for (const part of text.replaceAll("\\", "/").split("/")) {
    const name = (part.split(";")[0] ?? "").trim();
    if (name === "..") resolved.pop();
    const shown = name.replace(/[.\s]+$/, "");
    if (shown !== "") resolved.push(shown);
  }
  return resolved;
}
