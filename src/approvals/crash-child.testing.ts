/**
 * Asks, grants and uses in a loop on the state file given as argument, until it is killed.
 * `intends ID` stands before a use, `used ID` after it was answered: where a call would have gone out.
 */
import { writeSync } from "node:fs";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { openStore } from "../store/open-store.ts";
import { createApprovalStore } from "./approval-store.ts";
import { Approvals } from "./approvals.ts";
import { holdRequest, NOW, testKeyring } from "./hold-request.testing.ts";

const [path = "", run = ""] = process.argv.slice(2);
const keyring = testKeyring();
const store = createApprovalStore({ db: openStore({ path }).db, keyring });
const approvals = new Approvals({ store, audit: recordingAudit().log, keyring, assurance: () => 0 });

for (let n = 0; n < 10_000; n++) {
  const request = holdRequest({ digest: `${run}-${n}` });
  const { approval } = await approvals.hold(request);
  await approvals.grant({ id: approval.id, by: { id: "owner" }, now: NOW });
  writeSync(1, `intends ${approval.id}\n`);
  const { principal, digest, basis } = request;
  const { ok } = await approvals.use({ id: approval.id, requestId: "req_1", principal, digest, basis, now: NOW });
  if (ok) writeSync(1, `used ${approval.id}\n`);
}
