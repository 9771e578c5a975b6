/** The documentation names what is there: files, headings, tests. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { anchorsOf, proseOf, ROOT, readPage, readPages } from "./markdown.testing.ts";

const pages = readPages();

interface Link {
  readonly page: string;
  readonly target: string;
  readonly anchor: string;
  /** What stands behind the link, in quotes: the name of a test. */
  readonly quoted: string | undefined;
}

const links: readonly Link[] = pages.flatMap((page) =>
  Array.from(
    proseOf(page).matchAll(/\]\(([^)#\s]*)(#[^)\s]*)?\)(?: "([^"\n]+)")?/g),
    ([, to = "", anchor = "", quoted]) => ({
      page: page.path,
      target: to === "" ? page.path : to.includes("://") ? to : normalize(join(dirname(page.path), to)),
      anchor: anchor.slice(1),
      quoted,
    }),
  ).filter(({ target }) => !target.includes("://")),
);

test("every link leads to a file of the repository, and to a heading where it names one", () => {
  const broken = links.flatMap(({ page, target, anchor }) => {
    if (!existsSync(ROOT + target)) return [`${page}: there is no ${target}`];
    if (anchor === "" || !target.endsWith(".md")) return [];
    return anchorsOf(readPage(target)).has(anchor) ? [] : [`${page}: ${target} has no heading #${anchor}`];
  });
  assert.deepEqual(broken, []);
});

test("every test that a page quotes by its name exists under this name", () => {
  const quoted = links.filter(({ target, quoted }) => quoted !== undefined && target.endsWith(".test.ts"));
  const missing = quoted
    .filter(({ target, quoted }) => !readFileSync(ROOT + target, "utf8").includes(quoted!))
    .map(({ page, target, quoted }) => `${page}: ${target} has no test "${quoted}"`);
  assert.deepEqual(missing, []);
});

test("every page of docs/ can be reached from the README or from another page", () => {
  const reached = new Set(links.map(({ target }) => target));
  const lost = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/") && !reached.has(path));
  assert.deepEqual(lost, []);
});
