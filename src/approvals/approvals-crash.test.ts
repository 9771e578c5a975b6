import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createApprovalStore } from "./approval-store.ts";
import { Approvals } from "./approvals.ts";
import { NOW, testKeyring, testPrincipal } from "./hold-request.testing.ts";

const CRASHES = 6;

/** Runs the child until it has said `uses` times that it used something, and some chance moment more; then kill -9. */
async function crash(path: string, run: number): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "crash-child.testing.ts"), path, `${run}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let killing = false;
  for await (const chunk of child.stdout) {
    output += chunk;
    if (killing || output.split("used ").length < 5) continue;
    killing = true;
    setImmediate(() => child.kill("SIGKILL"));
  }
  return output.split("\n").filter((line) => /^(intends|used) apr_[0-9a-z]{20}$/.test(line));
}

test("a use is taken at most once, though the process is killed around it", async (context) => {
  const { path, reopen } = tempStore(context);
  const lines: string[] = [];
  for (let run = 0; run < CRASHES; run++) lines.push(...(await crash(path, run)));
  const used = lines.filter((line) => line.startsWith("used ")).map((line) => line.slice(5));
  const intended = lines.filter((line) => line.startsWith("intends ")).map((line) => line.slice(8));
  assert.ok(used.length >= CRASHES, "the children got somewhere");
  assert.equal(new Set(used).size, used.length);

  const keyring = testKeyring();
  const store = createApprovalStore({ db: await reopen(), keyring });
  const approvals = new Approvals({ store, audit: recordingAudit().log, keyring, assurance: () => 0 });
  for (const id of intended) {
    const approval = await approvals.get(id, NOW);
    assert.ok(approval, "a granted approval survives whole");
    const { digest, basis } = approval;
    const again = await approvals.use({ id, requestId: "req_2", principal: testPrincipal(), digest, basis, now: NOW });
    assert.equal(used.includes(id) && again.ok, false, "what was used before the crash is spent after it");
    assert.equal((await approvals.get(id, NOW))?.status, "used");
  }
});
