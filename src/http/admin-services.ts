import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { addService, hasEntry, removeService } from "../config/config-edits.ts";
import type { ServiceConfig } from "../config/schema.ts";
import { SERVICE_PRESETS } from "../config/service-presets.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { Vault } from "../vault/create-vault.ts";
import { type AdminAction, optionalText, textArgument, textList } from "./admin-action.ts";
import type { EditRules } from "./edit-rules.ts";

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
  const shown = ({ name, url, description, environment, tenant, credential, operations }: ServiceConfig) => ({
    name,
    url: url.origin + url.basePath,
    description: description ?? null,
    environment: environment ?? null,
    tenant: tenant ?? null,
    credential: credential === undefined ? null : { ...credential },
    operations: [...operations.values()].map(({ name: operation, effect, allow }) => ({
      scope: `${name}:${operation}`,
      effect,
      allow,
    })),
    held: vault
      .heldPairings()
      .filter(({ service }) => service === name)
      .map(({ ref, why }) => ({ secret: ref, why })),
  });

  return [
    {
      name: "service.list",
      proof: "key",
      run: () => ({ services: [...snapshot().services.values()].map(({ config }) => shown(config)) }),
    },
    { name: "service.show", proof: "key", run: (args) => shown(find(textArgument(args, "name"))) },
    {
      name: "service.add",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const entry = serviceEntry(args);
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
        return shown(find(name));
      },
    },
    {
      name: "service.remove",
      proof: "owner",
      async run(args) {
        const { name } = find(textArgument(args, "name"));
        await deps.editRules((document) => void removeService(document, name));
        await vault.unbindService(name);
        return { removed: name };
      },
    },
    {
      name: "service.confirm",
      proof: "owner",
      async run(args, by) {
        const { name } = find(textArgument(args, "name"));
        const bound = await vault.confirmService(name, by, now());
        return { service: name, bound: bound.map(({ ref, origin }) => ({ secret: ref, origin })) };
      },
    },
    { name: "service.test", proof: "key", run: (args) => deps.test(find(textArgument(args, "name")).name) },
  ];
}

const EFFECTS = ["read", "write", "destructive"];

/** The entry as it is written into the file; the file's own check judges its values. */
function serviceEntry(args: JsonObject): { readonly [key: string]: unknown } {
  const effect = optionalText(args, "effect") ?? "read";
  if (!EFFECTS.includes(effect))
    throw new Problem("invalid_request", { detail: `\`effect\` must be one of ${EFFECTS.join(", ")}` });
  const allow = textList(args, "allow");
  const description = optionalText(args, "description");
  return {
    url: textArgument(args, "url"),
    ...(description === undefined ? {} : { description }),
    ...(args["private"] === true ? { private: true } : {}),
    ...credentialEntry(args["credential"]),
    ...presetEntry(optionalText(args, "preset")),
    operations: { [effect]: { effect, allow: allow.length > 0 ? [...allow] : ["GET /{path...}"] } },
  };
}

function presetEntry(name: string | undefined): object {
  if (name === undefined) return {};
  const preset = SERVICE_PRESETS.get(name);
  if (preset === undefined) {
    throw new Problem("invalid_request", {
      detail: `there is no preset \`${name.slice(0, 64)}\``,
      remedy: `Use one of ${[...SERVICE_PRESETS.keys()].join(", ")}, or none.`,
    });
  }
  return { headers: { allow: [...preset.headers] } };
}

function credentialEntry(value: JsonValue | undefined): object {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new Problem("invalid_request", { detail: "`credential` must be an object" });
  const { secret, ...rest } = value as JsonObject;
  if (typeof secret !== "string")
    throw new Problem("invalid_request", { detail: "`credential.secret` must be a text" });
  return { credential: { ...rest, secret: secret.includes(":") ? secret : `local:${secret}` } };
}
