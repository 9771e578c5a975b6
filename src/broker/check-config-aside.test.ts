import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { checkConfigFile } from "./check-config.ts";
import { checkConfigAside } from "./check-config-aside.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorward-aside-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** A file of so many services, beyond what is checked inline. */
function text(services: number, more = ""): string {
  const entries = Array.from(
    { length: services },
    (_, i) =>
      `  s${i}: { url: "https://api${i}.example/v1", operations: { read: { effect: read, allow: ["GET /a/{b}"] } } }`,
  );
  return `version: 1\nservices:\n${entries.join("\n")}\n${more}`;
}

test("a large file is checked aside with the same result as inline", async () => {
  const path = join(folder, "large.yaml");
  const expiring = 'agents: { bot: { roles: [r], expires: 2030-01-01 } }\nroles: { r: { allow: ["s1:*"] } }\n';
  await writeFile(path, text(400, expiring));
  const [aside, inline] = [await checkConfigAside(path), await checkConfigFile(path, { mustExist: true })];
  assert.ok(aside.ok && inline.ok);
  assert.equal(aside.snapshot.id, inline.snapshot.id);
  assert.deepEqual(aside.snapshot.config, inline.snapshot.config);
  assert.deepEqual(aside.warnings, inline.warnings);
  assert.deepEqual(Buffer.from(aside.bytes), Buffer.from(inline.bytes));
});

test("a large file that does not hold has the same findings", async () => {
  const path = join(folder, "bad.yaml");
  await writeFile(path, text(400, "roles: { r: { alow: [] } }\nagents: { bot: { roles: [nobody] } }\n"));
  const [aside, inline] = [await checkConfigAside(path), await checkConfigFile(path, { mustExist: true })];
  assert.ok(!aside.ok && !inline.ok);
  assert.deepEqual(aside.findings, inline.findings);
  assert.ok(aside.findings.length > 0);
});

test("a file that is gone is a finding, since rules were in force", async () => {
  const checked = await checkConfigAside(join(folder, "none.yaml"));
  assert.ok(!checked.ok);
  assert.match(checked.findings[0]?.problem ?? "", /there is no file/);
});
