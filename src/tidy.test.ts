/**
 * The rules of this repository that no linter knows, kept as a test.
 * Each failure is one line: where, what, and what to do instead.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** Each folder may import from itself and from those before it: the order a request meets them. */
const ORDER = [
  "base",
  "config",
  "store",
  "audit",
  "vault",
  "identity",
  "request",
  "policy",
  "approvals",
  "credentials",
  "egress",
  "broker",
  "sandbox",
  "upstreams",
  "oauth",
  "mcp",
  "http",
  "console",
  "cli",
];

const sources = globSync("src/**/*.ts").map((path) => ({ path, text: readFileSync(path, "utf8") }));
const production = sources.filter(({ path }) => !/\.(test|testing)\.ts$/.test(path));

test("there is something to look at", () => assert.ok(sources.length > 10));

test("every folder has its place in the order", () => {
  const strangers = new Set(sources.flatMap(({ path }) => path.match(/^src\/([a-z-]+)\//)?.[1] ?? []));
  for (const folder of ORDER) strangers.delete(folder);
  assert.deepEqual([...strangers], [], "put it where design.md has a folder for it");
});

test("imports follow the order of the folders", () => {
  const untidy: string[] = [];
  for (const { path, text } of production) {
    const from = path.split("/")[1] ?? "";
    if (!ORDER.includes(from)) continue;
    for (const [, to = ""] of text.matchAll(/(?:from|import\() ?"\.\.\/([a-z-]+)\//g)) {
      if (ORDER.indexOf(to) > ORDER.indexOf(from)) {
        untidy.push(
          `${path}: ${from}/ imports ${to}/, which comes later; declare an interface in ${from}/ and pass it in`,
        );
      }
    }
    if (/from "(\.\.\/)+main\.ts"/.test(text))
      untidy.push(`${path}: imports the composition root; take what you need as an argument`);
  }
  assert.deepEqual(untidy, []);
});

test("a secret is revealed only where it is sealed or sent", () => {
  const untidy = production
    .filter(({ path, text }) => text.includes(".reveal()") && !/^src\/(vault|credentials)\//.test(path))
    .map(({ path }) => `${path}: calls reveal(); pass the Secret to an injector instead`);
  assert.deepEqual(untidy, []);
});

test("only *-store.ts files and the composition root touch store/", () => {
  const untidy = production
    .filter(({ path, text }) => /from "\.\.?\/(\.\.\/)?store\//.test(text) && !/-store\.ts$|^src\/store\//.test(path))
    .filter(({ path }) => !/^src\/open-[a-z]+\.ts$/.test(path))
    .map(({ path }) => `${path}: imports store/; go through the folder's *-store.ts`);
  assert.deepEqual(untidy, []);
});

test("request/ and policy/ are pure: no I/O, no clock", () => {
  const impure =
    /from "node:(fs|net|http|https|dns|child_process|worker_threads|tls)|Date\.now\(|new Date\(\)|process\.env/;
  const untidy = production
    .filter(({ path, text }) => /^src\/(request|policy)\//.test(path) && impure.test(text))
    .map(({ path }) => `${path}: reads the world; take what you need as an argument`);
  assert.deepEqual(untidy, []);
});

test("the process's environment is read in config/ alone", () => {
  const untidy = production
    .filter(({ path, text }) => text.includes("process.env") && !path.startsWith("src/config/"))
    .map(({ path }) => `${path}: reads process.env; take the value as an argument (config/environment.ts)`);
  assert.deepEqual(untidy, []);
});

test("exports are named, and nothing needs a compiler to run", () => {
  const untidy = production
    .filter(({ text }) => /^export default|^(export )?(const )?enum |^(export )?namespace /m.test(text))
    .map(({ path }) => `${path}: default export, enum or namespace; use a named export and a union`);
  assert.deepEqual(untidy, []);
});

test("a file of 500 lines owes its reader a reason in its first comment", () => {
  const untidy = production
    .filter(({ text }) => text.split("\n").length > 500 && !/^\/\*\*[\s\S]{0,1500}?(long|one file|length)/.test(text))
    .map(
      ({ path, text }) => `${path}: ${text.split("\n").length} lines; split it, or say in its first comment why not`,
    );
  assert.deepEqual(untidy, []);
});
