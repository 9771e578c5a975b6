import type { Finding } from "./schema.ts";

/** The largest doorward.yaml that is read: 4 MiB, some 50,000 operations. In bytes. */
export const MAX_CONFIG_BYTES = 4_194_304;

/** The text of the file, or why its bytes are none. */
export type DecodedConfig =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly finding: Finding };

/** Decodes strictly: UTF-8 without NUL and other control characters. A byte order mark at the start is dropped. */
export function decodeConfig(input: string | Uint8Array): DecodedConfig {
  const bytes = typeof input === "string" ? Buffer.from(input) : input;
  if (bytes.length > MAX_CONFIG_BYTES)
    return refuse("", "the file is too large", `write at most ${MAX_CONFIG_BYTES} bytes`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return refuse(validStart(bytes), "the file is not UTF-8", "save it as UTF-8");
  }
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufeff]/.exec(text);
  if (control === null) return { ok: true, text };
  const sign =
    control[0] === "\u0000"
      ? "a NUL"
      : `the control character U+${control[0].charCodeAt(0).toString(16).padStart(4, "0")}`;
  return refuse(text.slice(0, control.index), `the file holds ${sign}`, "remove it");
}

/** What can be decoded before the first byte that is not UTF-8; costs a few decodings of the file. */
function validStart(bytes: Uint8Array): string {
  let [good, bad] = [0, bytes.length];
  const decodes = (end: number) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodes(middle)) good = middle;
    else bad = middle;
  }
  return new TextDecoder().decode(bytes.subarray(0, good));
}

function refuse(before: string, problem: string, remedy: string): DecodedConfig {
  const line = before.split("\n").length;
  const column = before.length - before.lastIndexOf("\n");
  return { ok: false, finding: { line, column, path: "", problem, remedy, severity: "error" } };
}
