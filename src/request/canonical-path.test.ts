import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalPath, encodedSegmentRefusal } from "./canonical-path.ts";
import { canonicalise } from "./canonicalise.ts";
import { accepted, FORM, lenientSegments, rawRequest, refusal } from "./request.testing.ts";

const REFUSED: Record<string, readonly string[]> = {
  "what does not begin with one slash": [
    "",
    "*",
    "domains",
    "?a",
    "http://evil.example/",
    "//evil.example/",
    "@evil",
    "/\t",
  ],
  "doubled slashes": ["//", "/a//b", "/a//", "///"],
  "dot segments": ["/.", "/..", "/a/../b", "/a/./b", "/a/..", "/%2e", "/%2E%2e/b", "/.%2e", "/a/%2e%2E"],
  "dots that some servers resolve": [
    "/...",
    "/a/..../b",
    "/.%20.",
    "/%20",
    "/..%20",
    "/.%e2%80%8b.",
    "/%c2%a0",
    "/..%c2%ad",
  ],
  backslashes: ["/a\\b", "/a%5cb", "/..%5c..", "/a%5C", "/%ef%bc%bc"],
  "control characters": ["/a%00", "/%0a", "/a%0d%0ab", "/a%7f", "/%c2%85", "/a%1f", "/%e2%80%a8", "/a%09b"],
  "broken escapes": ["/%", "/a%2", "/%zz", "/%u002e", "/a%u2215b", "/100%", "/%%35%63"],
  "invalid UTF-8": ["/%ff", "/%c0%ae%c0%ae", "/%c0%af", "/%ed%a0%80", "/caf%e9", "/%f8%88%80%80%80"],
  "double encoding": ["/%252e%252e", "/a%252fb", "/%25%32%65", "/a%2500", "/%2525%32%66", "/%25u002f", "/5%25ad"],
  "outer white space": ["/a%20", "/%20a", "/a%c2%a0/b", "/a%e3%80%80"],
  "separators in disguise": [
    "/a%ef%bc%8fb",
    "/a%ef%bc%bcb",
    "/%e2%80%a5",
    "/%e2%80%a4%e2%80%a4",
    "/%ef%bc%8e",
    "/a%ef%bc%85%32e",
    "/a%ef%bc%9bb",
    "/a%ef%bc%9fb",
    "/a%ef%bc%83",
    "/a%e2%80%a4",
  ],
  fragments: ["/a#b", "/#", "/a?b#c"],
  "pieces between encoded slashes that lead elsewhere": [
    "/a%2f..%2fb",
    "/a%2f%2e%2e",
    "/%2f",
    "/a%2f",
    "/%2fa",
    "/a%2f%2fb",
    "/..;/a",
    "/..;x=1/a",
    "/..%3b",
    "/;",
    "/a%2f..;b",
    "/a%2f%20b",
    "/.;a%2fb",
    "/a%2f%5c",
  ],
};

for (const [what, targets] of Object.entries(REFUSED)) {
  test(`refuses ${what}, at both doors`, () => {
    for (const target of targets) {
      assert.match(refusal({ target }, { door: "api" }), /^not_canonical: /, target);
      assert.match(refusal({ target }, { door: "mcp" }), /^not_canonical: /, target);
    }
  });
}

test("honest paths pass, each as it stands", () => {
  const honest = [
    "/",
    "/v1/charges/ch_123",
    "/a/b/",
    "/caf%C3%A9",
    "/a%20b",
    "/user@example.com",
    "/~tilde",
    "/v1/projects:list",
    "/%23room:server",
    "/repos/o/r/git/refs/heads/main",
    "/file.tar.gz",
    "/.well-known",
    "/..foo",
    "/foo..bar",
    "/100%25",
    "/a,b",
    "/c++",
    "/x=1&y=2",
    "/$metadata",
    "/items('x')",
    "/*",
    "/who%3F",
    "/%F0%9F%94%A5",
    "/a%2Bb",
    "/%E6%97%A5%E6%9C%AC",
    "/a!b",
  ];
  for (const target of honest) assert.equal(accepted({ target }).path, target);
});

