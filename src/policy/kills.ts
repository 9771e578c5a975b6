import type { Principal } from "../identity/principal.ts";

/** One stop order in force. */
export interface Kill {
  /** `agent:x`, `service:x`, `secret:x`, `tenant:x`, `operation:service:name`, `client:x`, `user:x` or `all`. */
  readonly target: string;
  readonly why: string;
  readonly setBy: string;
  readonly setAt: Date;
}

/** The kills of a snapshot, by target. */
export type Kills = ReadonlyMap<string, Kill>;

/** Which kinds of thing can be killed by name; `all` has no name. */
export const KILL_KINDS = ["agent", "service", "secret", "tenant", "operation", "client", "user"] as const;

/** Indexes kills by target. Of several with one target the first set stands. */
export function indexKills(kills: Iterable<Kill>): Kills {
  const index = new Map<string, Kill>();
  for (const kill of kills) {
    const known = index.get(kill.target);
    if (known === undefined || kill.setAt < known.setAt) index.set(kill.target, kill);
  }
  return index;
}

/** What a kill can name of who asks. */
export type Killable = Pick<Principal, "agent" | "client" | "user" | "tenant">;

/** What a kill can name of a service. */
interface KillableService {
  readonly config: {
    readonly name: string;
    readonly tenant?: string | undefined;
    readonly credential: { readonly secret: string | undefined } | undefined;
  };
}

/**
 * The kill that stops a call: of everything, of who asks, of what is asked for.
 *
 * @param call - `scopes` are those of the operations that matched.
 * @returns The widest one; `undefined` when none is in force.
 */
export function findKill(
  kills: Kills,
  call: { readonly principal: Principal; readonly service: KillableService; readonly scopes: readonly string[] },
): Kill | undefined {
  if (kills.size === 0) return undefined;
  return (
    killOfPrincipal(kills, call.principal) ??
    killOfService(kills, call.service) ??
    firstKill(
      kills,
      call.scopes.map((scope) => `operation:${scope}`),
    )
  );
}

/** The kill that stops this principal whatever it asks for. */
export function killOfPrincipal(kills: Kills, { agent, client, user, tenant }: Killable): Kill | undefined {
  if (kills.size === 0) return undefined;
  const targets = ["all", `agent:${agent}`, `client:${client}`];
  if (user !== undefined) targets.push(`user:${user}`);
  // Whose id is `user:NAME` can be stopped by it as it stands everywhere.
  if (user?.startsWith("user:")) targets.push(user);
  return firstKill(kills, tenant === undefined ? targets : [...targets, `tenant:${tenant}`]);
}

/** Whether one kill stops a principal, whatever it asks for. */
export function coverOf(kill: Kill): (who: Killable) => boolean {
  const kills = indexKills([kill]);
  return (who) => killOfPrincipal(kills, who) !== undefined;
}

/**
 * The kill that stops every call of a service: its own, its tenant's, or its secret's.
 *
 * `secret:NAME` stops the reference `local:NAME`; any reference can be named in full.
 */
export function killOfService(kills: Kills, { config }: KillableService): Kill | undefined {
  if (kills.size === 0) return undefined;
  const targets = [`service:${config.name}`];
  if (config.tenant !== undefined) targets.push(`tenant:${config.tenant}`);
  const secret = config.credential?.secret;
  if (secret !== undefined) targets.push(`secret:${secret}`);
  if (secret?.startsWith("local:")) targets.push(`secret:${secret.slice("local:".length)}`);
  return firstKill(kills, targets);
}

/** The kill that stops one operation; `scope` is `service:name`. */
export function killOfOperation(kills: Kills, scope: string): Kill | undefined {
  return kills.size === 0 ? undefined : kills.get(`operation:${scope}`);
}

function firstKill(kills: Kills, targets: readonly string[]): Kill | undefined {
  for (const target of targets) {
    const kill = kills.get(target);
    if (kill !== undefined) return kill;
  }
  return undefined;
}
