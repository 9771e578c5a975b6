import type { JsonObject } from "../base/json.ts";
import type { SignedContext } from "../identity/principal.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { structured, type Tool } from "./tool.ts";
import { noArguments } from "./tool-arguments.ts";

const OUTPUT = {
  type: "object",
  required: ["agent", "client", "purposes", "token", "limits"],
  properties: {
    agent: { type: "string" },
    client: { type: "string" },
    tenant: { type: ["string", "null"] },
    environment: { type: ["string", "null"] },
    purposes: { type: "array", items: { type: "string" } },
    token: { type: "object" },
    context: { type: "object", description: "What your token is for; a call that states anything else is denied" },
    scopes: { type: "array", items: { type: "string" } },
    limits: { type: "array", items: { type: "object" } },
  },
} as const satisfies JsonObject;

/** `doorward_whoami`: who the caller is proven to be, and what bounds it. */
export function createWhoamiTool(deps: { readonly snapshot: () => Snapshot }): Tool {
  return {
    definition: {
      name: "doorward_whoami",
      title: "Who am I",
      description:
        "Tells which agent you are to Doorward, your tenant, environment and purposes, and when your token expires.",
      inputSchema: { type: "object", additionalProperties: false, properties: {} },
      outputSchema: OUTPUT,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    run(args, { principal }) {
      noArguments(args);
      const agent = deps.snapshot().agents.get(principal.agent);
      const rates = (agent?.roles ?? []).flatMap(({ rule, rate }) =>
        rate === undefined ? [] : [{ rule, count: rate.count, per_seconds: rate.perSeconds }],
      );
      return structured({
        agent: principal.agent,
        client: principal.client,
        ...(principal.user === undefined ? {} : { user: principal.user }),
        tenant: principal.tenant ?? null,
        environment: principal.environment ?? null,
        purposes: agent?.config.purposes ?? [],
        token: { kind: principal.token.kind, expires_at: principal.token.expiresAt.toISOString() },
        ...(principal.signed === undefined ? {} : { context: contextOf(principal.signed) }),
        ...(principal.scopes === undefined ? {} : { scopes: [...principal.scopes] }),
        limits: rates,
      });
    },
  };
}

function contextOf(signed: SignedContext): JsonObject {
  return Object.fromEntries(Object.entries(signed).filter(([, value]) => value !== undefined)) as JsonObject;
}
