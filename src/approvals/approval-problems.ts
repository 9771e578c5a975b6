import { Problem } from "../base/problem.ts";
import type { Approval, ApprovalStatus } from "./approval.ts";

/** Seconds; the longest window that a yes can open. */
const WINDOW_LIMIT_SECONDS = 24 * 60 * 60;
/** Seconds after which an agent with too many questions may ask again. */
const RETRY_SECONDS = 60;

/** @throws {Problem} `invalid_request` for a window that cannot be opened. */
export function checkWindow(forSeconds: number | undefined): void {
  if (forSeconds === undefined) return;
  if (Number.isInteger(forSeconds) && forSeconds >= 1 && forSeconds <= WINDOW_LIMIT_SECONDS) return;
  throw new Problem("invalid_request", {
    detail: "an approval opens a window of at least a second and at most 24 hours",
    remedy: "Say how long with `--for 10m`, or leave it out for one use.",
  });
}

/** For an answer to what is answered, or over. */
export function notOpen({ id }: Approval, status: ApprovalStatus): Problem {
  return new Problem("invalid_request", {
    detail: `\`${id}\` is ${status} already`,
    remedy: "List what is open: `doorward approvals list`.",
  });
}

/** For an id that leads to nothing, or to a record that somebody else wrote. */
export function notThere(id: string, reason: "unknown" | "altered"): Problem {
  const name = printable(id);
  if (reason === "unknown") {
    return new Problem("not_found", {
      detail: `there is no approval \`${name}\``,
      remedy: "List what is open: `doorward approvals list`.",
    });
  }
  return new Problem("store_unavailable", {
    detail: `the record of \`${name}\` was altered outside Doorward and is not believed`,
    remedy: "Have the call repeated, which asks anew; find out who can write to the state file.",
  });
}

function printable(text: string): string {
  return text.slice(0, 64).replaceAll(/[^\x21-\x7e]|`/g, "?");
}

/** For an agent that asks faster than people answer. */
export function tooManyOpen(agent: string, limit: number): Problem {
  return new Problem("rate_limited", {
    detail: `\`${agent}\` has ${limit} questions open already`,
    remedy: "Wait until some of them are answered: `doorward approvals list`.",
    fields: { retry_after: RETRY_SECONDS },
  });
}
