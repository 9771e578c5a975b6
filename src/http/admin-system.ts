import type { Approvals } from "../approvals/approvals.ts";
import type { KillOrders } from "../approvals/create-kills.ts";
import type { FileAuditLog } from "../audit/file-audit-log.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Explainer } from "../broker/explain-call.ts";
import type { RulesInForce } from "../broker/rules-in-force.ts";
import { DEFAULT_ENVIRONMENT } from "../identity/api-key.ts";
import type { ApiKeys } from "../identity/api-keys.ts";
import type { Principal } from "../identity/principal.ts";
import type { UpstreamStatus } from "../upstreams/upstreams.ts";
import type { Vault } from "../vault/create-vault.ts";
import type { Owner } from "../vault/owner.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";
import { KEY_WARNING_MS } from "./admin-agents.ts";

export interface SystemActionsDeps {
  readonly audit: FileAuditLog;
  readonly rules: RulesInForce;
  readonly owner: Owner;
  readonly kills: KillOrders;
  readonly vault: Vault;
  readonly approvals: Approvals;
  readonly keys: ApiKeys;
  readonly explainer: Explainer;
  /** The MCP servers that run, or lately failed. */
  readonly servers: () => readonly UpstreamStatus[];
  readonly now: () => Date;
  /** What the process knows of itself. */
  readonly facts: () => { readonly [name: string]: unknown };
}

/** `status`, `policy.*`, `audit.checkpoint`, `owner.*`: the house itself. */
export function systemActions(deps: SystemActionsDeps): readonly AdminAction[] {
  const { audit, rules, owner, now } = deps;
  return [
    { name: "status", proof: "nothing", run: () => status(deps) },
    {
      name: "audit.checkpoint",
      proof: "nothing",
      run: async () => ({ checkpoint: await audit.checkpoint(), public_key: audit.publicKey }),
    },
    {
      name: "policy.reload",
      proof: "key",
      run: async () => rules.load("signal"),
    },
    { name: "policy.accept", proof: "owner", run: async () => rules.load("owner") },
    { name: "policy.explain", proof: "key", run: (args) => deps.explainer(explained(deps, args)) },
    {
      name: "owner.passphrase",
      proof: "owner",
      async run(args) {
        const current = optionalText(args, "current");
        const checked = await owner.setPassphrase(
          { next: textArgument(args, "next"), ...(current === undefined ? {} : { current }) },
          now(),
        );
        if (!checked.ok) throw new Problem("denied", { detail: "the passphrase in force is needed to change it" });
        return { level: owner.level() };
      },
    },
  ];
}

async function status({
  audit,
  rules,
  owner,
  kills,
  vault,
  approvals,
  keys,
  servers,
  now,
  facts,
}: SystemActionsDeps): Promise<object> {
  const { snapshot, loadedAt, findings, warnings } = rules.state();
  const { approvals: pending } = await approvals.list({ statuses: ["pending"], now: now() });
  const soon = now().getTime() + KEY_WARNING_MS;
  return {
    ...facts(),
    assurance: owner.level(),
    owner_record: owner.damaged() ? "damaged" : "ok",
    rules: {
      snapshot: snapshot ?? null,
      loaded_at: loadedAt?.toISOString() ?? null,
      current: snapshot !== undefined && findings.length === 0,
      findings,
      warnings,
    },
    audit: { available: audit.unavailable() === undefined, reason: audit.unavailable() ?? null, ...audit.head() },
    kills: kills
      .list()
      .map(({ target, why, setBy, setAt }) => ({ target, why, set_by: setBy, set_at: setAt.toISOString() })),
    held_secrets: vault.heldPairings(),
    approvals_pending: pending.length,
    servers: servers().map(describeServer),
    keys_ending: keys
      .list()
      .filter(({ revokedAt, expiresAt }) => revokedAt === undefined && expiresAt > now() && expiresAt.getTime() < soon)
      .map(({ id, agent, expiresAt }) => ({ key_id: id, agent, expires_at: expiresAt.toISOString() })),
  };
}

function describeServer(server: UpstreamStatus): object {
  const { startedAt, era, mode, limits, failure, silentSince, ...rest } = server;
  return {
    ...rest,
    era: era ?? null,
    mode: mode ?? null,
    limits: limits ?? null,
    failure: failure ?? null,
    silent_since: silentSince?.toISOString() ?? null,
    started_at: startedAt.toISOString(),
  };
}

/** The call that `policy explain` describes, asked by the agent it names. */
function explained({ rules, now }: SystemActionsDeps, args: JsonObject): Parameters<Explainer>[0] {
  const name = textArgument(args, "agent");
  const agent = rules.snapshot().agents.get(name)?.config;
  const body = optionalText(args, "body");
  const headers: [string, string][] = Object.entries((args["headers"] as JsonObject | undefined) ?? {}).map(
    ([key, value]) => [key.toLowerCase(), String(value as JsonValue)],
  );
  if (body !== undefined && !headers.some(([key]) => key === "content-type"))
    headers.push(["content-type", "application/json"]);
  const principal: Principal = {
    agent: name,
    client: optionalText(args, "client") ?? "explain",
    user: undefined,
    tenant: agent?.tenant,
    environment: agent?.environment ?? (agent === undefined ? DEFAULT_ENVIRONMENT : undefined),
    purpose: optionalText(args, "purpose"),
    task: optionalText(args, "task"),
    ip: optionalText(args, "ip") ?? "127.0.0.1",
    token: { kind: "api_key", id: "explain", expiresAt: now() },
  };
  const raw = {
    method: textArgument(args, "method"),
    target: textArgument(args, "path"),
    headers,
    body: body === undefined ? undefined : Buffer.from(body, "utf8"),
  };
  return { principal, service: textArgument(args, "service"), raw, door: "api" };
}
