import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConfigText } from "./check-config.ts";

const FILE = `version: 1
services:
  files:
    mcp: { command: node, args: [server.js] }
    sandbox: { write: [data] }
    operations: { o: { effect: read, tools: [a] } }
`;

test("a sandbox that would open Doorward's home is a fault where the home is known", async () => {
  const check = async (home?: string) => {
    const checked = await checkConfigText(Buffer.from(FILE), "/srv/me/doorward.yaml", { home });
    return checked.ok ? [] : checked.findings.map(({ path, line }) => `${line} ${path}`);
  };
  assert.deepEqual(await check("/srv/me/data"), ["5 services.files.sandbox.write[0]"]);
  assert.deepEqual(await check("/srv/me/data/.doorward"), ["5 services.files.sandbox.write[0]"]);
  assert.deepEqual(await check("/srv/me"), ["5 services.files.sandbox.write[0]"]);
  assert.deepEqual(await check("/home/me/.doorward"), []);
  assert.deepEqual(await check(), []);
});
