import type { Relay, UpstreamSender } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import type { Kill } from "../policy/kills.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { SilentServers } from "./silent-servers.ts";
import type { Surface } from "./surface.ts";

/** The upstream MCP servers: what they offer, calls to them, and their ends. */
export interface Upstreams extends UpstreamSender, AsyncDisposable {
  /**
   * What a server offers, without the items that are held; it is started, or connected to, when it is not yet.
   *
   * Kept until the server says that its lists changed, until its time is over, or until it is connected to anew.
   *
   * @throws {Problem} `upstream_unreachable`, `upstream_timeout`, `upstream_invalid`, `upstream_too_large`, `secret_unavailable`.
   */
  surface(service: CompiledMcpService, principal: Principal, relay: Relay | undefined): Promise<Surface>;
  /** What is known of a service's surface is old: its pins were accepted, say. Whoever listens is told. */
  surfaceChanged(service: string): void;
  /** Says that a client listens to a server's notifications until it is told otherwise: a session, or a subscription stream. */
  listen(service: string, relay: Relay): () => void;
  /** Ends the connections that belong to one client alone, and what it left unanswered. */
  endSession(relayKey: string): void;
  /** Drops the calls that wait for their client's answer and that a kill covers. What it stopped does not go on when it is lifted. */
  dropParked(kill: Kill): void;
  /** Which servers lately did not answer in time. Whoever lists what servers offer says so. */
  readonly silent: SilentServers;
  status(): readonly UpstreamStatus[];
  /** Ends every connection and child of a service: for a kill, and when its entry changes. @returns Children ended. */
  stopService(name: string): Promise<number>;
}

/** One server under way, or one that lately failed. */
export interface UpstreamStatus {
  readonly service: string;
  readonly state: "starting" | "ready" | "failed";
  readonly transport: "stdio" | "http";
  readonly era: "modern" | "legacy" | undefined;
  /** Of a started server: how it is confined, and what binds it. */
  readonly mode: string | undefined;
  readonly limits: { readonly [name: string]: string } | undefined;
  readonly calls: number;
  readonly startedAt: Date;
  /** Messages that made no sense: garbage lines, answers to nobody. */
  readonly ignored: number;
  /** The last lines that it wrote to standard error, scrubbed. */
  readonly stderr: readonly string[];
  /** Why it failed last. */
  readonly failure: string | undefined;
  /** Since when listings go without it, because it did not answer in time. */
  readonly silentSince: Date | undefined;
}
