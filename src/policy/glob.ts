/** A compiled scope pattern. */
export interface Glob {
  readonly text: string;
  /** True when `*` stands nowhere in it, so that equality is the whole test. */
  readonly literal: boolean;
  matches(name: string): boolean;
}

/**
 * Compiles a pattern in which `*` stands for any run of characters, colons included; everything else is literal.
 *
 * Pieces between the stars are sought from left to right, so a match costs at most pattern × name and never backtracks.
 */
export function compileGlob(text: string): Glob {
  const [head = "", ...rest] = text.split("*");
  const tail = rest.pop();
  if (tail === undefined) return { text, literal: true, matches: (name) => name === text };

  const matches = (name: string): boolean => {
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
    const end = name.length - tail.length;
    let at = head.length;
    for (const piece of rest) {
      const found = name.indexOf(piece, at);
      if (found < 0 || found + piece.length > end) return false;
      at = found + piece.length;
    }
    return true;
  };
  return { text, literal: false, matches };
}

/** Whether any of the patterns matches; `false` for none. */
export function anyMatches(globs: readonly Glob[], name: string): boolean {
  return globs.some((glob) => glob.matches(name));
}
