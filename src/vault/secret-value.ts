import { isUtf8 } from "node:buffer";

/** A value this long can be found in text without taking ordinary words for it. */
export const MIN_SCRUBBABLE_BYTES = 8;

export const MAX_SECRET_BYTES = 64 * 1024;

/**
 * Says why bytes cannot be a secret; `undefined` when they can.
 *
 * What is refused could not be sent as it is, or would come back in another form than the one that is scrubbed: control
 * characters break out of a header line, and spaces at the ends are trimmed on the way. Never quotes the value.
 */
export function faultOfSecretValue(value: Uint8Array): string | undefined {
  if (value.length === 0) return "it is empty";
  if (value.length > MAX_SECRET_BYTES) return `it is larger than ${MAX_SECRET_BYTES} bytes`;
  if (!isUtf8(value)) return "it is not UTF-8 text";
  for (const byte of value) {
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return "it holds a line break or another control character";
  }
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
  return text === text.trim() ? undefined : "it begins or ends with white space";
}
