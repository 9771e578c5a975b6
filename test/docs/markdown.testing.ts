import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at its end. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** One page of the documentation; `path` is relative to the root. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block: what stands behind its fence, its text, and the line on which the fence opens. */
export interface Block {
  readonly info: string;
  readonly text: string;
  readonly line: number;
}

export function readPage(path: string): Page {
  return { path, text: readFileSync(ROOT + path, "utf8") };
}

/** Every page that is written for a reader. */
export function readPages(): readonly Page[] {
  return globSync(["*.md", "docs/**/*.md"], { cwd: ROOT }).map(readPage);
}

/** The fenced blocks of a page, in order. */
export function blocksOf({ text }: Page): readonly Block[] {
  const blocks: Block[] = [];
  let open: { info: string; lines: string[]; line: number } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { info: fence[1]!.trim(), lines: [], line: index + 1 };
    else {
      blocks.push({ info: open.info, text: `${open.lines.join("\n")}\n`, line: open.line });
      open = undefined;
    }
  }
  return blocks;
}

/** The page without its fenced blocks; lines keep their numbers. */
export function proseOf({ text }: Page): string {
  let inside = false;
  const lines = text.split("\n").map((line) => {
    if (line.startsWith("```")) inside = !inside;
    else if (!inside) return line;
    return "";
  });
  return lines.join("\n");
}

/** What GitHub makes of a heading. */
export function anchorsOf(page: Page): ReadonlySet<string> {
  const headings = proseOf(page).matchAll(/^#{1,6} (.+)$/gm);
  return new Set(
    Array.from(headings, ([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
