import { Problem } from "../base/problem.ts";
import type { Principal } from "../identity/principal.ts";
import type { Approval, ApprovalStatus, Approver, Yes } from "./approval.ts";

/** Seconds for which one use stays granted. */
const GRANTED_USE_SECONDS = 15 * 60;

/** What is asked, by whom, and for how long. */
interface Asked extends Pick<Approval, "service" | "operation" | "digest" | "basis" | "message" | "quorum"> {
  readonly principal: Principal;
  readonly expiresSeconds: number;
  readonly now: Date;
}

/** A question nobody answered yet. */
export function pendingApproval(id: string, request: Asked): Approval {
  const { agent, client, user, tenant } = request.principal;
  const { service, operation, digest, basis, message, now, expiresSeconds, quorum } = request;
  return {
    id,
    status: "pending",
    agent,
    client,
    user,
    tenant,
    service,
    operation,
    digest,
    basis,
    message,
    requestedAt: now,
    expiresAt: new Date(now.getTime() + expiresSeconds * 1_000),
    answeredAt: undefined,
    answeredBy: undefined,
    why: undefined,
    granted: undefined,
    usedAt: undefined,
    told: false,
    quorum,
    yeses: [],
  };
}

/** What an approval is at an instant: one that nobody settled yet has lapsed all the same. */
export function statusAt(approval: Approval, now: Date): ApprovalStatus {
  if (approval.status !== "pending" && approval.status !== "granted") return approval.status;
  return approval.expiresAt > now ? approval.status : lapse(approval).status;
}

/** The approval when its time is over: a window that was used has done its work, anything else has expired. */
export function lapse(approval: Approval): Approval {
  return { ...approval, status: approval.usedAt === undefined ? "expired" : "used" };
}

/** One more yes; it is granted when the quorum is reached, and then for the narrowest that anyone said. */
export function sayYes(approval: Approval, yes: Yes, why: string | undefined): Approval {
  const yeses = [...approval.yeses, yes];
  const answered = { ...approval, yeses, answeredAt: yes.at, answeredBy: yeses.map(({ by }) => by).join(", "), why };
  if (yeses.length < approval.quorum) return answered;
  const once = yeses.some(({ forSeconds }) => forSeconds === undefined);
  const seconds = once ? GRANTED_USE_SECONDS : Math.min(...yeses.map(({ forSeconds = 0 }) => forSeconds));
  const expiresAt = new Date(yes.at.getTime() + seconds * 1_000);
  return { ...answered, status: "granted", expiresAt, granted: once ? "once" : expiresAt };
}

/** A no, which also takes back a yes that was not used up. */
export function sayNo(
  approval: Approval,
  no: { readonly by: string; readonly at: Date; readonly why: string },
): Approval {
  return { ...approval, status: "denied", answeredAt: no.at, answeredBy: no.by, why: no.why };
}

/** One use: it is spent, or, in a window, marked as begun. */
export function useOnce(approval: Approval, now: Date): Approval {
  return { ...approval, status: approval.granted === "once" ? "used" : "granted", usedAt: approval.usedAt ?? now };
}

/** Why an approver may not answer at all: an agent never does, the asking one least of all. */
export function refusalOfAnswer({ id, agent, client }: Approval, by: Approver): Problem | undefined {
  const own = [agent, client, `agent:${agent}`, `client:${client}`];
  if (by.agent === undefined && by.client === undefined && !own.includes(by.id)) return undefined;
  return new Problem("denied", {
    detail: `\`${id}\` cannot be answered with an agent's credential`,
    remedy: "Ask a person to answer it: `doorward approvals list`.",
  });
}

/** Why an approver may not say yes: nobody twice; and, where the rule says so, not the user that the agent acts for. */
export function refusalOfYes(approval: Approval, by: Approver, separate: boolean): Problem | undefined {
  if (separate && approval.user !== undefined && by.user === approval.user) {
    return new Problem("denied", {
      detail: `\`${approval.id}\` was asked on behalf of the same person, and the rule wants another`,
      remedy: "Ask somebody else to answer it.",
    });
  }
  if (approval.yeses.some((yes) => yes.by === by.id)) {
    return new Problem("invalid_request", {
      detail: `\`${approval.id}\` has this person's yes already, and needs ${approval.quorum} people`,
      remedy: "Ask somebody else to answer it.",
    });
  }
  return undefined;
}
