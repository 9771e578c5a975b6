import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createOperationMatcher } from "./operation-matcher.ts";
import { type PathPattern, parsePathPattern } from "./path-pattern.ts";
import { accepted } from "./request.testing.ts";

function pattern(text: string): PathPattern {
  const parsed = parsePathPattern(text);
  assert.ok(parsed.ok, text);
  return parsed.pattern;
}

/** Which of the patterns match, each with its parameters. */
function matches(patterns: readonly string[], call: string): Record<string, Record<string, string>> {
  const matcher = createOperationMatcher(patterns.map((text) => ({ pattern: pattern(text), operation: text })));
  const [method = "", target = ""] = call.split(" ");
  const found = matcher.match(accepted({ method, target }));
  return Object.fromEntries(found.map(({ operation, params }) => [operation, Object.fromEntries(params)]));
}

test("all that match are found, with decoded parameters", () => {
  const patterns = ["GET /a/{x}", "GET /{y}/b", "GET /a/b", "* /{all...}", "POST /a/b", "GET /a/b/", "GET /a"];
  assert.deepEqual(matches(patterns, "GET /a/b"), {
    "GET /a/{x}": { x: "b" },
    "GET /{y}/b": { y: "a" },
    "GET /a/b": {},
    "* /{all...}": { all: "a/b" },
  });
  assert.deepEqual(matches(patterns, "POST /a/c%20d"), { "* /{all...}": { all: "a/c d" } });
});

test("a placeholder is exactly one segment, a trailing slash counts, and so does case", () => {
  const patterns = ["GET /a/{x}", "GET /a"];
  assert.deepEqual(matches(patterns, "GET /a"), { "GET /a": {} });
  for (const path of ["/a/", "/a/b/", "/a/b/c", "/A", "/A/b", "/"])
    assert.deepEqual(matches(patterns, `GET ${path}`), {}, path);
});

test("`{rest...}` takes one segment or more, of which the last may be empty", () => {
  assert.deepEqual(matches(["GET /{rest...}"], "GET /"), { "GET /{rest...}": { rest: "" } });
  assert.deepEqual(matches(["GET /{rest...}"], "GET /a/"), { "GET /{rest...}": { rest: "a/" } });
  assert.deepEqual(matches(["GET /a/{rest...}"], "GET /a/"), { "GET /a/{rest...}": { rest: "" } });
  assert.deepEqual(matches(["GET /a/{rest...}"], "GET /a"), {});
  assert.deepEqual(matches(["GET /a/{rest...}"], "GET /b/c"), {});
});

test("GET does not include HEAD", () => assert.deepEqual(matches(["GET /a"], "HEAD /a"), {}));

test("what an upstream may split is matched by `:encoded` alone", () => {
  const patterns = ["GET /p/{id}", "GET /p/{project:encoded}", "GET /{rest...}", "GET /p/{rest...}"];
  assert.deepEqual(matches(patterns, "GET /p/group%2Fname"), { "GET /p/{project:encoded}": { project: "group/name" } });
  assert.deepEqual(matches(patterns, "GET /p/a;b"), { "GET /p/{project:encoded}": { project: "a;b" } });
  assert.deepEqual(Object.keys(matches(patterns, "GET /p/plain")), patterns);
  assert.deepEqual(matches(["GET /{p:encoded}/x", "GET /{p:encoded}/{rest...}"], "GET /a%2Fb/x"), {
    "GET /{p:encoded}/x": { p: "a/b" },
    "GET /{p:encoded}/{rest...}": { p: "a/b", rest: "x" },
  });
  assert.deepEqual(matches(["GET /a%20b"], "GET /a%20b"), { "GET /a%20b": {} });
});

test("an operation with several matching patterns stands once", () => {
  const matcher = createOperationMatcher(
    ["GET /{a}", "GET /{b...}"].map((text) => ({ pattern: pattern(text), operation: 1 })),
  );
  assert.deepEqual(matcher.match(accepted({ target: "/x" })), [{ operation: 1, params: new Map([["a", "x"]]) }]);
});

test("law: the tree finds what trying each pattern finds", () => {
  const steps = fc.constantFrom("a", "b", "{#}", "{#:encoded}", "a%20b");
  const patterns = fc.array(
    fc.tuple(
      fc.constantFrom("GET", "*", "POST"),
      fc.array(steps, { maxLength: 3 }),
      fc.constantFrom("", "/", "/{r...}"),
    ),
    { maxLength: 6 },
  );
  const paths = fc
    .array(fc.constantFrom("a", "b", "a%20b", "a%2Fb", "c"), { maxLength: 4 })
    .map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(patterns, paths, (made, target) => {
      const texts = [
        ...new Set(
          made.map(
            ([method, parts, end]) =>
              `${method} ${parts.map((part, at) => `/${part.replace("#", `n${at}`)}`).join("") + end || "/"}`,
          ),
        ),
      ];
      const found = Object.keys(matches(texts, `GET ${target}`));
      const one = (segment: string) =>
        segment
          .replace(/^\{\w+\}$/, "[^/.%]+(?:%20[^/]*)?")
          .replace(/^\{\w+:encoded\}$/, "[^/]+")
          .replace(/^\{r\.\.\.\}$/, "(?:(?!.*%2F).*)");
      const expected = texts.filter((text) => {
        const [method = "", path = ""] = text.split(" ");
        return method !== "POST" && new RegExp(`^${path.split("/").map(one).join("/")}$`).test(target);
      });
      assert.deepEqual(found.sort(), expected.sort());
    }),
    { numRuns: 500 },
  );
});
