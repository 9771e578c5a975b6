/**
 * Control characters, and those that hide or reorder text: C0, C1, zero-width, line separators, bidirectional marks.
 *
 * Agents and services choose words that people read here before they approve; those must not steer a terminal.
 */
const STEERING = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Text of several lines for a person or a pipe; in JSON the escapes are JSON's own, so that nothing of it is lost. */
export function printable(text: string): string {
  return text.replace(STEERING, (found) => (found === "\n" || found === "\t" ? found : escaped(found)));
}

/** The same for what must stay one line: a line break that somebody else chose would forge the next one. */
export function printableLine(text: string): string {
  return text.replace(STEERING, escaped);
}

function escaped(found: string): string {
  const units = Array.from({ length: found.length }, (_, at) => found.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
