import type { TestContext } from "node:test";
import type { Principal } from "../identity/principal.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { createApprovalStore } from "./approval-store.ts";
import { Approvals, type HoldRequest } from "./approvals.ts";

export const NOW = new Date("2026-03-01T10:00:00Z");
export const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
export const testKeyring = () => createKeyring({ homeId: "home_test", homeKey: Buffer.alloc(32, 7) });

export function testPrincipal(change: Partial<Principal> = {}): Principal {
  return {
    agent: "dns-bot",
    client: "key_one",
    user: undefined,
    tenant: "acme",
    environment: undefined,
    purpose: undefined,
    task: undefined,
    ip: "127.0.0.1",
    token: { kind: "api_key", id: "key_one", expiresAt: later(86_400) },
    ...change,
  };
}

export function holdRequest(change: Partial<HoldRequest> = {}): HoldRequest {
  return {
    principal: testPrincipal(),
    requestId: "req_1",
    service: "registrar",
    operation: "records:delete",
    digest: "d".repeat(64),
    basis: "b".repeat(64),
    message: "Delete 3 A records on example.com",
    request: { method: "DELETE", url: "https://api.registrar.example/v1/domains/example.com/records", body: null },
    preview: { total: 3 },
    expiresSeconds: 900,
    quorum: 1,
    separate: false,
    now: NOW,
    ...change,
  };
}

/** Approvals on a state file of their own. */
export function testApprovals(context: Pick<TestContext, "after">) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const open = () => {
    const keyring = testKeyring();
    return new Approvals({
      store: createApprovalStore({ db: store.db, keyring }),
      audit: audit.log,
      keyring,
      assurance: () => 0,
    });
  };
  return { store, audit, open, approvals: open() };
}
