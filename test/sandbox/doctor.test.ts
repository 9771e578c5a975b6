/** `doorward doctor`, as a person runs it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { cannotRun, folders } from "./live-sandbox.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/doorward.js", import.meta.url));

function doctor(home: string, ...options: readonly string[]) {
  const args = [PROGRAM, "doctor", "--home", home, ...options];
  return spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: folders.base },
  });
}

test("it tries the sandbox and ends well when nothing is found; it makes no home", { skip: cannotRun }, () => {
  const home = join(folders.base, "no-home");
  const { status, stdout, stderr } = doctor(home, "--json");
  assert.equal(status, 0, stdout + stderr);
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { check: string; result: string }[] };
  assert.equal(ok, true);
  const held = checks.filter(({ result }) => result === "held").map(({ check }) => check);
  for (const check of ["sandbox: environment", "sandbox: kernel settings", "sandbox: host loopback", "sandbox: memory"])
    assert.ok(held.includes(check), check);
  assert.ok(checks.some(({ check, result }) => check === "home" && result === "note"));
  assert.ok(!existsSync(home));
});

test("what is weak about the home's key is a note", { skip: cannotRun }, () => {
  const home = join(folders.base, "weak-home");
  const env = { PATH: process.env["PATH"], HOME: folders.base };
  assert.equal(spawnSync(process.execPath, [PROGRAM, "init", "--yes", "--home", home], { env }).status, 0);
  const { status, stdout } = doctor(home);
  assert.equal(status, 0);
  assert.match(stdout, /^note +key protection +the vault's key lies in a file/m);
});
