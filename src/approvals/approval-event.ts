import type { AuditEvent, AuditLog } from "../audit/event.ts";
import type { JsonValue } from "../base/json.ts";
import type { Approval } from "./approval.ts";

/** What the evidence says of an approval: who asked, what was bound (as a keyed digest), under which assurance level. */
export function approvalEvent(
  type: Extract<AuditEvent["type"], `approval.${string}`>,
  approval: Approval,
  context: {
    readonly digest: AuditLog["digest"];
    readonly assurance: number;
    readonly requestId?: string | undefined;
    readonly code?: string | undefined;
    readonly data?: { readonly [key: string]: JsonValue | undefined };
  },
): AuditEvent {
  const { agent, tenant, user, service, operation } = approval;
  return {
    type,
    request_id: context.requestId,
    agent,
    tenant,
    user,
    service,
    operation,
    code: context.code,
    data: {
      approval_id: approval.id,
      client: approval.client,
      call: context.digest(approval.digest),
      basis: approval.basis,
      assurance: context.assurance,
      ...context.data,
    },
  };
}
