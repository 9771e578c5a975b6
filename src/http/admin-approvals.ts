import type { Approval, ShownApproval } from "../approvals/approval.ts";
import type { Approvals } from "../approvals/approvals.ts";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { type AdminAction, optionalNumber, optionalText, textArgument } from "./admin-action.ts";

const STATUSES = ["pending", "granted", "denied", "expired", "used"] as const;

/** `approvals.*`: what people are asked, and their answers. */
export function approvalActions(deps: {
  readonly approvals: Approvals;
  readonly now: () => Date;
}): readonly AdminAction[] {
  const { approvals, now } = deps;
  return [
    {
      name: "approvals.list",
      proof: "key",
      async run(args) {
        const wanted = optionalText(args, "status");
        const statuses = STATUSES.filter((status) => wanted === undefined || status === wanted);
        if (statuses.length === 0)
          throw new Problem("invalid_request", { detail: `\`status\` must be one of ${STATUSES.join(", ")}` });
        const { approvals: found, altered } = await approvals.list({ statuses, now: now() });
        return { approvals: found.map((one) => ({ ...shown(one), preview: one.preview ?? null })), altered };
      },
    },
    {
      name: "approvals.show",
      proof: "key",
      async run(args) {
        const one: ShownApproval = await approvals.show(textArgument(args, "id"), now());
        return { ...shown(one), request: one.request ?? null, preview: one.preview ?? null, separate: one.separate };
      },
    },
    {
      name: "approvals.approve",
      proof: "owner",
      async run(args, by) {
        await checkShown(approvals, args, now());
        const granted = await approvals.grant({
          id: textArgument(args, "id"),
          by: { id: by, user: by },
          now: now(),
          forSeconds: optionalNumber(args, "for_seconds"),
          why: optionalText(args, "why"),
        });
        return shown(granted);
      },
    },
    {
      name: "approvals.deny",
      proof: "owner",
      async run(args, by) {
        await checkShown(approvals, args, now());
        const why = optionalText(args, "why") ?? "";
        return shown(await approvals.deny({ id: textArgument(args, "id"), by: { id: by, user: by }, now: now(), why }));
      },
    },
  ];
}

/** Where the answer says which call was shown, it is to that one. @throws {Problem} `invalid_request` when it is another. */
async function checkShown(approvals: Approvals, args: JsonObject, now: Date): Promise<void> {
  const digest = optionalText(args, "digest");
  if (digest === undefined || (await approvals.get(textArgument(args, "id"), now))?.digest === digest) return;
  throw new Problem("invalid_request", { detail: "the answer is to another call than the one that waits" });
}

function shown(one: Approval) {
  return {
    id: one.id,
    agent: one.agent,
    client: one.client,
    service: one.service,
    operation: one.operation ?? null,
    message: one.message,
    digest: one.digest,
    status: one.status,
    requested_at: one.requestedAt.toISOString(),
    expires_at: one.expiresAt.toISOString(),
    answered_by: one.answeredBy ?? null,
    why: one.why ?? null,
    quorum: one.quorum,
    yeses: one.yeses.length,
  };
}
