import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import type { ByteBudget } from "../broker/byte-budget.ts";
import { collectAnswer } from "../broker/collect-answer.ts";
import type { Broker } from "../broker/create-broker.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledService, Snapshot } from "../policy/snapshot.ts";
import type { Vault } from "../vault/create-vault.ts";
import type { ServiceTest } from "./admin-services.ts";
import type { LookAtServer } from "./look-at-server.ts";

/** Who asks when the owner tries a service out; no agent can have this name. */
const OWNER = "(owner)";

/**
 * Makes the function that tries a service out: its secret, its address, its TLS, and one harmless read.
 *
 * The read is a call like any other, through the broker and in the evidence. A service without an operation that reads
 * a fixed path is tried without one.
 */
export function createServiceTest(deps: {
  readonly broker: Broker;
  readonly budget: ByteBudget;
  readonly snapshot: () => Snapshot;
  readonly vault: Pick<Vault, "lease">;
  readonly now: () => Date;
  /** Starts or reaches an MCP server and lists what it offers. */
  readonly look: LookAtServer;
}): (service: string) => Promise<ServiceTest> {
  return async (name) => {
    const service = deps.snapshot().services.get(name);
    if (service === undefined) throw new Problem("not_found");
    const secret = await trySecret(deps, service);
    if (secret !== "ok" && secret !== "none") return { ok: false, secret };
    if (service.config.kind === "mcp") return { ...(await tryServer(deps.look, name)), secret };
    const path = fixedRead(service);
    if (path === undefined)
      return { ok: true, secret, request: null, note: "no operation reads a fixed path, so nothing was sent" };
    try {
      const { head } = await collectAnswer(
        deps.broker.call,
        {
          requestId: newId("req"),
          door: "mcp",
          principal: ownerPrincipal(deps.now()),
          service: name,
          raw: { method: "GET", target: path, headers: [], body: undefined },
          publicBase: undefined,
          own: { rule: "owner:service-test" },
        },
        { budget: deps.budget },
      );
      return { ok: head.status < 400, secret, request: `GET ${path}`, status: head.status };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return {
        ok: false,
        secret,
        request: `GET ${path}`,
        code: error.code,
        detail: error.message,
        reason: error.reason ?? null,
      };
    }
  };
}

/** Asks a server for what it offers, which no agent's rule decides on and nothing of which is called. */
async function tryServer(look: LookAtServer, name: string): Promise<ServiceTest> {
  try {
    const { surface, held } = await look(name);
    const { tools, prompts, resources, resourceTemplates } = surface;
    return {
      ok: true,
      tools: tools.map((tool) => tool["name"] ?? null),
      prompts: prompts.map((prompt) => prompt["name"] ?? null),
      resources: resources.length + resourceTemplates.length,
      held: held.map((pin) => `${pin.kind} ${pin.name}`),
    };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { ok: false, code: error.code, detail: error.message, remedy: error.remedy, reason: error.reason ?? null };
  }
}

async function trySecret(
  deps: { readonly vault: Pick<Vault, "lease">; readonly now: () => Date },
  { config }: CompiledService,
): Promise<string> {
  const pairings = pairingsOf(config);
  if (pairings.length === 0) return "none";
  try {
    for (const { ref, service, origin } of pairings) await deps.vault.lease(ref, { service, origin }, deps.now());
    return "ok";
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error.reason ?? error.message;
  }
}

/** The path of a read that needs nothing filled in; a pattern for the rest of a path stands for its root. */
function fixedRead({ operations }: CompiledService): string | undefined {
  for (const { effect, config } of operations.values()) {
    if (effect !== "read") continue;
    for (const pattern of config.allow) {
      const [method, path = ""] = pattern.split(" ");
      if (method !== "GET" && method !== "*") continue;
      const root = path.replace(/\{[a-z_]+\.\.\.\}$/i, "");
      if (!root.includes("{")) return root;
    }
  }
  return undefined;
}

/** The owner, as the evidence names who asked. */
export function ownerPrincipal(now: Date): Principal {
  return {
    agent: OWNER,
    client: OWNER,
    user: undefined,
    tenant: undefined,
    environment: undefined,
    purpose: undefined,
    task: undefined,
    ip: "unix",
    token: { kind: "api_key", id: OWNER, expiresAt: now },
  };
}
