/**
 * Each file call of a config edit is made to fail, or the process is killed in it: what is at the path afterwards is the
 * old text or the new one, whole, and the next edit works.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

const OLD = "version: 1\n# mine\nroles:\n  reader: {}\n";
const NEW = "version: 1\n# mine\nroles:\n  reader: {}\nagents:\n  bot:\n    roles: [ reader ]\n";
const CHILD = join(import.meta.dirname, "../../src/config/edit-child.testing.ts");

/** Calls made on the file, the one beside it and their folder. */
const CALLS: Readonly<Record<string, readonly string[]>> = {
  "open,openat": ["error=EIO", "error=ENOSPC", "signal=KILL"],
  "write,pwrite64,writev,pwritev": ["error=EIO", "error=ENOSPC", "signal=KILL"],
  "fsync,fdatasync": ["error=EIO", "error=ENOSPC", "signal=KILL"],
  "rename,renameat,renameat2": ["error=EIO", "error=ENOSPC", "signal=KILL"],
  "chmod,fchmod,fchown": ["error=EIO", "signal=KILL"],
  "unlink,unlinkat": ["error=EIO", "signal=KILL"],
  "read,pread64": ["error=EIO", "signal=KILL"],
};
/** An edit makes fewer calls of one kind on these paths. */
const MAX_CALLS = 6;

const folder = mkdtempSync(join(tmpdir(), "doorward-fault-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "doorward.yaml");
const beside = join(folder, ".doorward.yaml.new");
const node = ["--disable-warning=ExperimentalWarning", CHILD, path, "bot"];
const strace = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;

describe("a config edit under faults", {
  skip: strace ? false : "strace is not installed or may not trace here",
}, () => {
  for (const [calls, faults] of Object.entries(CALLS)) {
    for (const fault of faults) {
      test(`${calls}: ${fault}`, () => {
        let hits = 0;
        for (let nth = 1; nth <= MAX_CALLS; nth++) {
          writeFileSync(path, OLD);
          writeFileSync(beside, "what a crash left");
          const hit = runUnderFault(calls, `${fault}:when=${nth}`);
          const text = readFileSync(path, "utf8");
          assert.ok(text === OLD || text === NEW, `${calls} ${fault} at call ${nth} left ${JSON.stringify(text)}`);
          if (!hit) break;
          hits++;
        }
        assert.ok(hits > 0, "the fault was met at least once");
        const again = spawnSync(process.execPath, node, { encoding: "utf8" });
        assert.deepEqual([again.stdout, readFileSync(path, "utf8")], ["edited", NEW], "the next edit works");
      });
    }
  }
});

/** @returns Whether the fault was met: without one, there are no more calls of that kind. */
function runUnderFault(calls: string, fault: string): boolean {
  const paths = [path, beside, folder].flatMap((name) => ["-P", name]);
  const trace = join(folder, "trace.txt");
  spawnSync("strace", [
    "-f",
    "-qq",
    "-o",
    trace,
    ...paths,
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:${fault}`,
    process.execPath,
    ...node,
  ]);
  return /INJECTED|killed by SIGKILL/.test(readFileSync(trace, "utf8"));
}
