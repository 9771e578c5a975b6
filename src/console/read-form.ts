import type { IncomingMessage } from "node:http";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";

const FORM_BYTES = 64 * 1024;
const FIELDS_LIMIT = 32;

/** The fields of a form, each once. */
export type Form = ReadonlyMap<string, string>;

/**
 * Reads a form that a page of ours sent.
 *
 * @throws {Problem} `bad_origin` when another site's page made the request; `invalid_request`, `too_large`.
 */
export async function readForm(request: IncomingMessage): Promise<Form> {
  const site = request.headers["sec-fetch-site"];
  // A foreign Origin was refused for every route; this is for browsers that send none.
  if (site !== undefined && site !== "same-origin") {
    throw new Problem("bad_origin", { detail: "another site's page made this request" });
  }
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") {
    throw new Problem("invalid_request", { detail: "the body must be a form" });
  }
  const body = await readBody(request, FORM_BYTES);
  const fields = [...new URLSearchParams(Buffer.from(body ?? []).toString("utf8"))];
  const form = new Map(fields);
  if (fields.length > FIELDS_LIMIT || form.size !== fields.length) {
    throw new Problem("invalid_request", { detail: "the form has a field twice, or too many" });
  }
  return form;
}

/** A field that must be there. @throws {Problem} `invalid_request` naming it. */
export function field(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined) throw new Problem("invalid_request", { detail: `the form lacks \`${name}\`` });
  return value;
}
