/** The escapes of `doorward doctor`: in the sandbox none works, and without one the probe sees that they do. */
import assert from "node:assert/strict";
import { homedir } from "node:os";
import { test } from "node:test";
import type { Sandbox } from "../../src/sandbox/child-spec.ts";
import { probeSandbox } from "../../src/sandbox/probe-sandbox.ts";
import { cannotRun, folders, sandbox } from "./live-sandbox.ts";

const deps = { home: folders.home, userHome: homedir() };

test("every way out is closed", { skip: cannotRun }, async () => {
  const { findings } = await probeSandbox({ sandbox, ...deps });
  assert.deepEqual(
    findings.filter(({ held }) => !held),
    [],
  );
  assert.ok(findings.length >= 18, `${findings.length} tried`);
});

test("without a sandbox the probe finds the ways out", async () => {
  const open: Sandbox = { start: (spec) => sandbox.start({ ...spec, config: { ...spec.config, mode: "off" } }) };
  const { findings } = await probeSandbox({ sandbox: open, ...deps });
  const found = new Set(findings.filter(({ held }) => !held).map(({ name }) => name));
  for (const name of [
    "environment",
    "homes",
    "host files",
    "host loopback",
    "abstract socket",
    "outside processes",
    "system call filter",
    "system calls",
  ])
    assert.ok(found.has(name), `${name} was not seen`);
});
