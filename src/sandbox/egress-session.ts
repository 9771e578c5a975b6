import type { Problem } from "../base/problem.ts";
import type { Placeholder } from "../credentials/placeholder.ts";
import type { Principal } from "../identity/principal.ts";

/** Where a program wants to go, as its request names it. */
export interface EgressOrigin {
  readonly protocol: "http:" | "https:";
  /** Lower case, ASCII; an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Which service a request to an origin is a call to. That it may go is decided by the broker, each time. */
export interface EgressRoute {
  readonly service: string;
  /** Of the service's own URL, `""` or `/v1`: what the service's paths leave out. */
  readonly basePath: string;
  readonly requestBytes: number;
  /** What the program was given in place of this service's secret; absent: the session's. */
  readonly placeholder?: Placeholder;
}

/** What one program behind the egress proxy is, and where it may go. */
export interface EgressSession {
  /** The service whose server it is, or the command of an agent: for the evidence of what was refused before it was a call. */
  readonly name: string;
  readonly principal: Principal;
  /** A server is held to what its service declares; an agent's command to the agent's rules. */
  readonly by: "server" | "agent";
  readonly placeholder: Placeholder | undefined;
  /** All that a program with several has; each may go to its own service alone. */
  readonly placeholders?: readonly Placeholder[];
  /** Ids of the calls under way that this program serves. */
  during(): readonly string[];
  /** Told of a tunnel that was refused: most programs say no more of it than a number. */
  refused?(problem: Problem): void;
  /**
   * The route to an origin; `undefined` where nothing declares it. `http:` only where the service is private.
   *
   * @param target - `/path?query` of a request; absent when a tunnel is asked for, whose requests come later.
   * @throws {Problem} why this program may go nowhere any more, or which of several services it must choose.
   */
  route(origin: EgressOrigin, target?: string): EgressRoute | undefined;
}
