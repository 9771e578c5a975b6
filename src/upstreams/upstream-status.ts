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
  backoff: Pick<StartBackoff, "last">,
): readonly UpstreamStatus[] {
  const running = new Set(stated.map(({ digest }) => digest));
  return [...stated.map(statusOf), ...failures(services, backoff, running)];
}

function statusOf({ upstream, state, startedAt }: StatedUpstream): UpstreamStatus {
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
  };
}

function failures(
  services: Snapshot["services"],
  backoff: Pick<StartBackoff, "last">,
  running: ReadonlySet<string>,
): readonly UpstreamStatus[] {
  return [...services.values()].flatMap((service) => {
    if (service.kind !== "mcp") return [];
    const digest = configDigest(service);
    const last = backoff.last(digest);
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
    };
  });
}
