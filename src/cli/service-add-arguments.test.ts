import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AddOptions, addArguments } from "./service-add-arguments.ts";

const add = (options: AddOptions, programArgs: readonly string[] = []) =>
  addArguments("x", options, { programArgs, folder: "/work" });

describe("addArguments", () => {
  test("an API", () => {
    assert.deepEqual(add({ url: "https://a.example", bearer: "key", allow: ["GET /"] }), {
      name: "x",
      url: "https://a.example",
      credential: { kind: "bearer", secret: "key" },
      allow: ["GET /"],
    });
  });
  test("an MCP server that is started: paths are those of the shell's folder", () => {
    const args = add(
      { mcp: "npx:s@1.0.0", env: "TOKEN=github", host: ["api.github.com"], read: ["notes"], tool: ["get_*"] },
      ["/notes"],
    );
    assert.deepEqual(args, {
      name: "x",
      mcp: "npx:s@1.0.0",
      args: ["/notes"],
      env: { name: "TOKEN", secret: "github" },
      hosts: ["api.github.com"],
      tools: ["get_*"],
      read: ["/work/notes"],
    });
    assert.equal(add({ mcp: "./server" })["mcp"], "/work/server");
    assert.equal(add({ mcp: "server" })["mcp"], "server");
  });

  const WRONG: Readonly<Record<string, AddOptions>> = {
    "neither an API nor a server": {},
    both: { url: "https://a.example", mcp: "npx:s@1.0.0" },
    "an option of the other kind": { url: "https://a.example", tool: ["x"] },
    "an option of the other kind, too": { mcp: "npx:s@1.0.0", allow: ["GET /"] },
    "two credentials": { mcp: "npx:s@1.0.0", env: "A=b", bearer: "c" },
    "a variable without a secret": { mcp: "npx:s@1.0.0", env: "TOKEN" },
    "what looks like a secret's value": { mcp: "npx:s@1.0.0", env: "TOKEN=ghp_16C7e42F292c6912E7" },
    "one word of two": { url: "https://a.example", basic: ["me"] },
  };
  for (const [what, options] of Object.entries(WRONG))
    test(`refuses ${what}`, () => assert.throws(() => add(options), { status: 2 }));
});