test("equivalent spellings come out as one", () => {
  const same = {
    "/%61dmin": "/admin",
    "/%7etilde": "/~tilde",
    "/caf%c3%a9": "/caf%C3%A9",
    "/a%2db%5f": "/a-b_",
    '/a"b': "/a%22b",
    "/{x}": "/%7Bx%7D",
    "/a%2bb": "/a%2Bb",
  };
  for (const [target, path] of Object.entries(same)) assert.equal(accepted({ target }).path, path);
  assert.equal(accepted({ target: "/%61dmin" }).segments[0]?.text, "admin");
});

test("people's words are encoded at the door mcp, and refused at the door api", () => {
  assert.equal(accepted({ target: "/caf\u00e9 au lait?q=\u00e9 x" }, { door: "mcp" }).path, "/caf%C3%A9%20au%20lait");
  assert.match(refusal({ target: "/caf\u00e9" }), /printable/);
  assert.match(refusal({ target: "/a b" }), /printable/);
  assert.match(refusal({ target: "/\ud800" }, { door: "mcp" }), /surrogate/);
  assert.match(refusal({ target: "/a\nb" }, { door: "mcp" }), /control/);
});

test("what an upstream may split or fold is left to `:encoded` placeholders, and sent as it came", () => {
  for (const target of [
    "/group%2fproject",
    "/a;v=1",
    "/a%3bv",
    "/example.org.",
    "/cafe%CC%81",
    "/%E2%84%A2",
    "/a%2f..b",
    "/%ef%bd%81dmin",
  ]) {
    const { path, segments } = accepted({ target });
    assert.equal(path, target);
    assert.equal(segments[0]?.encoded, true);
    assert.equal(encodedSegmentRefusal(segments)?.problem.code, "not_canonical");
    assert.match(encodedSegmentRefusal(segments)?.problem.remedy ?? "", /:encoded/);
  }
  assert.equal(encodedSegmentRefusal(accepted({ target: "/a/b" }).segments), undefined);
});

test("limits", () => {
  assert.match(refusal({ target: `/${"a/".repeat(64)}` }), /^too_large: .*64 segments/);
  assert.match(refusal({ target: `/${"a".repeat(9_000)}` }), /^too_large: .*8192/);
  assert.equal(accepted({ target: "/a".repeat(64) }).segments.length, 64);
});

/** Pieces from which hostile paths are made. */
const NASTY = fc.constantFrom(
  ..."/ // . .. ... %2e %2E %2f %5c \\ ; %3b %00 %20 + %25 %252e %2525 %u002e a admin b A %61 é %c3%a9 %ef%bc%8f %ef%bc%8e %e2%80%a4 %e2%80%8b %c0%af ％ ／ ． ： ? # @ : ~ %7e % %2 %ff %EF%BC%85 2e 5c u002f ﬁ ㏄ ﷻ ‥ … \u00a0 \u3000".split(
    " ",
  ),
);
const targets = fc.array(NASTY, { maxLength: 10 }).map((parts) => `/${parts.join("")}`);
const unicodeTargets = fc.string({ unit: "binary", maxLength: 12 }).map((text) => `/${text}`);

test("law: no lenient upstream ends up elsewhere than where the rules looked, nor outside of the base path", () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(targets, targets, unicodeTargets), fc.constantFrom("api", "mcp"), (target, door) => {
      const result = canonicalise(rawRequest({ target }), { ...FORM, door });
      if (!result.ok) return;
      taken++;
      const { path, segments } = result.request;
      assert.match(path, /^\/[\x21-\x7e]*$/);
      assert.deepEqual(lenientSegments(`/base/v1${path}`).slice(0, 2), ["base", "v1"]);
      const again = canonicalPath(path);
      assert.deepEqual(again.ok && [again.path, again.segments], [path, segments], "a fixed point");
      if (segments.some(({ encoded }) => encoded)) return;
      const seen = segments.map(({ text }) => text).filter((text, index) => text !== "" || index < segments.length - 1);
      assert.deepEqual(lenientSegments(path), seen);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(taken > 100, `only ${taken} were taken: the law says little`);
});
