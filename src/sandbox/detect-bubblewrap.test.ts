import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { detectBubblewrap } from "./detect-bubblewrap.ts";

const base = mkdtempSync(join(tmpdir(), "doorward-detect-"));
after(() => rmSync(base, { recursive: true, force: true }));
const HELP =
  "--args FD --block-fd FD --cap-drop CAP --die-with-parent x --file FD --info-fd FD --new-session x --perms O --remount-ro D --ro-bind-data FD --seccomp FD --size B --unshare-user x";

/** A folder with a program that stands for bubblewrap. */
function folder(name: string, script: string): string {
  mkdirSync(join(base, name));
  writeFileSync(join(base, name, "bwrap"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return join(base, name);
}

const detect = (at: string, facts: { platform?: NodeJS.Platform; arch?: NodeJS.Architecture } = {}) =>
  detectBubblewrap({ platform: "linux", arch: "x64", folders: [at], ...facts });

test("one that works is found, with its version", async () => {
  const found = await detect(
    folder("good", `case $1 in --help) echo '${HELP}';; --version) echo bubblewrap 0.9.0;; esac`),
  );
  assert.ok(found.ok);
  assert.equal(found.bubblewrap.version, "0.9.0");
});

test("one that lacks an option is too old, and the option is named", async () => {
  const found = await detect(folder("old", `echo '${HELP.replace("--size B", "")}'`));
  assert.ok(!found.ok);
  assert.match(found.detail, /too old.*`--size`/);
});

test("one that the kernel lets do nothing says why, and there is a remedy", async () => {
  const script = `case $1 in --unshare-all) echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1;; *) echo '${HELP}';; esac`;
  const found = await detect(folder("held", script));
  assert.ok(!found.ok);
  assert.match(found.detail, /does not work here: bwrap: setting up uid map: Permission denied/);
  assert.notEqual(found.remedy, "");
});

test("none is installed: the remedy installs it", async () => {
  const found = await detect(join(base, "nowhere"));
  assert.ok(!found.ok);
  assert.match(found.remedy, /apt install bubblewrap/);
});

test("other systems and architectures are told so", async () => {
  const mac = await detect(join(base, "good"), { platform: "darwin" });
  assert.ok(!mac.ok);
  assert.match(mac.detail, /needs Linux/);
  const other = await detect(join(base, "good"), { arch: "riscv64" });
  assert.ok(!other.ok);
  assert.match(other.detail, /riscv64/);
});
