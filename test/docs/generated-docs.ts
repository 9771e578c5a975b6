/** Pages, and parts of pages, that are made from the sources. `node test/docs/generated-docs.ts` writes them. */
import { writeFileSync } from "node:fs";
import { PROBLEMS, type ProblemCode } from "../../src/base/problem.ts";
import { NOT_SCRUBBED, SCRUBBED_ENCODINGS, type ScrubbedEncoding } from "../../src/credentials/scrubbed-encodings.ts";
import { ROOT, readPage } from "./markdown.testing.ts";

/** Paths relative to the root, with the text that belongs there. */
export function generatedDocs(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/reference/errors.md", printErrors()],
    ["docs/promises.md", withRegion(readPage("docs/promises.md").text, "encodings", printEncodings())],
  ]);
}

const ERRORS_INTRODUCTION = `# Refusals

Generated from \`src/base/problem.ts\` by \`node test/docs/generated-docs.ts\`; do not edit. What to do about the ones that
are met most often stands in [troubleshooting](../troubleshooting.md).

Over HTTP a refusal is \`application/problem+json\` with \`type\`, \`title\`, \`status\`, \`code\`, \`detail\`, \`remedy\`, \`request_id\`
and, where a rule decided, \`rule\`. A \`HEAD\` request gets the code in the header \`Doorward-Error\`. Over MCP it is a tool
result with \`isError: true\` and \`structuredContent.error\` of the same fields. The detail and the remedy of an occurrence
may say more than this table; the code and the status never differ from it.
`;

function printErrors(): string {
  const rows = (Object.keys(PROBLEMS) as ProblemCode[])
    .sort((a, b) => PROBLEMS[a].status - PROBLEMS[b].status || a.localeCompare(b))
    .map((code) => `| \`${code}\` | ${PROBLEMS[code].status} | ${PROBLEMS[code].title} | ${PROBLEMS[code].remedy} |`);
  return [ERRORS_INTRODUCTION, "| code | HTTP | cause | remedy |", "|---|---|---|---|", ...rows, ""].join("\n");
}

function printEncodings(): string {
  const { forms, escapes } = SCRUBBED_ENCODINGS;
  return [
    'A secret is taken out in each of these forms. The examples write `s3cr3t/"key"`.',
    "",
    "| form | what counts | example |",
    "|---|---|---|",
    ...forms.map(printEncoding),
    "",
    "Each form may be escaped in each of these ways, in whole or in part, up to three deep.",
    "",
    "| escape | what counts | example |",
    "|---|---|---|",
    ...escapes.map(printEncoding),
    "",
    "**Not taken out:**",
    "",
    ...NOT_SCRUBBED.map((what) => `- ${what}`),
  ].join("\n");
}

function printEncoding({ name, scope, example }: ScrubbedEncoding): string {
  return `| ${name} | ${scope.replaceAll("|", "\\|")} | ${code(example)} |`;
}

function code(text: string): string {
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``;
}

function withRegion(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: generated -->\n`, `\n<!-- ${name}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the page has no region \`${name}\``);
  return page.slice(0, from + begin.length) + text + page.slice(to);
}

if (import.meta.main) for (const [path, text] of generatedDocs()) writeFileSync(ROOT + path, text);
