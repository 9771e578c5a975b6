/** What a passkey's answer is made of; keys of a map are texts or whole numbers. */
export type Cbor = number | string | boolean | null | Uint8Array | readonly Cbor[] | ReadonlyMap<number | string, Cbor>;

/** Maps and lists inside each other. */
const DEPTH_LIMIT = 6;
/** Items of one map or list. */
const ITEMS_LIMIT = 64;

/** What is not the one strict form. Never leaves this file's callers. */
export class CborFault extends Error {}

/**
 * Reads one CBOR value in the strict form that authenticators must write: definite and shortest lengths, whole numbers up
 * to 2^53, no key twice, no tags, no floats.
 *
 * @returns The value, and where it ends. @throws {CborFault} for anything else.
 * @see RFC 8949 §4.2.1; CTAP 2.1 §8
 */
export function readCbor(bytes: Uint8Array, start = 0): { readonly value: Cbor; readonly end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = start;

  const take = (count: number): number => {
    if (count > bytes.length - at) throw new CborFault("it ends too early");
    at += count;
    return at - count;
  };
  const length = (info: number): number => {
    if (info < 24) return info;
    const [size, least] = { 24: [1, 24], 25: [2, 0x100], 26: [4, 0x1_0000], 27: [8, 0x1_0000_0000] }[info] ?? [0, 0];
    if (size === 0) throw new CborFault("a length of no known form");
    const from = take(size!);
    const value = size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : wide(view, from, size!);
    if (value < least!) throw new CborFault("a length that is not the shortest");
    return value;
  };
  const items = (count: number): number => {
    if (count > ITEMS_LIMIT) throw new CborFault("too many items");
    return count;
  };
  const read = (depth: number): Cbor => {
    if (depth > DEPTH_LIMIT) throw new CborFault("nested too deeply");
    const head = view.getUint8(take(1));
    const info = head & 0x1f;
    switch (head >> 5) {
      case 0:
        return length(info);
      case 1:
        return -1 - length(info);
      case 2: {
        const count = length(info);
        const from = take(count);
        return Uint8Array.from(bytes.subarray(from, from + count));
      }
      case 3: {
        const count = length(info);
        const from = take(count);
        return text(bytes.subarray(from, from + count));
      }
      case 4:
        return Array.from({ length: items(length(info)) }, () => read(depth + 1));
      case 5: {
        const map = new Map<number | string, Cbor>();
        for (let left = items(length(info)); left > 0; left--) {
          const key = read(depth + 1);
          if (typeof key !== "number" && typeof key !== "string") throw new CborFault("a key of no known form");
          if (map.has(key)) throw new CborFault("a key twice");
          map.set(key, read(depth + 1));
        }
        return map;
      }
      case 7:
        if (info === 20 || info === 21) return info === 21;
        if (info === 22) return null;
        throw new CborFault("a value of no known form");
      default:
        throw new CborFault("a tag");
    }
  };
  const value = read(0);
  return { value, end: at };
}

function wide(view: DataView, from: number, size: number): number {
  if (size === 4) return view.getUint32(from);
  const value = view.getBigUint64(from);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new CborFault("a number that is too large");
  return Number(value);
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CborFault("a text that is not UTF-8", { cause });
  }
}
