import { Problem } from "../base/problem.ts";
import { createTurns } from "../base/turns.ts";
import type { ItemPins, Relay, UpstreamCall } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import { findKill, indexKills } from "../policy/kills.ts";
import type { CompiledMcpService, Snapshot } from "../policy/snapshot.ts";
import { createRefusalQuota } from "../sandbox/refusal-quota.ts";
import { fetchSurface } from "./fetch-surface.ts";
import { createListeners } from "./listeners.ts";
import { type OpenUpstreamDeps, openUpstream, watchSecret } from "./open-upstream.ts";
import { createParkedCalls } from "./parked-calls.ts";
import type { Pins } from "./pins.ts";
import { runCall } from "./run-call.ts";
import { createSilentServers } from "./silent-servers.ts";
import { createStartBackoff } from "./start-backoff.ts";
import type { Surface } from "./surface.ts";
import { Upstream } from "./upstream.ts";
import { upstreamStatus } from "./upstream-status.ts";
import type { Upstreams } from "./upstreams.ts";
import { configDigest, type WantedConnection, wantedConnection } from "./wanted-connection.ts";

export interface UpstreamsDeps extends Omit<OpenUpstreamDeps, "pins"> {
  readonly pins: Pick<Pins, "judge" | "judgePackage"> & ItemPins;
  /** The rules in force: what is no longer in them is ended. */
  readonly snapshot: () => Pick<Snapshot, "services">;
}

/** Connections to one server, and those that one agent's clients have for themselves. */
const PER_SERVICE_MAX = 32;
const PER_AGENT_MAX = 16;
const TOTAL_MAX = 256;
/** A connection without calls and subscriptions is ended after this. */
const IDLE_MS = 10 * 60_000;
const SWEEP_MS = 5_000;
/** Within a second of a kill nothing of what it names runs. */
const STOP_GRACE_MS = 200;
const OPENING_MS = 500;
/** What a server offers is asked for again after this, also when it did not say that it changed. */
const SURFACE_TTL_MS = 5 * 60_000;
const SURFACE_MS = 30_000;
/** Lists that change while they are read are read so often. */
const SURFACE_READINGS_MAX = 3;
const KNOWN_SURFACES_MAX = 256;
const KNOWN_ERAS_MAX = 1_024;

interface Entry {
  readonly key: string;
  readonly surfaceKey: string;
  readonly digest: string;
  readonly agent: string;
  readonly upstream: Upstream;
  readonly startedAt: Date;
  /** Settles with the handshake. */
  readonly opened: Promise<void>;
  state: "starting" | "ready";
  /** Its rules are old: no new call, and ended with the last one. */
  retired: boolean;
  generation: number;
  reading: Promise<Surface> | undefined;
  closing: boolean;
}

