import type { Snapshot } from "../policy/snapshot.ts";
import type { StartBackoff } from "./start-backoff.ts";
import type { Upstream } from "./upstream.ts";
import type { UpstreamStatus } from "./upstreams.ts";
import { configDigest } from "./wanted-connection.ts";

/** A connection, as far as it is told of. */
export interface StatedUpstream {
  readonly upstream: Upstream;
  readonly digest: string;
  readonly state: "starting" | "ready";
  readonly startedAt: Date;
}

/** What runs, and which servers lately failed and do not run. */
export function upstreamStatus(
  stated: readonly StatedUpstream[],
  services: Snapshot["services"],
  troubles: Troubles,
): readonly UpstreamStatus[] {
  const running = new Set(stated.map(({ digest }) => digest));
  return [...stated.map((each) => statusOf(each, troubles)), ...failures(services, troubles, running)];
}

/** What is known of servers that fail, and since when one is silent. */
interface Troubles extends Pick<StartBackoff, "last"> {
  since(service: string): Date | undefined;
}

function statusOf({ upstream, state, startedAt }: StatedUpstream, troubles: Troubles): UpstreamStatus {
  const { service } = upstream;
  const link = upstream.link;
  return {
    service: service.config.name,
    state,
    transport: service.config.server.transport,
    era: state === "ready" ? upstream.connection.era : undefined,
    mode: link?.facts.mode,
    limits: link?.facts.limits,
    calls: upstream.calls.size,
    startedAt,
    ignored: Object.values(link?.ignored() ?? {}).reduce((sum, count) => sum + count, 0),
    stderr: (link?.stderr() ?? []).map((line) => String(upstream.scrub({ line })["line"])),
    failure: undefined,
    silentSince: troubles.since(service.config.name),
  };
}

function failures(
  services: Snapshot["services"],
  troubles: Troubles,
  running: ReadonlySet<string>,
): readonly UpstreamStatus[] {
  return [...services.values()].flatMap((service) => {
    if (service.kind !== "mcp") return [];
    const digest = configDigest(service);
    const last = troubles.last(digest);
    if (last === undefined || running.has(digest)) return [];
    return {
      service: service.config.name,
      state: "failed" as const,
      transport: service.config.server.transport,
      era: undefined,
      mode: undefined,
      limits: undefined,
      calls: 0,
      startedAt: last.at,
      ignored: 0,
      stderr: [],
      failure: last.problem.message,
      silentSince: troubles.since(service.config.name),
    };
  });
}
