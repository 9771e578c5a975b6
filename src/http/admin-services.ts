import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { addService, type FileEntry, hasEntry, removeService, setOperations } from "../config/config-edits.ts";
import { PEOPLE_PAIRING } from "../config/credential-pairings.ts";
import type { CredentialConfig, ServiceConfig } from "../config/schema.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { Pins } from "../upstreams/pins.ts";
import { proposeOperations } from "../upstreams/surface-proposal.ts";
import type { Vault } from "../vault/create-vault.ts";
import { type AdminAction, textArgument } from "./admin-action.ts";
import type { EditRules } from "./edit-rules.ts";
import type { LookAtServer } from "./look-at-server.ts";
import { httpServiceEntry, mcpServiceEntry } from "./service-entry.ts";

/** What a try-out of a service found. */
export interface ServiceTest {
  readonly [field: string]: JsonValue;
}

export interface ServiceActionsDeps {
  readonly vault: Vault;
  readonly snapshot: () => Snapshot;
  readonly editRules: EditRules;
  /** Fetches the credential and reaches the service once; a recorded call. */
  readonly test: (service: string) => Promise<ServiceTest>;
  readonly pins: Pick<Pins, "list" | "forget">;
  /** Since when listings go without a server that did not answer in time. */
  readonly silentSince: (service: string) => Date | undefined;
  /** Starts an MCP server and lists what it offers. */
  readonly look: LookAtServer;
  /** Ends the sign-ins at an MCP server, while the file still has it. */
  readonly forgetLogins: (service: string, by: string) => Promise<void>;
  readonly now: () => Date;
}

/** `service.*`: the services of the file. */
export function serviceActions(deps: ServiceActionsDeps): readonly AdminAction[] {
  const { vault, snapshot, now } = deps;
  const find = (name: string): ServiceConfig => {
    const service = snapshot().services.get(name);
    if (service !== undefined) return service.config;
    throw new Problem("not_found", {
      detail: `there is no service \`${name.slice(0, 64)}\``,
      remedy: "See `doorward service list`.",
    });
  };
  const shown = (service: ServiceConfig) => ({ name: service.name, ...placeOf(service), ...rulesOf(service) });
  const rulesOf = ({ name, description, environment, tenant, credential, operations }: ServiceConfig) => ({
    description: description ?? null,
    environment: environment ?? null,
    tenant: tenant ?? null,
    credential: credential === undefined ? null : shownCredential(credential),
    operations: [...operations.values()].map(({ name: operation, effect, allow, tools, prompts, resources }) => ({
      scope: `${name}:${operation}`,
      effect,
      allow,
      ...(tools.length === 0 ? {} : { tools }),
      ...(prompts.length === 0 ? {} : { prompts }),
      ...(resources.length === 0 ? {} : { resources }),
    })),
    held: vault
      .heldPairings()
      .filter(({ service }) => service === name)
      .map(({ ref, why }) => ({ secret: ref, why })),
  });
  const withPins = (service: ServiceConfig) => {
    if (service.kind !== "mcp") return shown(service);
    const held = deps.pins.list(service.name).filter(({ state }) => state === "held");
    const silent = deps.silentSince(service.name)?.toISOString();
    const notes = silent === undefined ? {} : { silent_since: silent };
    return {
      ...shown(service),
      ...notes,
      held_items: held.map(({ kind, name, why }) => ({ kind, name, why: why ?? null })),
    };
  };
  const remove = async (name: string) => {
    await deps.editRules((document) => void removeService(document, name));
    await vault.unbindService(name);
    await deps.pins.forget(name);
  };
  /** Writes operations for what a new server offers; without a look at it nothing is known, so the entry goes again. */
  const propose = async (name: string): Promise<FileEntry> => {
    try {
      const { surface } = await deps.look(name);
      const operations = proposeOperations(surface);
      if (Object.keys(operations).length === 0)
        throw new Problem("upstream_invalid", { detail: `the server offers nothing that may be used` });
      await deps.editRules((document) => setOperations(document, name, operations));
      return operations as FileEntry;
    } catch (error) {
      await remove(name);
      throw error instanceof Problem ? notAdded(error) : error;
    }
  };

  return [
    {
      name: "service.list",
      proof: "key",
      run: () => ({ services: [...snapshot().services.values()].map(({ config }) => withPins(config)) }),
    },
    { name: "service.show", proof: "key", run: (args) => withPins(find(textArgument(args, "name"))) },
    {
      name: "service.add",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const entry = args["mcp"] === undefined ? httpServiceEntry(args) : mcpServiceEntry(args);
        await deps.editRules((document) => {
          if (hasEntry(document, "services", name)) {
            throw new Problem("invalid_request", {
              detail: `there is a service \`${name}\` already`,
              remedy: "Edit doorward.yaml, or remove it first with `doorward service remove NAME`.",
            });
          }
          addService(document, name, entry);
        });
        // Adding it is the owner's word that this secret may go there.
        await vault.confirmService(name, by, now());
        const proposed = entry["operations"] === undefined ? await propose(name) : undefined;
        return { ...withPins(find(name)), proposed: proposed !== undefined };
      },
    },
    {
      name: "service.remove",
      proof: "owner",
      async run(args, by) {
        const { name } = find(textArgument(args, "name"));
        await deps.forgetLogins(name, by);
        await remove(name);
        return { removed: name };
      },
    },
    {
      name: "service.confirm",
      proof: "owner",
      async run(args, by) {
        const asked = textArgument(args, "name");
        const name = asked === PEOPLE_PAIRING ? asked : find(asked).name;
        const bound = await vault.confirmService(name, by, now());
        return { service: name, bound: bound.map(({ ref, origin }) => ({ secret: ref, origin })) };
      },
    },
    { name: "service.test", proof: "key", run: (args) => deps.test(find(textArgument(args, "name")).name) },
  ];
}

function notAdded(error: Problem): Problem {
  return new Problem(error.code, {
    detail: `the service was not added: ${error.message}`,
    remedy: `${error.remedy} Or name its tools with \`--tool\`, and it is not started now.`,
    fields: error.fields,
    cause: error,
  });
}

/** Where a service is. */
function placeOf(service: ServiceConfig): JsonObject {
  if (service.kind === "http") return { kind: "http", url: service.url.origin + service.url.basePath };
  const { server } = service;
  if (server.transport === "http") return { kind: "mcp", url: server.url.origin + server.url.basePath };
  return { kind: "mcp", command: [server.command, ...server.args], sandbox: server.sandbox.mode };
}

/** The credential's place; what it refers to, never the secret. */
function shownCredential(credential: CredentialConfig): JsonObject {
  const { hosts, ...rest } = { hosts: undefined, ...credential };
  const shown = hosts === undefined ? rest : { ...rest, hosts: hosts.map(({ host, port }) => `${host}:${port}`) };
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined)) as JsonObject;
}
