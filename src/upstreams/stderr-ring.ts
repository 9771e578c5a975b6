import { StringDecoder } from "node:string_decoder";

/** Lines kept of one server. */
const LINES_MAX = 50;
/** Characters kept of a line. */
const LINE_CHARACTERS_MAX = 500;

/** The last of what a server wrote to standard error. */
export interface StderrRing {
  push(chunk: Buffer): void;
  /** Oldest first, with control characters made harmless; as the server wrote them otherwise: scrub before showing. */
  lines(): readonly string[];
}

/** Keeps the ending of an endless text in bounded memory. */
export function createStderrRing(): StderrRing {
  const decoder = new StringDecoder("utf8");
  const lines: string[] = [];
  let open = "";
  const close = () => {
    const line = plain(open).trimEnd();
    open = "";
    if (line === "") return;
    lines.push(line);
    if (lines.length > LINES_MAX) lines.shift();
  };
  return {
    push(chunk) {
      const pieces = decoder.write(chunk).split("\n");
      for (const [index, piece] of pieces.entries()) {
        if (index > 0) close();
        if (open.length < LINE_CHARACTERS_MAX) open = (open + piece).slice(0, LINE_CHARACTERS_MAX);
      }
    },
    lines: () => (plain(open).trim() === "" ? [...lines] : [...lines, plain(open).trimEnd()]),
  };
}

/** What Node writes last of all when a program dies of an error, which stands further up. */
const NODE_FAREWELL = /^Node\.js v\d/;
const ERROR_LINE = /^(?:Uncaught )?\w*(?:Error|Exception)\b/;

/** The line that says best why a program ended; `undefined` when it wrote nothing. */
export function lastWords(lines: readonly string[]): string | undefined {
  const last = lines.at(-1);
  if (last === undefined || !NODE_FAREWELL.test(last)) return last;
  return lines.findLast((line) => ERROR_LINE.test(line)) ?? last;
}

/** Control and formatting characters could rewrite a terminal. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => (character === "\t" ? " " : "\ufffd"));
}
