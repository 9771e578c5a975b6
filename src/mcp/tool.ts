import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { problemDocument } from "../base/send-problem.ts";
import type { DispatchContext } from "./dispatch.ts";

/** A tool as `tools/list` shows it. */
export interface ToolDefinition {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonObject;
  readonly outputSchema?: JsonObject;
  readonly annotations?: JsonObject;
}

/** What a tool's run may know of its caller. */
export type ToolContext = DispatchContext;

/** Fields of a result as JSON. */
export interface WrittenFields {
  readonly json: string;
  /** Whether its characters are its bytes. */
  readonly ascii: boolean;
}

/** Whether a text's characters are its bytes. */
export function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** A tool's answer (MCP `CallToolResult`). */
export interface ToolResult {
  /**
   * Its fields as JSON, without the braces around them: for answers that hold a large text twice, which is escaped once
   * here. Says the same as the fields.
   */
  readonly written?: () => WrittenFields;
  readonly content: readonly { readonly type: "text"; readonly text: string }[];
  readonly structuredContent: object;
  readonly isError?: true;
}

export interface Tool {
  readonly definition: ToolDefinition;
  /** @throws {Problem} becomes an `isError` result. */
  run(args: JsonObject, context: ToolContext): Promise<ToolResult> | ToolResult;
}

/** An answer whose text is the JSON of its structure, for clients that show text only. */
export function structured(content: { readonly [key: string]: JsonValue | undefined } | object): ToolResult {
  return { content: [{ type: "text", text: JSON.stringify(content) }], structuredContent: content };
}

/**
 * Whether a refusal is answered by HTTP itself, so that the client asks for a token with more scopes and tries again: OAuth's
 * step-up, which clients act on at a 403 and its challenge alone (RFC 6750 §3.1).
 */
export function isStepUp(error: unknown, { request, response, principal }: DispatchContext): error is Problem {
  if (!(error instanceof Problem) || error.code !== "insufficient_scope") return false;
  return principal.token.kind === "oauth" && request !== undefined && response?.headersSent === false;
}

/** The contract's refusal over MCP: text for people, `error` for programs. */
export function refusal(problem: Problem, requestId: string): ToolResult {
  const {
    code,
    detail,
    remedy,
    request_id,
    type: _type,
    title: _title,
    status: _status,
    ...fields
  } = problemDocument(problem, requestId);
  return {
    isError: true,
    content: [{ type: "text", text: `${code}: ${detail}. ${remedy} (${request_id})` }],
    structuredContent: { error: { code, message: detail, remedy, request_id, ...fields } },
  };
}
