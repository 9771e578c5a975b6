import type { Placeholder } from "../credentials/placeholder.ts";
import type { Principal } from "../identity/principal.ts";
import type { RawMcpCall } from "../request/mcp-call.ts";
import type { RawRequest } from "../request/raw-request.ts";
import type { Relay } from "./upstream-call.ts";

/** One call as a door hands it to the broker: authenticated, read whole, judged by nobody yet. */
export interface CallRequest {
  readonly requestId: string;
  /** Which face it came through: `api` and `egress` drop headers that may not pass, `mcp` refuses them. */
  readonly door: "api" | "mcp" | "egress";
  readonly principal: Principal;
  readonly service: string;
  readonly raw: RawRequest | RawMcpCall;
  /** Where the caller sees this service, for links and redirects that stay inside it: `http://127.0.0.1:7420/api/registrar`. */
  readonly publicBase: string | undefined;
  /** Of an MCP call: how the upstream's notifications and questions reach the client. */
  readonly relay?: Relay | undefined;
  /** Set at the door `egress`. */
  readonly egress?: EgressCall;
  /** Set when Doorward itself asks: for a preview that the file defines, or because the owner tries a service out. */
  readonly own?: OwnCall;
}

/** A request of a program behind the egress proxy. Where it goes is `raw.origin`. */
export interface EgressCall {
  /** Whose program: a service's own server, held to what the service declares; or an agent's, held to the agent's rules. */
  readonly by: "server" | "agent";
  /** What the program was given in place of the service's secret; absent where it was given nothing. */
  readonly placeholder: Placeholder | undefined;
  /** What it was given in place of other services' secrets: none of it belongs into this request. */
  readonly foreign?: readonly Placeholder[] | undefined;
  /** Ids of the calls to the server that were under way: what may have caused this request. */
  readonly during: readonly string[];
}

/** Why Doorward calls a service itself: a read that no role is needed for. */
export interface OwnCall {
  readonly rule: "approval:preview" | "owner:service-test";
  /** The request id of the held call that a preview is for. */
  readonly of?: string;
}

/** A call under way, as its door holds it. */
export interface RunningCall {
  /** The reader takes more again (after `data` answered `false`). */
  resume(): void;
  /** The caller went away: the exchange is ended, and the outcome says so. */
  leave(): void;
  /** Whether the answer ended at the service's limit: `mcp` answers are cut there, `/api` answers fail. */
  readonly truncated: boolean;
  /** How many traces of the credential were taken out so far. */
  readonly redacted: number;
}
