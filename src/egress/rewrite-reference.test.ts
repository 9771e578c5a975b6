import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReferenceView, rewriteLink, rewriteLocation } from "./rewrite-reference.ts";

const VIEW: ReferenceView = {
  origin: "https://api.example",
  basePath: "/v1",
  path: "/v1/things/7?page=1",
  publicBase: "http://127.0.0.1:7420/api/things",
};
const BASE = VIEW.publicBase;

const LOCATIONS: Readonly<Record<string, string | undefined>> = {
  "https://api.example/v1/other?a=b#c": `${BASE}/other?a=b#c`,
  "https://API.example:443/v1/other": `${BASE}/other`,
  "https://api.example/v1": BASE,
  "/v1/x%2Fy": `${BASE}/x%2Fy`,
  "8": `${BASE}/things/8`,
  "?page=2": `${BASE}/things/7?page=2`,
  "//api.example/v1/z": `${BASE}/z`,
  "../things/": `${BASE}/things/`,
  "https://api.example/v2/x": undefined,
  "https://api.example/v10": undefined,
  "../../login": undefined,
  "/v1/../admin": undefined,
  "/v1/%2e%2e/admin": undefined,
  "/v1\\..\\admin": undefined,
  "http://api.example/v1/x": undefined,
  "https://api.example:444/v1/x": undefined,
  "https://evil.example/v1/x": undefined,
  "https://user:pw@api.example/v1/x": undefined,
  "https://api.example@evil.example/v1/x": undefined,
  "//evil.example/v1": undefined,
  "javascript:alert(1)": undefined,
  "https://": undefined,
};

test("a Location within the service is rewritten, any other dropped", () => {
  for (const [value, expected] of Object.entries(LOCATIONS))
    assert.equal(rewriteLocation(value, VIEW), expected, value);
});

test("a service without a base path has all of its origin", () => {
  const view = { ...VIEW, basePath: "", path: "/a", publicBase: "/api/things" };
  assert.equal(rewriteLocation("https://api.example/", view), "/api/things/");
  assert.equal(rewriteLocation("/b", view), "/api/things/b");
  assert.equal(rewriteLocation("https://api.example//evil.example", view), "/api/things//evil.example");
});

test("the links of a page lead through the base URL", () => {
  assert.equal(
    rewriteLink('<https://api.example/v1/things?page=2>; rel="next", </v1/things?page=9>; rel="last"', VIEW),
    `<${BASE}/things?page=2>; rel="next", <${BASE}/things?page=9>; rel="last"`,
  );
  assert.equal(rewriteLink("<https://docs.example/x>; rel=help", VIEW), "<https://docs.example/x>; rel=help");
  assert.equal(rewriteLink("</v2/x>; rel=up", VIEW), "<https://api.example/v2/x>; rel=up");
  assert.equal(rewriteLink('<a>; title="say \\"<b>, <c>\\""', VIEW), `<${BASE}/things/a>; title="say \\"<b>, <c>\\""`);
});

test("a malformed Link is dropped", () => {
  for (const value of ["<unclosed", '<a>; title="unclosed', "<https://>; rel=next", "<https://u:p@api.example/v1/x>"]) {
    assert.equal(rewriteLink(value, VIEW), undefined, value);
  }
});
