import type { ContentType } from "./content-type.ts";
import { isMethodOverrideKey } from "./method-override.ts";
import { ambiguous, quote, type Refused } from "./refusal.ts";

/** A content-disposition line with what is folded onto it. */
const DISPOSITION = /content-disposition[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*/gi;
const NAME = /(?:^|[;\s])name\s*(\*[^=;]*)?=\s*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]*))/gi;
/** RFC 2046 §5.1.1. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

/**
 * Looks for what a multipart body could smuggle past a rule that sees it as opaque: a part that overrides the method.
 *
 * The parts are not parsed, since parsers differ: every content-disposition in the bytes counts, wherever it stands.
 *
 * @param text - The bytes as Latin-1.
 */
export function multipartFault(text: string, type: ContentType): Refused | undefined {
  if (type.boundary === undefined || !BOUNDARY.test(type.boundary)) {
    return ambiguous(
      "the content-type has no usable boundary",
      "Name the boundary of the parts: `multipart/form-data; boundary=…`.",
    );
  }
  for (const [disposition] of text.matchAll(DISPOSITION)) {
    for (const [, extended, quoted, plain] of disposition.matchAll(NAME)) {
      const name = quoted === undefined ? (plain ?? "") : quoted.replace(/\\(.)/g, "$1");
      if (extended !== undefined || name.includes("=?")) {
        return ambiguous("the name of a part is written in an extended form", "Write part names as plain text.");
      }
      if (isMethodOverrideKey(percentDecoded(name))) {
        return ambiguous(
          `the part ${quote(name)} overrides the method`,
          "Send the request with the method that is meant.",
        );
      }
    }
  }
  return undefined;
}

function percentDecoded(name: string): string {
  return name.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
