import type { JsonObject, JsonValue } from "../base/json.ts";
import type { Problem } from "../base/problem.ts";
import { problemDocument } from "../base/send-problem.ts";
import type { Principal } from "../identity/principal.ts";

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
export interface ToolContext {
  readonly principal: Principal;
  readonly requestId: string;
  /** Aborted when the caller cancels or goes away. */
  readonly signal: AbortSignal | undefined;
  /** Whether a number of the message could not be read exactly, so that passing it on would change it. */
  readonly lossy: boolean;
  /** Calls back when the answer has left the process, or never will: its memory counts until then. */
  readonly whenSent: (then: () => void) => void;
}

/** A tool's answer (MCP `CallToolResult`). */
export interface ToolResult {
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
