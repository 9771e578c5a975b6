import { Problem } from "../base/problem.ts";
import { addAgent, hasEntry, setAgentRoles } from "../config/config-edits.ts";
import { DEFAULT_ENVIRONMENT } from "../identity/api-key.ts";
import type { ApiKeys, ListedKey } from "../identity/api-keys.ts";
import { writeAgentKey } from "../identity/write-agent-key.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { type AdminAction, optionalNumber, textArgument, textList } from "./admin-action.ts";
import type { EditRules } from "./edit-rules.ts";

export interface AgentActionsDeps {
  readonly keys: ApiKeys;
  readonly home: string;
  readonly snapshot: () => Snapshot;
  readonly editRules: EditRules;
  readonly now: () => Date;
}

/** `agent.*`: agents of the file, and their keys. */
export function agentActions(deps: AgentActionsDeps): readonly AdminAction[] {
  const { keys, snapshot, now } = deps;

  const issue = async (agent: string, args: Parameters<AdminAction["run"]>[0], by: string) => {
    const config = snapshot().agents.get(agent)?.config;
    if (config === undefined) throw noSuchAgent(agent);
    const environment = config.environment ?? DEFAULT_ENVIRONMENT;
    const ttlSeconds = optionalNumber(args, "ttl_seconds");
    const issued = await keys.issue({ agent, environment, by, now: now(), ttlSeconds });
    const file = args["print_only"] === true ? undefined : await writeAgentKey(deps.home, agent, issued.key);
    return {
      agent,
      key: issued.key,
      key_id: issued.keyId,
      environment,
      expires_at: issued.expiresAt.toISOString(),
      ...(file === undefined ? {} : { file }),
    };
  };

  const list = () =>
    [...snapshot().agents.values()].map(({ config }) => ({
      name: config.name,
      roles: config.roles,
      tenant: config.tenant ?? null,
      environment: config.environment ?? null,
      purposes: config.purposes,
      expires: config.expires?.toISOString() ?? null,
      keys: keys
        .list()
        .filter(({ agent }) => agent === config.name)
        .map(shownKey),
    }));

  return [
    {
      name: "agent.add",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const roles = textList(args, "roles");
        await deps.editRules((document) => {
          if (!hasEntry(document, "agents", name)) addAgent(document, name, { roles: [...roles] });
          else if (roles.length > 0) setAgentRoles(document, name, roles);
        });
        return issue(name, args, by);
      },
    },
    { name: "agent.key", proof: "owner", run: (args, by) => issue(textArgument(args, "name"), args, by) },
    {
      name: "agent.rotate",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const old = keys.list().filter((key) => key.agent === name && isLive(key, now()));
        const issued = await issue(name, args, by);
        // The old ones stay valid, so that nothing stops in between; revoking them is the owner's next step.
        return { ...issued, still_valid: old.map(({ id }) => id) };
      },
    },
    {
      name: "agent.revoke",
      proof: "owner",
      async run(args, by) {
        const target = textArgument(args, "target");
        const known = keys.list().some(({ id, agent }) => id === target || agent === target);
        if (!known && !snapshot().agents.has(target)) {
          throw new Problem("not_found", {
            detail: `there is no agent or key \`${target.slice(0, 64)}\``,
            remedy: "See `doorward agent list`.",
          });
        }
        return { revoked: await keys.revoke({ target, by, now: now() }) };
      },
    },
    { name: "agent.list", proof: "key", run: () => ({ agents: list() }) },
    {
      name: "agent.show",
      proof: "key",
      run(args) {
        const name = textArgument(args, "name");
        const found = list().find((agent) => agent.name === name);
        if (found === undefined) throw noSuchAgent(name);
        return found;
      },
    },
  ];
}

function shownKey(key: ListedKey) {
  return {
    key_id: key.id,
    environment: key.environment,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt.toISOString(),
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  };
}

function isLive({ revokedAt, expiresAt }: ListedKey, now: Date): boolean {
  return revokedAt === undefined && expiresAt > now;
}

function noSuchAgent(name: string): Problem {
  return new Problem("not_found", {
    detail: `there is no agent \`${name.slice(0, 64)}\` in doorward.yaml`,
    remedy: "Add it with `doorward agent add NAME --role ROLE`.",
  });
}
