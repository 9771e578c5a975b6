import type { ActiveCalls } from "../broker/active-calls.ts";
import type { LegacySse } from "../mcp/legacy-sse.ts";
import type { Sessions } from "../mcp/sessions.ts";
import type { Subscriptions } from "../mcp/subscriptions.ts";
import { coverOf, indexKills, type Kill, killOfService } from "../policy/kills.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { ExecSessions } from "../sandbox/exec-sessions.ts";
import type { Upstreams } from "../upstreams/upstreams.ts";
import type { Vault } from "../vault/create-vault.ts";

/** What a kill cut on this node, before anything was written. */
export interface KillEffect {
  readonly streams: number;
  readonly leases: number;
  /** MCP servers that are being ended; resolves when they are. */
  readonly children: Promise<number>;
  /** Short-lived tokens that are being taken back; resolves when that is durable. */
  readonly tokens: Promise<number>;
}

export interface KillEffectsDeps {
  readonly active: Pick<ActiveCalls, "cut">;
  readonly vault: Pick<Vault, "dropLeases">;
  readonly snapshot: () => Pick<Snapshot, "services">;
  readonly sessions: Pick<Sessions, "silence">;
  readonly subscriptions: () => Pick<Subscriptions, "endAll">;
  readonly sse: () => Pick<LegacySse, "endAll">;
  readonly servers: () => {
    readonly upstreams: Pick<Upstreams, "dropParked" | "stopService">;
    readonly execSessions: Pick<ExecSessions, "cut">;
  };
  readonly revokeKilled: (kill: Kill) => Promise<number>;
}

/** What kills do to what is under way. */
export interface KillEffects {
  /** Ends all that a kill covers: calls, streams, leases, servers, commands, tokens. Nothing waits. */
  apply(kill: Kill): void;
  /** What {@link KillEffects.apply} did for a target, told once. */
  take(target: string): KillEffect | undefined;
  /** Ends the calls and streams that a kill covers, and nothing else. @returns How many streams were cut. */
  cutStreams(kill: Kill): number;
}

export function createKillEffects(deps: KillEffectsDeps): KillEffects {
  const { active, vault, sessions } = deps;
  const effects = new Map<string, KillEffect>();
  const cutStreams = (kill: Kill): number => {
    const covered = coverOf(kill);
    const { streams } = active.cut(kill);
    return streams + sessions.silence(covered) + deps.subscriptions().endAll(covered) + deps.sse().endAll(covered);
  };
  /** Ends the MCP servers that a kill covers whole, and the commands of whom it names. */
  const endChildren = async (kill: Kill): Promise<number> => {
    const order = indexKills([kill]);
    const covered = [...deps.snapshot().services.values()].filter(
      (service) => service.kind === "mcp" && (kill.target === "all" || killOfService(order, service) !== undefined),
    );
    const { upstreams, execSessions } = deps.servers();
    upstreams.dropParked(kill);
    const commands = execSessions.cut(kill);
    const ended = await Promise.all(covered.map(({ config }) => upstreams.stopService(config.name)));
    return ended.reduce((sum, children) => sum + children, commands);
  };
  return {
    apply(kill) {
      const streams = cutStreams(kill);
      const leases = vault.dropLeases((lease) => coversLease(kill.target, lease));
      const [children, tokens] = [endChildren(kill), deps.revokeKilled(kill)];
      // They are looked at when the kill is durable, or never: one that fails until then must not end the process.
      for (const work of [children, tokens]) work.catch(() => {});
      effects.set(kill.target, { streams, leases, children, tokens });
    },
    take(target) {
      const effect = effects.get(target);
      effects.delete(target);
      return effect;
    },
    cutStreams,
  };
}

function coversLease(target: string, { ref, service }: { readonly ref: string; readonly service: string }): boolean {
  if (target === "all" || target === `service:${service}`) return true;
  return target === `secret:${ref}` || (ref.startsWith("local:") && target === `secret:${ref.slice("local:".length)}`);
}
