import type { JSONRPCMessage } from "@modelcontextprotocol/client";
import { Problem, type ProblemCode } from "../base/problem.ts";

/** Of errors that we put in the place of an answer. A peer that uses it says no more than that its call failed. */
export const LOCAL_ERROR_CODE = -32_090;

const CODES: readonly ProblemCode[] = [
  "upstream_too_large",
  "upstream_timeout",
  "upstream_invalid",
  "upstream_unreachable",
  "upstream_forbidden_address",
];

/** What stands for the answer to a request whose own answer will not come. */
export function localError(id: string | number, problem: Problem): JSONRPCMessage {
  return {
    jsonrpc: "2.0",
    id,
    error: { code: LOCAL_ERROR_CODE, message: problem.message, data: { code: problem.code } },
  };
}

/** The problem that {@link localError} stood for, in our own words. */
export function localProblem(data: unknown): Problem {
  const named = typeof data === "object" && data !== null ? (data as { code?: unknown }).code : undefined;
  return new Problem(CODES.find((code) => code === named) ?? "upstream_unreachable");
}