/** Keeps the connections to upstream servers. Nothing is started before it is needed. */
export function createUpstreams(deps: UpstreamsDeps): Upstreams {
  const entries = new Set<Entry>();
  const surfaces = new Map<string, { readonly surface: Surface; readonly atMs: number }>();
  const eras = new Map<string, "modern" | "legacy" | "unaskable">();
  const parked = createParkedCalls();
  const turns = createTurns();
  const listeners = createListeners();
  const backoff = createStartBackoff();
  const declined = createRefusalQuota(deps);
  const silent = createSilentServers();
  const nowMs = () => performance.now();
  let closed = false;
  const sweep = setInterval(() => sweepEntries(), SWEEP_MS).unref();

  const close = async (entry: Entry, why: string, graceMs?: number): Promise<void> => {
    entry.closing = true;
    entries.delete(entry);
    await entry.upstream.stop(why, graceMs);
    // What is still being started ends as soon as there is something to end; an installation is not waited for.
    await within(entry.opened, OPENING_MS);
    await entry.upstream.stop(why, graceMs);
  };

  const sweepEntries = () => {
    const { services } = deps.snapshot();
    for (const entry of [...entries]) {
      const service = services.get(entry.upstream.service.config.name);
      if (service?.kind !== "mcp") void close(entry, "the service is no longer in the file");
      else if (configDigest(service) !== entry.digest) entry.retired = true;
      if (entry.upstream.isBusy || entry.state !== "ready") continue;
      if (entry.retired) void close(entry, "the service's entry changed");
      else if (nowMs() - entry.upstream.usedAtMs > IDLE_MS) void close(entry, "it was idle");
    }
  };

  const open = (service: CompiledMcpService, principal: Principal, wanted: WantedConnection): Entry => {
    const upstream = new Upstream(
      { service, owner: wanted.owner, capabilities: wanted.capabilities },
      {
        nowMs,
        relayOf: (key) => listeners.find(service.config.name, key),
        listsChanged(method) {
          entry.generation += 1;
          surfaces.delete(entry.surfaceKey);
          listeners.tell(service.config.name, method);
        },
        declined: (method, reason) =>
          void declined
            .record(service.config.name, {
              type: "upstream.refused",
              service: service.config.name,
              agent: entry.agent,
              data: { method, reason },
            })
            .catch(() => {}),
      },
    );
    const era = eras.get(wanted.digest) === "unaskable" ? "legacy" : "ask";
    const opened = openUpstream(deps, upstream, { principal, capabilities: wanted.capabilities, era }).then(
      (asked) => {
        const spoken = upstream.connection.era;
        if (eras.size >= KNOWN_ERAS_MAX) eras.clear();
        eras.set(wanted.digest, asked === "legacy" ? "unaskable" : spoken);
        entry.state = "ready";
        void upstream.connection.link.closed.then(() => ended(entry));
      },
      (error: unknown) => {
        entries.delete(entry);
        if (error instanceof Problem && !entry.closing) backoff.failed(wanted.digest, error, nowMs());
        throw error;
      },
    );
    opened.catch(() => {});
    const entry: Entry = {
      key: wanted.key,
      surfaceKey: wanted.surfaceKey,
      digest: wanted.digest,
      agent: principal.agent,
      upstream,
      startedAt: deps.now(),
      opened,
      state: "starting",
      retired: false,
      generation: 0,
      reading: undefined,
      closing: false,
    };
    entries.add(entry);
    return entry;
  };

  const ended = (entry: Entry) => {
    entries.delete(entry);
    const ending = entry.upstream.link?.ending();
    if (entry.closing || ending?.by !== "peer") return;
    const problem = new Problem("upstream_unreachable", { detail: `the server has ended: ${ending.why}` });
    backoff.ended(entry.digest, problem, { ranMs: deps.now().getTime() - entry.startedAt.getTime(), nowMs: nowMs() });
  };

  /** Room for one more: what nobody uses goes, the longest unused first. */
  const makeRoom = (service: string, agent: string, owned: boolean) => {
    const crowds: (readonly [number, (entry: Entry) => boolean])[] = [
      [TOTAL_MAX, () => true],
      [PER_SERVICE_MAX, (entry) => entry.upstream.service.config.name === service],
      ...(owned
        ? [[PER_AGENT_MAX, (entry: Entry) => entry.agent === agent && entry.upstream.owner !== ""] as const]
        : []),
    ];
    for (const [max, belongs] of crowds) {
      const crowd = [...entries].filter(belongs);
      if (crowd.length < max) continue;
      const unused = crowd.filter(({ upstream, state }) => state === "ready" && !upstream.isBusy);
      const [oldest] = unused.sort((a, b) => a.upstream.usedAtMs - b.upstream.usedAtMs);
      if (oldest === undefined) {
        const detail = "too many connections to upstream servers are in use";
        throw new Problem("upstream_unreachable", { detail, fields: { retry_after: 5 } });
      }
      void close(oldest, "it made room for another");
    }
  };

  const acquire = async (
    service: CompiledMcpService,
    principal: Principal,
    relay: Relay | undefined,
  ): Promise<Entry> => {
    if (closed) throw new Problem("upstream_unreachable", { detail: "Doorward is stopping" });
    const wanted = await wantedConnection(deps.authorise, { service, principal, relay }, eras);
    let entry = [...entries].find(({ key, retired, closing }) => key === wanted.key && !retired && !closing);
    if (entry === undefined) {
      backoff.check(wanted.digest, nowMs());
      makeRoom(service.config.name, principal.agent, wanted.owner !== "");
      entry = open(service, principal, wanted);
    }
    entry.upstream.usedAtMs = nowMs();
    await entry.opened;
    await watchSecret(deps, entry.upstream);
    const { upstream } = entry;
    if (upstream.surface === undefined || nowMs() - upstream.surfaceAtMs > SURFACE_TTL_MS) await readSurface(entry);
    return entry;
  };

  /** What the server offers, judged. Readers share one reading. */
  const readSurface = (entry: Entry): Promise<Surface> => {
    entry.reading ??= readUntilStill(entry).finally(() => {
      entry.reading = undefined;
    });
    return entry.reading;
  };

  const readUntilStill = async (entry: Entry): Promise<Surface> => {
    const { upstream } = entry;
    for (let reading = 1; ; reading++) {
      const { generation } = entry;
      const fetched = await fetchSurface(upstream.connection, upstream.scrubbers, AbortSignal.timeout(SURFACE_MS));
      const { accepted } = await deps.pins.judge(upstream.service.config.name, fetched, deps.now());
      if (generation !== entry.generation && reading < SURFACE_READINGS_MAX) continue;
      upstream.surface = accepted;
      upstream.surfaceAtMs = nowMs();
      surfaces.delete(entry.surfaceKey);
      if (surfaces.size >= KNOWN_SURFACES_MAX) surfaces.delete(surfaces.keys().next().value!);
      surfaces.set(entry.surfaceKey, { surface: accepted, atMs: upstream.surfaceAtMs });
      return accepted;
    }
  };

  const closeAll = async (match: (entry: Entry) => boolean, why: string, graceMs?: number): Promise<number> => {
    const found = [...entries].filter(match);
    await Promise.all(found.map((entry) => close(entry, why, graceMs)));
    return found.filter(({ upstream }) => upstream.service.config.server.transport === "stdio").length;
  };

  return {
    send: (call, sink) =>
      runCall(
        {
          acquire: async (asked) => (await acquire(asked.service, asked.principal, asked.relay)).upstream,
          checkPins: (asked) => checkPins(deps.pins, asked),
          parked,
          turns,
          nowMs,
        },
        call,
        sink,
      ),
    async surface(service, principal, relay) {
      const { surfaceKey } = await wantedConnection(deps.authorise, { service, principal, relay }, eras);
      const known = surfaces.get(surfaceKey);
      if (known !== undefined && nowMs() - known.atMs < SURFACE_TTL_MS) return known.surface;
      const entry = await acquire(service, principal, relay);
      return entry.upstream.surface ?? readSurface(entry);
    },
    silent,
    surfaceChanged(service) {
      silent.forget(service);
      for (const entry of entries)
        if (entry.upstream.service.config.name === service) entry.upstream.surface = undefined;
      for (const [key] of surfaces) if ((JSON.parse(key) as [string])[0] === service) surfaces.delete(key);
      for (const list of ["tools", "prompts", "resources"])
        listeners.tell(service, `notifications/${list}/list_changed`);
    },
    listen: (service, relay) => listeners.add(service, relay),
    endSession(relayKey) {
      listeners.forget(relayKey);
      parked.drop(({ relay }) => relay?.key === relayKey);
      void closeAll(({ upstream }) => upstream.owner === relayKey, "the client's session ended");
      for (const { upstream, state } of entries) {
        if (state !== "ready") continue;
        for (const uri of upstream.forget(relayKey)) void unsubscribe(upstream, uri);
      }
    },
    dropParked(kill) {
      const kills = indexKills([kill]);
      // Which operation a parked call was is not kept: all of the service's wait in vain.
      parked.drop(
        ({ principal, service }) =>
          findKill(kills, { principal, service, scopes: [] }) !== undefined ||
          kill.target.startsWith(`operation:${service.config.name}:`),
      );
    },
    status: () => {
      const since = (service: string) => silent.since(service, deps.now());
      return upstreamStatus([...entries], deps.snapshot().services, { last: backoff.last, since });
    },
    async stopService(name) {
      parked.drop(({ service }) => service.config.name === name);
      return closeAll(({ upstream }) => upstream.service.config.name === name, "it was stopped", STOP_GRACE_MS);
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      clearInterval(sweep);
      parked.drop(() => true);
      await closeAll(() => true, "Doorward is stopping");
      await declined.flush();
    },
  };
}

/** Of a connection that was opened for this very call nobody knew what it offers. */
function checkPins(pins: ItemPins, { service, request }: UpstreamCall): void {
  const held = pins.held(service.config.name, request.mcp!);
  if (held !== undefined) throw held;
}

async function unsubscribe(upstream: Upstream, uri: string): Promise<void> {
  const { connection } = upstream;
  if (connection.era === "modern") return connection.listen(upstream.subscribed());
  const signal = AbortSignal.timeout(SURFACE_MS);
  await connection.request("resources/unsubscribe", { uri }, { signal }).catch(() => {});
}

async function within(done: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([done.catch(() => {}), promise]).finally(() => clearTimeout(timer));
}
