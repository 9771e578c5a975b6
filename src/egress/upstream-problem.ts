import { Problem } from "../base/problem.ts";
import { errorCode } from "./resolve-pinned.ts";

/** How far an answer had come when it failed. */
export type AnswerStage = "nothing" | "head" | "body";

/** Undici's codes (a name, where it has none) for what the peer did against the protocol, and for limits of ours that it broke. */
const INVALID = new Set([
  "HTTPParserError",
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  "UND_ERR_RES_EXCEEDED_MAX_SIZE",
]);

/** What undici says when a head or path cannot be put on the wire; nothing was sent then. */
const UNSENDABLE = new Set(["UND_ERR_INVALID_ARG", "UND_ERR_NOT_SUPPORTED", "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"]);

/**
 * Turns a failure of a connection or a parser into the problem that may cross the wire.
 *
 * Neither message nor `cause` of the original is kept: both can quote the peer's bytes, and those have not been
 * through the scrubber. The reason holds the code alone.
 */
export function upstreamProblem(error: unknown, stage: AnswerStage): Problem {
  if (error instanceof Problem) return error;
  const code = errorCode(error) ?? (error instanceof Error ? error.name : "unknown");
  const reason = `${code} (${stage})`;
  if (UNSENDABLE.has(code)) {
    return new Problem("invalid_request", { detail: "the request holds what HTTP cannot carry", reason });
  }
  if (code.startsWith("HPE_") || INVALID.has(code)) return invalidAnswer("the answer breaks the rules of HTTP", reason);
  if (code === "UND_ERR_DESTROYED" || code === "UND_ERR_CLOSED") {
    return new Problem("upstream_unreachable", { detail: "Doorward is stopping", reason });
  }
  if (code === "ETIMEDOUT") return new Problem("upstream_timeout", { reason });
  if (/^UND_ERR_|^E[A-Z]+$/.test(code)) return closedEarly(stage, reason);
  return new Problem("internal_error", { reason });
}

/** An answer that came, and that makes no sense. `detail` is ours, never the peer's words. */
export function invalidAnswer(detail: string, reason = detail): Problem {
  return new Problem("upstream_invalid", { detail, reason });
}

function closedEarly(stage: AnswerStage, reason: string): Problem {
  if (stage !== "nothing") return invalidAnswer("the service closed the connection within its answer", reason);
  return new Problem("upstream_unreachable", { detail: "the service closed the connection without an answer", reason });
}
