import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Problem } from "../base/problem.ts";
import { tempFolder } from "./temp-store.testing.ts";
import { agentKeyPath, writeAgentKey } from "./write-agent-key.ts";

const mode = (path: string) => statSync(path).mode & 0o777;

test("the key's file is 0600, its folder 0700, and a second key replaces the first", async (context) => {
  const home = tempFolder(context);
  const path = await writeAgentKey(home, "dns-bot", "dw_one");
  assert.equal(path, join(home, "agents", "dns-bot.key"));
  await writeAgentKey(home, "dns-bot", "dw_two");
  assert.equal(readFileSync(path, "utf8"), "dw_two\n");
  assert.equal(mode(path), 0o600);
  assert.equal(mode(join(home, "agents")), 0o700);
  assert.deepEqual(readdirSync(join(home, "agents")), ["dns-bot.key"]);
});

test("a folder and a file that others could read are closed", async (context) => {
  const home = tempFolder(context);
  mkdirSync(join(home, "agents"), { mode: 0o755 });
  writeFileSync(join(home, "agents", "dns-bot.key"), "old", { mode: 0o644 });
  const path = await writeAgentKey(home, "dns-bot", "dw_new");
  assert.equal(mode(path), 0o600);
  assert.equal(mode(join(home, "agents")), 0o700);
});

test("a name cannot lead out of the folder", () => {
  for (const name of ["", "..", "../x", "a/b", "a\\b", "a\0", "A", "a_b", "a.b", "-a"]) {
    assert.throws(() => agentKeyPath("/home", name), Problem, name);
  }
});

test("a link in the folder's place is not followed", async (context) => {
  const home = tempFolder(context);
  const elsewhere = tempFolder(context);
  symlinkSync(elsewhere, join(home, "agents"));
  await assert.rejects(writeAgentKey(home, "dns-bot", "dw_x"), Problem);
  assert.deepEqual(readdirSync(elsewhere), []);
});
