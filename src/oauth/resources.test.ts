import assert from "node:assert/strict";
import { test } from "node:test";
import { isWithin } from "./resources.ts";

const URL = "https://broker.example";

test("a resource holds itself, `/mcp` each server, and nothing anything else", () => {
  const paths = ["/mcp", "/api", "/mcp/github", "/mcp/mail"];
  const within = paths.flatMap((part) =>
    paths.filter((whole) => isWithin(URL + part, [URL + whole], URL)).map((whole) => `${part} in ${whole}`),
  );
  assert.deepEqual(within, [
    "/mcp in /mcp",
    "/api in /api",
    "/mcp/github in /mcp",
    "/mcp/github in /mcp/github",
    "/mcp/mail in /mcp",
    "/mcp/mail in /mcp/mail",
  ]);
});

test("what is no resource of ours is within none, not even within itself", () => {
  for (const text of ["", URL, `${URL}/other`, `${URL}/mcp/`, `${URL}/mcp/../api`, "https://evil.example/mcp"]) {
    assert.equal(isWithin(text, [text, `${URL}/mcp`], URL), false, text);
    assert.equal(isWithin(`${URL}/mcp`, [text], URL), false, text);
  }
  assert.equal(isWithin(`${URL}/mcp`, [], URL), false);
});
