import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { addAgent, hasEntry, setAgentRoles } from "../config/config-edits.ts";
import { AUTH_METHODS, agentNameOf, type OAuthClient, type OAuthClients } from "../oauth/oauth-clients.ts";
import type { RegistrationTokens } from "../oauth/registration-tokens.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { type AdminAction, optionalNumber, optionalText, textArgument, textList } from "./admin-action.ts";
import type { EditRules } from "./edit-rules.ts";

const HOUR_SECONDS = 3_600;

export interface ClientActionsDeps {
  readonly clients: OAuthClients;
  readonly registrationTokens: RegistrationTokens;
  readonly snapshot: () => Snapshot;
  readonly editRules: EditRules;
  /** The issuer. */
  readonly publicUrl: () => string;
  readonly now: () => Date;
}

/** `agent.client`, `agent.adopt` and their kin: OAuth clients, and whom they act as. */
export function clientActions(deps: ClientActionsDeps): readonly AdminAction[] {
  const { clients, snapshot, now } = deps;
  const mustExist = (agent: string) => {
    if (snapshot().agents.has(agent)) return;
    throw new Problem("not_found", {
      detail: `there is no agent \`${agent.slice(0, 64)}\` in doorward.yaml`,
      remedy: "Add it with `doorward agent add NAME --role ROLE`.",
    });
  };
  /** Puts an agent into the file, or leaves the one that is there when no role is named. */
  const ensureAgent = (name: string, roles: readonly string[]) =>
    deps.editRules((document) => {
      if (!hasEntry(document, "agents", name)) addAgent(document, name, { roles: [...roles] });
      else if (roles.length > 0) setAgentRoles(document, name, roles);
    });

  return [
    {
      name: "agent.client",
      proof: "owner",
      async run(args, by) {
        const agent = textArgument(args, "name");
        mustExist(agent);
        const wanted = optionalText(args, "auth") ?? "client_secret_basic";
        const auth = AUTH_METHODS.find((method) => method === wanted);
        if (auth === undefined) {
          throw new Problem("invalid_request", { detail: `\`auth\` must be one of ${AUTH_METHODS.join(", ")}` });
        }
        const jwks = args["jwks"] as JsonObject | undefined;
        const subject = optionalText(args, "subject");
        const { client, secret } = await clients.issue({ agent, auth, jwks, subject, by, now: now() });
        return {
          agent,
          client_id: client.id,
          ...(secret === undefined ? {} : { client_secret: secret }),
          auth,
          issuer: deps.publicUrl(),
          token_endpoint: `${deps.publicUrl()}/oauth/token`,
        };
      },
    },
    {
      name: "agent.adopt",
      proof: "owner",
      async run(args, by) {
        const id = textArgument(args, "client_id");
        const agent = textArgument(args, "name");
        const client = clients.find(id);
        if (client !== undefined && client.agent === undefined) await ensureAgent(agent, textList(args, "roles"));
        await clients.adopt({ id, agent, by });
        return { agent, client_id: id };
      },
    },
    {
      name: "agent.registration-token",
      proof: "owner",
      async run(args, by) {
        const roles = textList(args, "roles");
        const agent = optionalText(args, "name") ?? `ci-${roles[0] ?? "client"}`;
        await ensureAgent(agent, roles);
        const { token, expiresAt } = await deps.registrationTokens.issue({
          agent,
          uses: optionalNumber(args, "uses") ?? 1,
          ttlSeconds: optionalNumber(args, "ttl_seconds") ?? HOUR_SECONDS,
          by,
          now: now(),
        });
        return { registration_token: token, agent, expires_at: expiresAt.toISOString() };
      },
    },
    { name: "agent.clients", proof: "key", run: () => ({ clients: clients.list().map(shown) }) },
  ];
}

function shown(client: OAuthClient) {
  const { id, kind, agent, metadata, createdAt, revokedAt } = client;
  return {
    client_id: id,
    kind,
    agent: agent ?? null,
    acts_as: agentNameOf(client),
    name: metadata["client_name"] ?? null,
    redirect_uris: metadata["redirect_uris"] ?? [],
    auth: metadata["token_endpoint_auth_method"] ?? null,
    created_at: createdAt.toISOString(),
    revoked_at: revokedAt?.toISOString() ?? null,
  };
}
