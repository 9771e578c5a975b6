import type { Approval } from "../approvals/approval.ts";
import type { Cancellation } from "../base/cancellation.ts";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { structured, type Tool } from "./tool.ts";
import { onlyArguments } from "./tool-arguments.ts";

/** The longest that one call waits; a caller that wants more asks again. */
const MAX_WAIT_SECONDS = 60;

const INPUT = {
  type: "object",
  additionalProperties: false,
  required: ["id"],
  properties: {
    id: { type: "string", description: "An approval_id from a refusal" },
    wait_seconds: {
      type: "number",
      minimum: 0,
      maximum: MAX_WAIT_SECONDS,
      description: "Wait for the answer this long",
    },
  },
} as const satisfies JsonObject;

const OUTPUT = {
  type: "object",
  required: ["id", "status", "expires_at"],
  properties: {
    id: { type: "string" },
    status: { enum: ["pending", "granted", "denied", "expired", "used"] },
    expires_at: { type: "string" },
    why: { type: "string" },
  },
} as const satisfies JsonObject;

/** What the tool needs of the approvals. */
export interface WaitingApprovals {
  get(id: string, now: Date): Promise<Approval | undefined>;
  wait(
    id: string,
    options: { readonly ms: number; readonly clock: () => Date; readonly signal?: Cancellation },
  ): Promise<Approval | undefined>;
}

/** `doorward_status`: how an approval stands; it can wait for the answer. Only the agent that asked may look. */
export function createStatusTool(deps: { readonly approvals: WaitingApprovals; readonly now: () => Date }): Tool {
  return {
    definition: {
      name: "doorward_status",
      title: "Wait for an approval",
      description:
        "Tells how an approval stands, and can wait for it. When it is granted, repeat the same call unchanged.",
      inputSchema: INPUT,
      outputSchema: OUTPUT,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async run(args, { principal, signal }) {
      onlyArguments(args, Object.keys(INPUT.properties));
      const { id, wait_seconds: wait = 0 } = args;
      if (typeof id !== "string") throw new Problem("invalid_request", { detail: "`id` must be a text" });
      if (typeof wait !== "number" || wait < 0 || wait > MAX_WAIT_SECONDS) {
        throw new Problem("invalid_request", {
          detail: `\`wait_seconds\` must be a number from 0 to ${MAX_WAIT_SECONDS}`,
        });
      }
      const mine = async (approval: Approval | undefined) => {
        // Its agent, through whichever key: an approval outlives the rotation of a key, as it does when it is used.
        if (approval === undefined || approval.agent !== principal.agent || approval.tenant !== principal.tenant) {
          throw new Problem("not_found", {
            detail: "there is no such approval",
            remedy: "Use the `approval_id` of the refusal.",
          });
        }
        return approval;
      };
      const now = await mine(await deps.approvals.get(id, deps.now()));
      const options = { ms: wait * 1_000, clock: deps.now, ...(signal === undefined ? {} : { signal }) };
      const approval = wait > 0 && now.status === "pending" ? await mine(await deps.approvals.wait(id, options)) : now;
      return structured({
        id: approval.id,
        status: approval.status,
        expires_at: approval.expiresAt.toISOString(),
        ...(approval.why === undefined ? {} : { why: approval.why }),
      });
    },
  };
}
