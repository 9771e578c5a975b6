import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exposeUri, exposeUris, ownerOfUri } from "./exposed-uris.ts";

test("law: a URI comes back as it was, whatever it holds", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z][a-z0-9-]{0,63}$/), fc.oneof(fc.string(), fc.webUrl()), (service, uri) => {
      assert.deepEqual(ownerOfUri(exposeUri(service, uri)), { service, uri });
    }),
    { numRuns: 200 },
  );
});

test("what names no service has no owner", () => {
  for (const uri of ["", "file:///a", "doorward:", "doorward://", "doorward://repo", "Doorward://repo/a"]) {
    assert.equal(ownerOfUri(uri), undefined);
  }
});

test("a template stays one, whose expansion is what the upstream's would be", () => {
  const shown = exposeUri("repo", "repo://{owner}/{path}");
  assert.equal(shown, "doorward://repo/repo://{owner}/{path}");
  const expanded = shown.replace("{owner}", "acme").replace("{path}", "a%20b");
  assert.deepEqual(ownerOfUri(expanded), { service: "repo", uri: "repo://acme/a%20b" });
});

test("oddly made results come through as they are", () => {
  for (const result of [{ contents: [1, null] }, { content: "x" }, { messages: [{ role: "user" }, "x"] }, { uri: 1 }]) {
    assert.deepEqual(exposeUris("repo", result), result);
  }
});
