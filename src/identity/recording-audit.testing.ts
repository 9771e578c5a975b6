import { createHash } from "node:crypto";
import type { AuditEvent, AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";

/** An audit log in memory that can be made to fail. */
export function recordingAudit() {
  const events: AuditEvent[] = [];
  let failing: ((event: AuditEvent) => boolean) | undefined;
  const log: AuditLog = {
    async append(event) {
      if (failing?.(event)) throw new Problem("audit_unavailable");
      events.push(event);
    },
    digest: (value) => `hmac:${createHash("sha256").update(value).digest("hex").slice(0, 32)}`,
    unavailable: () => undefined,
  };
  return {
    log,
    events,
    types: () => events.map(({ type }) => type),
    fail: (when: ((event: AuditEvent) => boolean) | undefined) => {
      failing = when;
    },
  };
}
