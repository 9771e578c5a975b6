/** The few forms of DER (X.690) that a certificate is made of. Each function gives one encoded element. */

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff]);

/** One element: tag, length, content. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(SEQUENCE, ...parts);
export const octets = (content: Uint8Array): Buffer => element(OCTET_STRING, content);
export const bits = (content: Uint8Array): Buffer => element(BIT_STRING, Buffer.from([0]), content);

/** A positive integer. @param bytes - Big-endian; a leading zero is put in where the first bit is set. */
export function integer(bytes: Uint8Array): Buffer {
  return element(INTEGER, bytes[0]! >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0), bytes);
}

/** `1.2.840.10045.4.3.2`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return element(OBJECT_IDENTIFIER, Buffer.from([40 * first + second, ...rest.flatMap(base128)]));
}

/** A name of one part, the common name. @param text - At most 64 characters. */
export function commonName(text: string): Buffer {
  const part = sequence(objectIdentifier("2.5.4.3"), element(UTF8_STRING, Buffer.from(text, "utf8")));
  return sequence(element(SET, part));
}

export function time(at: Date): Buffer {
  return element(GENERALIZED_TIME, Buffer.from(at.toISOString().replace(/[-:T]|\.\d+/g, ""), "latin1"));
}

/** An extension that a reader must heed, or may skip. */
export function extension(id: string, importance: "critical" | "optional", value: Uint8Array): Buffer {
  const flag = importance === "critical" ? [BOOLEAN_TRUE] : [];
  return sequence(objectIdentifier(id), ...flag, octets(value));
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  return Buffer.from([0x82, length >> 8, length & 0xff]);
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}
