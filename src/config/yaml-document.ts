import { Composer, type Document, Lexer, LineCounter, Parser } from "yaml";

/** Nesting beyond this is refused before anything recurses over it. */
export const MAX_YAML_DEPTH = 50;
/** A file of 10,000 operations has about 250,000. */
const MAX_YAML_TOKENS = 1_000_000;
/** Errors beyond this are one cause most of the time. */
const MAX_YAML_ERRORS = 100;
/** Anchors, tags and indicators on one line of block style. */
const MAX_INDICATORS_PER_LINE = 50;

/** A YAML text with the places of its nodes, or the first places where it is none. Offsets count UTF-16 units. */
export type YamlDocument =
  | { readonly ok: true; readonly document: Document.Parsed; readonly lines: LineCounter }
  | { readonly ok: false; readonly errors: readonly YamlFault[]; readonly lines: LineCounter };

export interface YamlFault {
  readonly offset: number;
  readonly problem: string;
  readonly remedy: string;
}

/**
 * Composes one YAML 1.2 document; keys are not yet checked for duplicates.
 *
 * The library's composer recurses, and is quadratic on some inputs: depth, tokens and documents are bounded while lexing,
 * which is linear, so that a hostile file costs no more than an honest one of its size.
 *
 * @returns Never throws.
 */
export function parseYamlDocument(text: string): YamlDocument {
  const lines = new LineCounter();
  const tooDeep = findDeepIndent(text);
  if (tooDeep !== undefined) {
    return { ok: false, errors: [tooDeep], lines: countLines(text) };
  }
  const { composer, faults } = createComposer();
  const documents: Document.Parsed[] = [];
  try {
    for (const document of composer.compose(boundedTokens(text, lines), true, text.length)) {
      documents.push(document);
      if (documents.length > 1)
        throw new YamlLimit(document.range[0], "the file has several documents", "remove the line `---`");
    }
  } catch (error) {
    if (error instanceof TooManyErrors) return { ok: false, errors: faults, lines };
    if (error instanceof YamlLimit) return { ok: false, errors: [error], lines };
    if (error instanceof RangeError)
      return {
        ok: false,
        errors: [{ offset: 0, problem: "the file is nested too deeply", remedy: "write it flatter" }],
        lines,
      };
    throw error;
  }
  const [document] = documents;
  if (document === undefined) throw new Error("the composer gave no document");
  return faults.length === 0 ? { ok: true, document, lines } : { ok: false, errors: faults, lines };
}

/**
 * A composer that gives up after so many errors, and the errors it had.
 *
 * The library would make an error object for each sign of a hostile line, and has no limit of its own; `onError` is the
 * member through which all its errors go.
 */
function createComposer(): { readonly composer: Composer; readonly faults: readonly YamlFault[] } {
  const faults: YamlFault[] = [];
  const composer = new Composer({
    uniqueKeys: false,
    merge: false,
    strict: true,
    version: "1.2",
    prettyErrors: false,
    logLevel: "silent",
  });
  composer["onError"] = (source: ErrorSource, code: string, message: string, warning?: boolean) => {
    // Warnings are about tags and directives, which are refused by name.
    if (warning === true) return;
    if (faults.length >= MAX_YAML_ERRORS) throw new TooManyErrors();
    faults.push({ offset: offsetOf(source), problem: explain(code, message), remedy: remedyFor(code) });
  };
  return { composer, faults };
}

/** What the library names a place with: an offset, a range or a token. */
type ErrorSource = number | readonly [number, number, number] | { readonly offset: number };

function offsetOf(source: ErrorSource): number {
  if (typeof source === "number") return source;
  return "offset" in source ? source.offset : source[0];
}

class TooManyErrors extends Error {}

function* boundedTokens(text: string, lines: LineCounter) {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  const guard = { offset: 0, tokens: 0, flow: 0, onLine: 0, documents: 0 };
  for (const lexeme of new Lexer().lex(text)) {
    watch(guard, lexeme);
    yield* parser.next(lexeme);
    guard.offset += lexeme.length;
  }
  yield* parser.end();
}

function watch(
  guard: { offset: number; tokens: number; flow: number; onLine: number; documents: number },
  lexeme: string,
): void {
  const refuse = (problem: string, remedy: string) => new YamlLimit(guard.offset, problem, remedy);
  if (++guard.tokens > MAX_YAML_TOKENS)
    throw refuse("the file is too large", `write less than ${MAX_YAML_TOKENS} tokens`);
  switch (lexeme[0]) {
    case "[":
    case "{":
      if (++guard.flow > MAX_YAML_DEPTH)
        throw refuse("the file is nested too deeply", `nest at most ${MAX_YAML_DEPTH} levels`);
      break;
    case "]":
    case "}":
      guard.flow--;
      break;
    case "\n":
    case "\r":
      guard.onLine = 0;
      break;
    case "%":
      throw refuse("the file has a YAML directive", "remove the line");
    case "-":
    case "?":
    case ":":
    case "&":
    case "!":
      if (guard.flow <= 0 && ++guard.onLine > MAX_INDICATORS_PER_LINE)
        throw refuse("the line has too many indicators", "write one key per line");
      break;
  }
}

/** The first line whose indentation is nested too deeply, by indentation alone. */
function findDeepIndent(text: string): YamlFault | undefined {
  const open: number[] = [];
  for (const match of text.matchAll(/^( *)[^ \r\n#]/gm)) {
    const indent = match[1]?.length ?? 0;
    while (open.length > 0 && (open.at(-1) ?? 0) >= indent) open.pop();
    open.push(indent);
    if (open.length > MAX_YAML_DEPTH)
      return {
        offset: match.index + indent,
        problem: "the file is nested too deeply",
        remedy: `nest at most ${MAX_YAML_DEPTH} levels`,
      };
  }
  return undefined;
}

function countLines(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const match of text.matchAll(/\n/g)) lines.addNewLine(match.index + 1);
  return lines;
}

/** The library's message without the user's text in it: that may be a secret. */
function explain(code: string, message: string): string {
  const clause = (message.split(/[\n"'`]/)[0] ?? "").trim().replace(/[:.,]+$/, "");
  return clause === "" ? `not YAML (${code})` : `not YAML: ${clause.charAt(0).toLowerCase()}${clause.slice(1)}`;
}

function remedyFor(code: string): string {
  switch (code) {
    case "BAD_ALIAS":
      return "put a text that begins with `*` or `&` in quotes";
    case "TAB_AS_INDENT":
      return "indent with spaces";
    case "BAD_INDENT":
      return "align the keys of one map in one column";
    case "MULTILINE_IMPLICIT_KEY":
    case "MISSING_CHAR":
    case "BLOCK_AS_IMPLICIT_KEY":
      return "write `key: value`, and put a value that holds `: ` or `#` in quotes";
    default:
      return "correct the line, and put texts with special signs in quotes";
  }
}

class YamlLimit extends Error {
  readonly offset: number;
  readonly problem: string;
  readonly remedy: string;

  constructor(offset: number, problem: string, remedy: string) {
    super(problem);
    this.offset = offset;
    this.problem = problem;
    this.remedy = remedy;
  }
}
