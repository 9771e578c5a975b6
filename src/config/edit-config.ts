import { basename, dirname, join } from "node:path";
import { Document, parseDocument } from "yaml";
import { acquireFileLock } from "./file-lock.ts";
import { keepLines } from "./keep-lines.ts";
import { readConfigText } from "./load-config.ts";
import { replaceFile, resolveTarget } from "./replace-file.ts";
import type { Finding } from "./schema.ts";
import { parseYamlDocument } from "./yaml-document.ts";

/** How long an edit waits for others to finish theirs. */
const LOCK_WAIT_MS = 30_000;
/** Editors do not take the lock: an edit begins anew when one saved in between; this often. */
const MAX_ATTEMPTS = 5;

export interface ConfigEdit {
  readonly path: string;
  /** Changes the document in place. It may run several times, each on a fresh document. A throw leaves the file as it is. */
  readonly edit: (document: Document) => void;
  /** Judges the text that would be written; an error keeps it from being written. */
  readonly check: (text: string) => readonly Finding[] | Promise<readonly Finding[]>;
}

export type EditedConfig =
  | { readonly ok: true; readonly text: string; readonly changed: boolean; readonly findings: readonly Finding[] }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/**
 * Edits doorward.yaml and keeps its comments, order and the lines that are not concerned.
 *
 * Edits are serialised across processes, so that parallel ones never lose one. The file is replaced as a whole, its mode
 * and links stay. A missing file begins as `version: 1`.
 *
 * @returns Findings when the file as it is cannot be read, or the edited text does not hold: nothing was written then.
 * @throws What `edit` throws, and what the system says when the file cannot be written.
 */
export async function editConfig(request: ConfigEdit): Promise<EditedConfig> {
  const target = await resolveTarget(request.path);
  await using lock = await acquireFileLock(join(dirname(target), `.${basename(target)}.lock`), {
    waitMs: LOCK_WAIT_MS,
  });
  if (lock === undefined) return refuse("another program is editing the file", "try again when it is done");
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const before = await readConfigText(target);
    if (!before.ok) return { ok: false, findings: [before.finding] };
    const edited = await editText(before.bytes.toString("utf8"), request);
    if (!edited.ok || !edited.changed) return edited;
    const now = await readConfigText(target);
    if (!now.ok) return { ok: false, findings: [now.finding] };
    if (now.missing === before.missing && now.bytes.equals(before.bytes)) {
      await replaceFile(target, edited.text);
      return edited;
    }
  }
  return refuse("the file keeps changing", "save it in the editor, then try again");
}

async function editText(text: string, { edit, check }: ConfigEdit): Promise<EditedConfig> {
  const readable = parseYamlDocument(text);
  if (!readable.ok) {
    const findings = readable.errors.map(({ offset, problem, remedy }): Finding => {
      const { line, col } = readable.lines.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col), path: "", problem, remedy, severity: "error" };
    });
    return { ok: false, findings };
  }
  const document = text.trim() === "" ? new Document({ version: 1 }) : parseDocument(text, { uniqueKeys: false });
  if (document.contents === null)
    document.contents = document.createNode({ version: 1 }) as unknown as typeof document.contents;
  const printed = print(document, text);
  edit(document);
  const edited = print(document, text);
  const next = text.trim() === "" ? edited : keepLines({ before: text, printed, edited });
  const findings = await check(next);
  if (findings.some(({ severity }) => severity === "error")) return { ok: false, findings };
  return { ok: true, text: next, changed: next !== text, findings };
}

/** Prints with the habits of the text: its indentation, its line ends, and whether there is space inside of brackets. */
function print(document: Document, text: string): string {
  const indent = /^( {2,8})[^ #\n-]/m.exec(text)?.[1]?.length ?? 2;
  const flowCollectionPadding = !/: \{[^ }\n]/.test(text);
  const indentSeq = !/^([ ]*)[A-Za-z_:-]+:[ \t]*\n\1- /m.test(text);
  const printed = document.toString({ lineWidth: 0, indent, flowCollectionPadding, indentSeq });
  return text.includes("\r\n") ? printed.replaceAll("\n", "\r\n") : printed;
}

function refuse(problem: string, remedy: string): EditedConfig {
  return { ok: false, findings: [{ line: 1, column: 1, path: "", problem, remedy, severity: "error" }] };
}
