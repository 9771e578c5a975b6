/** What the documentation shows works: files hold, JSON parses, commands exist. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { checkConfigText } from "../../src/broker/check-config.ts";
import { buildProgram } from "../../src/cli/build-program.ts";
import type { Cli } from "../../src/cli/command-context.ts";
import { blocksOf, type Page, proseOf, readPages } from "./markdown.testing.ts";

const pages = readPages();
const blocks = pages.flatMap((page) =>
  blocksOf(page).map((block) => ({ ...block, where: `${page.path}:${block.line}` })),
);

for (const { info, text, where } of blocks) {
  if (info !== "yaml doorward.yaml") continue;
  test(`${where} is a doorward.yaml that holds`, async () => {
    const checked = await checkConfigText(Buffer.from(text), "/nowhere/doorward.yaml");
    const findings = checked.ok ? checked.warnings : checked.findings;
    assert.deepEqual(
      findings.map(({ line, path, problem, remedy }) => `${line} ${path}: ${problem}; ${remedy}`),
      [],
    );
  });
}

test("some files are shown", () => {
  assert.ok(blocks.filter(({ info }) => info === "yaml doorward.yaml").length >= 4);
});

for (const { info, text, where } of blocks) {
  if (info === "json") test(`${where} is JSON`, () => void JSON.parse(text));
}

test("every command and option that a page names exists", () => {
  const program = buildProgram({} as Cli);
  const unknown = pages
    .filter(({ path }) => !path.startsWith("docs/decisions/"))
    .flatMap((page) =>
      commandsOf(page).flatMap((words) => faultOf(program, words).map((fault) => `${page.path}: ${fault}`)),
    );
  assert.deepEqual(unknown, []);
});

/** Everything typed as `doorward …`: in the prose, and in blocks of a shell, behind pipes too. */
function commandsOf(page: Page): readonly (readonly string[])[] {
  const typed = blocksOf(page).flatMap(({ info, text }) => {
    const lines = text.replaceAll("\\\n", " ").split("\n");
    if (info === "sh") return lines.flatMap((line) => /(?:^|\| |home )doorward (.*)$/.exec(line)?.[1] ?? []);
    if (info === "console") return lines.flatMap((line) => /^\$ (?:.* \| )?doorward (.*)$/.exec(line)?.[1] ?? []);
    return [];
  });
  // `doorward ready on …` is what the daemon says.
  const named = Array.from(proseOf(page).matchAll(/`doorward (?!ready)([^`]+)`/g), ([, words = ""]) => words);
  return [...typed, ...named].map((text) => text.split("#")[0]!.trim().split(/\s+/));
}

function faultOf(program: Command, words: readonly string[]): readonly string[] {
  let command = program;
  const known = (name: string) => [...command.options, ...program.options].some(({ long }) => long === name);
  for (const word of words) {
    if (/^[a-z][a-z-]*$/.test(word) && command.commands.length > 0) {
      const next = command.commands.find((one) => one.name() === word && !isHidden(one));
      if (next === undefined) return [`there is no command \`doorward ${words.join(" ")}\``];
      command = next;
    } else if (/^--[a-z-]+$/.test(word) && word !== "--help" && !known(word)) {
      return [`\`doorward ${words.join(" ")}\`: there is no option ${word}`];
    } else if (word === "--") break;
  }
  return [];
}

function isHidden(command: Command): boolean {
  return (command as unknown as { readonly _hidden?: boolean })._hidden === true;
}
