import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { LOCAL_ERROR_CODE, localProblem } from "./local-error.ts";

/** An error that an upstream answered a request with: its words, not yet scrubbed. */
export class UpstreamRpcError extends Error {
  readonly code: number;
  readonly data: JsonValue | undefined;

  constructor(code: number, message: string, data: JsonValue | undefined) {
    super(message);
    this.name = "UpstreamRpcError";
    this.code = code;
    this.data = data;
  }
}

/** The reason where a server may have forgotten our session, as one that was restarted does. */
export const SESSION_GONE = "the session may be gone";

/** Longest message of an upstream's error that is relayed. */
const MESSAGE_CHARACTERS_MAX = 4_096;

/**
 * Turns what the SDK rejects with into what crosses our walls.
 *
 * Words of the peer are kept in an {@link UpstreamRpcError} alone, which is scrubbed before it is shown; a {@link Problem}
 * holds none.
 */
export function rpcProblem(error: unknown): Problem | UpstreamRpcError {
  const known = findProblem(error);
  if (known !== undefined) return known;
  if (!(error instanceof Error)) return new Problem("upstream_unreachable", { reason: typeof error });
  const { code, data, status } = error as { code?: unknown; data?: unknown; status?: unknown };
  if (code === LOCAL_ERROR_CODE) return localProblem(data);
  if (typeof code === "number") {
    return new UpstreamRpcError(code, error.message.slice(0, MESSAGE_CHARACTERS_MAX), data as JsonValue | undefined);
  }
  const httpStatus = typeof status === "number" ? status : (data as { status?: unknown } | undefined)?.status;
  if (typeof httpStatus === "number") return statusProblem(httpStatus);
  if (code === "REQUEST_TIMEOUT") return new Problem("upstream_timeout");
  if (code === "CONNECTION_CLOSED" || code === "NOT_CONNECTED") {
    return new Problem("upstream_unreachable", { detail: "the server ended the connection" });
  }
  const reason = typeof code === "string" ? code : error.name;
  if (/INVALID|UNSUPPORTED|UNEXPECTED|NEGOTIATION/.test(reason) || error.name === "ZodError") {
    return new Problem("upstream_invalid", { detail: "the server does not keep to the protocol", reason });
  }
  if (error.name === "UnauthorizedError") return statusProblem(401);
  return new Problem("upstream_unreachable", { detail: "the server cannot be spoken to", reason });
}

function findProblem(error: unknown): Problem | UpstreamRpcError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    if (at instanceof Problem || at instanceof UpstreamRpcError) return at;
  }
  return undefined;
}

function statusProblem(status: number): Problem {
  if (status === 401 || status === 403) {
    return new Problem("upstream_unreachable", {
      detail: `the server refuses the credential (${status})`,
      remedy: "The owner can correct the credential of the service, then run `doorward service test NAME`.",
    });
  }
  if (status === 404) {
    return new Problem("upstream_unreachable", {
      detail: "the server knows no such endpoint or session (404)",
      remedy: "Repeat the call; if it fails again, the owner must correct the service's url.",
      reason: SESSION_GONE,
    });
  }
  const reason = status === 400 ? SESSION_GONE : `status ${status}`;
  return new Problem("upstream_unreachable", { detail: `the server answered with status ${status}`, reason });
}
