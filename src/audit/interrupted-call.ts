import type { OpenCall } from "./audit-chain.ts";
import type { AuditEvent } from "./event.ts";

/** The outcome of a call that nobody saw the end of: after a crash, or when its own outcome could not be written. */
export function interruptedCall(call: OpenCall): AuditEvent {
  const { seq, request_id, agent, tenant, user, service, operation } = call;
  return {
    type: "call.completed",
    request_id,
    agent: agent ?? undefined,
    tenant: tenant ?? undefined,
    user: user ?? undefined,
    service: service ?? undefined,
    operation: operation ?? undefined,
    code: "interrupted",
    data: { decided_seq: seq },
  };
}
