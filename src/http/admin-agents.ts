import { Problem } from "../base/problem.ts";
import { addAgent, hasEntry, setAgentRoles } from "../config/config-edits.ts";
import { DEFAULT_ENVIRONMENT } from "../identity/api-key.ts";
import type { ApiKeys, ListedKey } from "../identity/api-keys.ts";
import { writeAgentKey } from "../identity/write-agent-key.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { type AdminAction, optionalNumber, optionalText, textArgument, textList } from "./admin-action.ts";
import type { EditRules } from "./edit-rules.ts";
import type { RevokeTokens } from "./revoke-tokens.ts";

export interface AgentActionsDeps {
  readonly keys: ApiKeys;
  readonly home: string;
  readonly snapshot: () => Snapshot;
  readonly editRules: EditRules;
  readonly revoke: RevokeTokens;
  readonly now: () => Date;
}

/** `agent.*`: agents of the file, and their keys. */
export function agentActions(deps: AgentActionsDeps): readonly AdminAction[] {
  const { keys, snapshot, now } = deps;

  const issue = async (agent: string, args: Parameters<AdminAction["run"]>[0], by: string) => {
    const config = snapshot().agents.get(agent)?.config;
    if (config === undefined) throw noSuchAgent(agent);
    const environment = config.environment ?? DEFAULT_ENVIRONMENT;
    checkEnvironment(agent, environment, optionalText(args, "environment"));
    const ttlSeconds = optionalNumber(args, "ttl_seconds");
    const scopes = args["scopes"] === undefined ? undefined : textList(args, "scopes");
    const issued = await keys.issue({ agent, environment, by, now: now(), ttlSeconds, scopes });
    const file = args["print_only"] === true ? undefined : await writeAgentKey(deps.home, agent, issued.key);
    return {
      agent,
      key: issued.key,
      key_id: issued.keyId,
      environment,
      scopes: issued.scopes ?? null,
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
        .map((key) => shownKey(key, now())),
    }));

  return [
    {
      name: "agent.add",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const roles = textList(args, "roles");
        const environment = optionalText(args, "environment");
        await deps.editRules((document) => {
          if (!hasEntry(document, "agents", name))
            addAgent(document, name, { roles: [...roles], ...(environment === undefined ? {} : { environment }) });
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
        const overlapSeconds = optionalNumber(args, "overlap_seconds");
        if (overlapSeconds !== undefined) checkOverlap(overlapSeconds);
        const issued = await issue(name, { ...args, ...inherited(old, args) }, by);
        const ids = old.map(({ id }) => id);
        // Without an overlap the old ones stay valid: revoking them is the owner's next step.
        if (overlapSeconds !== undefined) await keys.retire({ ids, overlapSeconds, by, now: now() });
        const ends = keys.list().filter(({ id }) => ids.includes(id));
        return {
          ...issued,
          still_valid: ids,
          still_valid_until: Object.fromEntries(ends.map(({ id, expiresAt }) => [id, expiresAt.toISOString()])),
        };
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
        const { revoked, streams } = await deps.revoke({ target, by });
        return { revoked, streams_cut: streams };
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

/** Keys that end within this time are warned of: 7 days, in milliseconds. */
export const KEY_WARNING_MS = 7 * 86_400_000;
/** Whoever needs longer than this to take a new key keeps the old one. */
const OVERLAP_LIMIT_SECONDS = 30 * 86_400;

function shownKey(key: ListedKey, now: Date) {
  const live = isLive(key, now);
  const leftMs = key.expiresAt.getTime() - now.getTime();
  return {
    key_id: key.id,
    environment: key.environment,
    scopes: key.scopes ?? null,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt.toISOString(),
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    live,
    ends_soon: live && leftMs < KEY_WARNING_MS,
  };
}

function isLive({ revokedAt, expiresAt }: ListedKey, now: Date): boolean {
  return revokedAt === undefined && expiresAt > now;
}

/** A key is for the environment of its agent; whoever names another one is about to hand it to the wrong machine. */
function checkEnvironment(agent: string, environment: string, asked: string | undefined): void {
  if (asked === undefined || asked === environment) return;
  throw new Problem("invalid_request", {
    detail: `\`${agent}\` runs in \`${environment}\`, and its keys are for that alone`,
    remedy: "Add an agent of its own for the other environment.",
  });
}

function checkOverlap(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= OVERLAP_LIMIT_SECONDS) return;
  throw new Problem("invalid_request", {
    detail: "the old keys stay valid for at most 30 days",
    remedy: "Say how long with `--overlap 1h`, or leave it out and revoke them yourself.",
  });
}

/** The successor of keys that are narrowed is narrowed alike, unless the owner says to what. */
function inherited(old: readonly ListedKey[], args: Parameters<AdminAction["run"]>[0]) {
  if (args["scopes"] !== undefined) return {};
  const kinds = new Map(old.map(({ scopes }) => [scopes === undefined ? "" : [...scopes].sort().join(" "), scopes]));
  if (kinds.size > 1) {
    throw new Problem("invalid_request", {
      detail: "the keys of this agent are narrowed to different scopes",
      remedy: "Name the new key's scopes with `--scope`.",
    });
  }
  const [scopes] = kinds.values();
  return scopes === undefined ? {} : { scopes: [...scopes] };
}

function noSuchAgent(name: string): Problem {
  return new Problem("not_found", {
    detail: `there is no agent \`${name.slice(0, 64)}\` in doorward.yaml`,
    remedy: "Add it with `doorward agent add NAME --role ROLE`.",
  });
}
