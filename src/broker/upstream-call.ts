import type { JsonObject } from "../base/json.ts";
import type { Problem } from "../base/problem.ts";
import type { CredentialConfig } from "../config/schema.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { CanonicalMcpCall, CanonicalRequest } from "../request/canonical-request.ts";
import type { Lease } from "../vault/create-vault.ts";

/** One MCP call that was decided on and recorded, as it goes to an upstream server. */
export interface UpstreamCall {
  readonly requestId: string;
  readonly principal: Principal;
  readonly service: CompiledMcpService;
  /** Its `mcp` is set. */
  readonly request: CanonicalRequest;
  /** For servers over HTTP alone: a stdio server gets a placeholder, whose secret the egress proxy leases per request. */
  readonly lease: { readonly credential: CredentialConfig; readonly lease: Lease } | undefined;
  readonly relay: Relay | undefined;
  readonly timeoutMs: number;
  /** Beyond it the call fails with `upstream_too_large`. */
  readonly responseBytes: number;
}

/**
 * Sends MCP calls to upstream servers.
 *
 * The sink gets `head` with status 200, the JSON bytes of the scrubbed MCP result object, and `end`. A JSON-RPC error of
 * the upstream is an answer too: head status 400, and the bytes of `{"error":{code,message,data?}}`. Everything else is
 * a `fail`: `upstream_unreachable`, `upstream_timeout`, `upstream_too_large`.
 */
export interface UpstreamSender {
  send(call: UpstreamCall, sink: AnswerSink): Exchange;
}

/** Which items of MCP servers are held until a person looks at them. */
export interface ItemPins {
  /** @returns The refusal, whose `rule` names the pin; `undefined` when the item may be called. */
  held(service: string, item: CanonicalMcpCall): Problem | undefined;
}

/** The downstream peer of a call or session: how notifications and requests of the upstream reach the client. */
export interface Relay {
  /** What a connection may be shared by: a session's id, or agent and client of stateless callers. */
  readonly key: string;
  readonly era: "modern" | "legacy";
  /** The client's capabilities, as it declared them. */
  readonly capabilities: JsonObject;
  /** Of this call, as the client gave it. */
  readonly progressToken: string | number | undefined;
  /** What of the call's `_meta` may go upstream: trace context and keys of other vendors. */
  readonly meta: JsonObject;
  /** Hands a notification to the client; dropped when nothing of it listens. Never throws. */
  notify(method: string, params: JsonObject): void;
  /**
   * Asks the client (`elicitation/create`, `sampling/createMessage`, `roots/list`) and gives its result.
   *
   * Rejects when the client cannot be asked: it is stateless, has gone, or did not declare that it can answer.
   */
  request(method: string, params: JsonObject, signal?: AbortSignal): Promise<JsonObject>;
  /**
   * What is wrong with the call, now that the tool's definition is known: that is when its server runs, so after the decision
   * is on record and within the call's time. Absent where nothing depends on it. Never throws.
   */
  toolFault?(definition: JsonObject): { readonly code: number; readonly message: string } | undefined;
  /** Answers of a stateless client to what an earlier `input_required` result of the same call asked. */
  readonly inputResponses?: JsonObject | undefined;
  /** What the upstream gave with that result; unsealed, so proven to belong to this caller and this call. */
  readonly requestState?: string | undefined;
}
