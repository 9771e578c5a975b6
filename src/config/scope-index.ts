/** Comparisons spent on patterns that match nothing, for the whole file; what lies beyond is not warned about. */
const MAX_COMPARISONS = 2_000_000;

/** Answers whether a glob over scopes matches any of them. */
export interface ScopeIndex {
  /** `undefined` when finding out would cost too much. */
  readonly matchesAny: (glob: string) => boolean | undefined;
}

/** Sorts the scopes once, so that a glob costs what its fixed beginning leaves over. */
export function createScopeIndex(scopes: Iterable<string>): ScopeIndex {
  const sorted = [...scopes].sort();
  const exact = new Set(sorted);
  const known = new Map<string, boolean>();
  let comparisons = 0;

  const search = (glob: string): boolean | undefined => {
    const [prefix = ""] = glob.split("*");
    for (let at = firstNotBefore(sorted, prefix); at < sorted.length && sorted[at]?.startsWith(prefix); at++) {
      if (++comparisons > MAX_COMPARISONS) return undefined;
      if (matchGlob(glob, sorted[at] ?? "")) return true;
    }
    return false;
  };
  return {
    matchesAny: (glob) => {
      if (!glob.includes("*")) return exact.has(glob);
      const before = known.get(glob);
      if (before !== undefined) return before;
      const found = search(glob);
      if (found !== undefined) known.set(glob, found);
      return found;
    },
  };
}

/** Whether a scope matches a glob; `*` stands for any characters, colons too. Linear but for the number of stars. */
function matchGlob(glob: string, scope: string): boolean {
  const [first = "", ...rest] = glob.split("*");
  const last = rest.pop();
  if (last === undefined) return glob === scope;
  let at = first.length;
  if (!scope.startsWith(first) || scope.length < first.length + last.length || !scope.endsWith(last)) return false;
  for (const piece of rest) {
    const found = scope.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= scope.length - last.length;
}

function firstNotBefore(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? "") < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
