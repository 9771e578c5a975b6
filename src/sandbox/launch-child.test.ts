import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Cgroup } from "./cgroups.ts";
import { type Launch, launchChild } from "./launch-child.ts";

const base = mkdtempSync(join(tmpdir(), "doorward-launch-"));
after(() => rmSync(base, { recursive: true, force: true }));

/** What bubblewrap does: says who holds the child, waits on descriptor 6 for a word or its end, and only then begins. */
const LIKE_BUBBLEWRAP = `echo '{ "child-pid": '$$' }' >&5; read word <&6; : >"$1"; echo started >&3; exec sleep 30`;

function launch(begun: string, enter: Cgroup["enter"]): Launch {
  const group: Cgroup = { entrances: [], holds: new Set(), enter, kill() {}, async remove() {} };
  return {
    service: "s",
    command: "/bin/sh",
    args: ["-c", LIKE_BUBBLEWRAP, "sh", begun],
    env: {},
    feeds: ["", undefined, undefined],
    mode: "strict",
    limits: {
      inForce: { memory: "cgroup", processes: "cgroup", cpu: "cgroup" },
      perProcess: { dataBytes: undefined, tasks: undefined },
      group,
    },
    cleanUp() {},
    standard: "pipes",
  };
}

test("what holds a child is in its group before anything runs in the sandbox", async () => {
  const begun = join(base, "entered");
  const entering: { readonly pid: number; readonly begun: boolean }[] = [];
  const enter = async (pid: number) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    entering.push({ pid, begun: existsSync(begun) });
  };
  const child = await launchChild(launch(begun, enter));
  assert.deepEqual(entering, [{ pid: child.pid, begun: false }]);
  assert.ok(existsSync(begun));
  await child.stop(0);
});

test("a child that cannot enter its group never runs", async () => {
  const begun = join(base, "refused");
  const enter = () => Promise.reject(new Error("EACCES"));
  await assert.rejects(launchChild(launch(begun, enter)), { code: "upstream_unreachable" });
  assert.ok(!existsSync(begun));
});
