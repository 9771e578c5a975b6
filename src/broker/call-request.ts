import type { Principal } from "../identity/principal.ts";
import type { RawRequest } from "../request/raw-request.ts";

/** One call as a door hands it to the broker: authenticated, read whole, judged by nobody yet. */
export interface CallRequest {
  readonly requestId: string;
  /** Which face it came through: `api` drops headers that may not pass, `mcp` refuses them. */
  readonly door: "api" | "mcp";
  readonly principal: Principal;
  readonly service: string;
  readonly raw: RawRequest;
  /** Where the caller sees this service, for links and redirects that stay inside it: `http://127.0.0.1:7420/api/registrar`. */
  readonly publicBase: string | undefined;
  /** Set when Doorward itself asks: for a preview that the file defines, or because the owner tries a service out. */
  readonly own?: OwnCall;
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
