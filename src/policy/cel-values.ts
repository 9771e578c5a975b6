import type { JsonValue } from "../base/json.ts";

/**
 * A JSON object as an expression sees it: own keys only, so that `constructor` is a key like any other or none.
 *
 * The engine infers a type from the first entry of a map and keeps each type it ever met. Here it finds no first entry
 * and says `map`, so that the shapes of bodies, which agents choose, cannot fill its memory.
 */
class CelMap extends Map<string, unknown> {
  override entries(): MapIterator<[string, unknown]> {
    return new Map<string, unknown>().entries();
  }
}
Object.defineProperty(CelMap.prototype, "constructor", { value: Map });

/** Values in one body that expressions may read; a larger one is an error of the rule, which denies. */
export const MAX_CEL_VALUES = 20_000;

/** How much an expression may have to look at. */
export interface CelSize {
  readonly values: number;
  /** UTF-16 units of all strings and keys. */
  readonly characters: number;
}

/** Thrown when a body is too large for rules to read. */
export class CelTooLarge extends Error {}

/**
 * Turns JSON into what expressions compute with: whole numbers are exact integers, others doubles, objects are maps.
 *
 * @throws {CelTooLarge} beyond {@link MAX_CEL_VALUES}.
 */
export function toCelValue(value: JsonValue): { value: unknown; size: CelSize } {
  let values = 0;
  let characters = 0;
  const convert = (json: JsonValue): unknown => {
    values += 1;
    if (values > MAX_CEL_VALUES) throw new CelTooLarge(`more than ${MAX_CEL_VALUES} values`);
    if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : json;
    if (typeof json === "string") {
      characters += json.length;
      return json;
    }
    if (typeof json !== "object" || json === null) return json;
    if (Array.isArray(json)) return json.map(convert);
    const map = new CelMap();
    for (const [key, member] of Object.entries(json)) {
      characters += key.length;
      map.set(key, convert(member));
    }
    return map;
  };
  return { value: convert(value), size: { values, characters } };
}

/** A map of an expression from entries; later entries win. */
export function celMap(entries: Iterable<readonly [string, unknown]>): ReadonlyMap<string, unknown> {
  const map = new CelMap();
  for (const [key, value] of entries) map.set(key, value);
  return map;
}
