import { Problem } from "../base/problem.ts";
import { DEFAULT_ENVIRONMENT } from "../identity/api-key.ts";
import type { ApiKeys } from "../identity/api-keys.ts";
import { DRILL_NAME, drillOverlay } from "../policy/drill-overlay.ts";
import { indexKills, killOfPrincipal } from "../policy/kills.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { type AdminAction, optionalNumber, optionalText } from "./admin-action.ts";
import { startDrillUpstream } from "./drill-upstream.ts";
import { callOnce, type DrillRun, type DrillRunDeps, runDrillOnce } from "./run-drill.ts";

export interface DrillActionDeps extends Omit<DrillRunDeps, "socket" | "kills"> {
  readonly keys: ApiKeys;
  readonly kills: DrillRunDeps["kills"] & { list(): Parameters<typeof indexKills>[0] };
  readonly snapshot: () => Snapshot;
  /** Puts rules beside those of the file, until it is called with `undefined`. */
  readonly overlay: (dress: ((snapshot: Snapshot) => Snapshot) | undefined) => void;
  /** Path of the socket that is served; `undefined` while none is. */
  readonly socket: () => string | undefined;
}

const RUNS = 10;
const RUNS_LIMIT = 1_000;
/** Seconds; the key of a drill is revoked when it ends, and dead after this in any case. */
const KEY_TTL_SECONDS = 600;

/** `drill.run`: a real kill, as often as asked, measured by who is stopped. */
export function drillActions(deps: DrillActionDeps): readonly AdminAction[] {
  let underWay = false;
  return [
    {
      name: "drill.run",
      proof: "owner",
      async run(args, by) {
        const socket = deps.socket();
        if (socket === undefined) throw noDaemon();
        if (underWay) throw new Problem("invalid_request", { detail: "a drill is under way" });
        underWay = true;
        try {
          const runs = optionalNumber(args, "runs") ?? RUNS;
          return await drill(deps, { socket, runs, agent: optionalText(args, "agent"), by });
        } finally {
          underWay = false;
        }
      },
    },
  ];
}

interface DrillOrder {
  readonly socket: string;
  readonly runs: number;
  readonly agent: string | undefined;
  readonly by: string;
}

async function drill(deps: DrillActionDeps, order: DrillOrder): Promise<object> {
  const { agent = DRILL_NAME, runs, by, socket } = order;
  check(deps, order);
  const startedAt = deps.now();
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startDrillUpstream());
  stack.defer(() => deps.overlay(undefined));
  deps.overlay(drillOverlay({ port: upstream.port, agent: order.agent }));
  const environment = deps.snapshot().agents.get(agent)?.config.environment ?? DEFAULT_ENVIRONMENT;
  const scopes = [`${DRILL_NAME}:*`];
  const issued = await deps.keys.issue({
    ...{ agent, environment, scopes, ttlSeconds: KEY_TTL_SECONDS },
    by: `${by} (drill)`,
    now: startedAt,
  });
  stack.defer(async () => {
    await deps.keys.revoke({ target: issued.keyId, by: `${by} (drill)`, now: deps.now() });
  });
  const { key } = issued;
  const calling = { ...deps, socket };
  const done: DrillRun[] = [];
  await callOnce(calling, key);
  for (let run = 0; run < runs; run++) {
    done.push(await runDrillOnce(calling, { target: `agent:${agent}`, key, by: `${by} (drill)` }));
  }
  await callOnce(calling, key);
  return {
    target: `agent:${agent}`,
    started_at: startedAt.toISOString(),
    new_call_ms: done.map(({ newCallMs }) => newCallMs),
    stream_ms: done.map(({ streamMs }) => streamMs),
    refused: done.map(({ refused }) => refused),
    cut: done.map(({ cut }) => cut),
  };
}

/** @throws {Problem} `invalid_request` for what cannot be drilled. */
function check({ snapshot, kills }: DrillActionDeps, { runs, agent }: DrillOrder): void {
  if (!Number.isInteger(runs) || runs < 1 || runs > RUNS_LIMIT) {
    throw new Problem("invalid_request", { detail: `a drill has 1 to ${RUNS_LIMIT} runs` });
  }
  const { services, agents } = snapshot();
  if (services.has(DRILL_NAME) || agents.has(DRILL_NAME)) {
    throw new Problem("invalid_request", {
      detail: `doorward.yaml has a \`${DRILL_NAME}\` of its own`,
      remedy: "Rename it: the drill needs the name.",
    });
  }
  const found = agent === undefined ? undefined : agents.get(agent);
  if (agent !== undefined && found === undefined) {
    throw new Problem("not_found", { detail: `there is no agent \`${agent.slice(0, 64)}\` in doorward.yaml` });
  }
  const tenant = found?.config.tenant;
  const who = { agent: agent ?? DRILL_NAME, client: "", user: undefined, tenant };
  const kill = killOfPrincipal(indexKills(kills.list()), who);
  if (kill === undefined) return;
  throw new Problem("invalid_request", {
    detail: `\`${kill.target}\` is stopped already, so that nothing can be measured`,
    remedy: `Lift it first: \`doorward resume ${kill.target}\`.`,
  });
}

function noDaemon(): Problem {
  return new Problem("invalid_request", {
    detail: "a drill stops calls of a running daemon, and none runs",
    remedy: "Start it with `doorward serve`.",
  });
}
