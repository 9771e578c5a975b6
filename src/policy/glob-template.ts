/**
 * Whether some URI that a template (RFC 6570) can make is one that a pattern matches.
 *
 * An expression of the template may become any text here, which is more than it can: a listing may show a template too
 * many, and each URI is judged by itself when it is read. Costs pattern × template.
 */
export function globMeetsTemplate(glob: string, template: string): boolean {
  const wild = template.slice(0, MAX_TEMPLATE_CHARACTERS).replace(/\{[^{}]*\}/g, "*");
  // Positions of `wild` that the glob read so far can stand at.
  let reached = afterStars(wild, new Set([0]));
  for (const sign of glob) {
    const next = new Set<number>();
    if (sign === "*") {
      const [first = 0] = [...reached].sort((a, b) => a - b);
      for (let at = first; reached.size > 0 && at <= wild.length; at++) next.add(at);
    } else {
      for (const at of reached) {
        if (wild[at] === "*") next.add(at);
        else if (wild.startsWith(sign, at)) next.add(at + sign.length);
      }
    }
    reached = afterStars(wild, next);
    if (reached.size === 0) return false;
  }
  return reached.has(wild.length);
}

/** The rest of a longer template is not looked at, so that it meets less. */
const MAX_TEMPLATE_CHARACTERS = 2_048;

/** A star of the template may stand for nothing. */
function afterStars(wild: string, positions: ReadonlySet<number>): ReadonlySet<number> {
  const all = new Set(positions);
  for (const at of all) if (wild[at] === "*") all.add(at + 1);
  return all;
}
