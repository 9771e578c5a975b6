import { Problem } from "../base/problem.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import { type Canonicalised, canonicalise } from "../request/canonicalise.ts";
import { canonicaliseMcp } from "../request/mcp-call.ts";
import type { CallRequest } from "./call-request.ts";

/**
 * Brings a call into the one form that its service has: HTTP requests go to APIs, MCP calls to MCP servers.
 *
 * The exception are the requests of an MCP server's own, at the door `egress`, which are HTTP and belong to its service.
 *
 * @returns Never throws. `unknown_operation` for a call of the other kind; else as {@link canonicalise}.
 */
export function canonicaliseCall({ raw, door }: CallRequest, service: CompiledService): Canonicalised {
  if (raw.kind === "mcp") {
    if (service.kind === "mcp") return canonicaliseMcp(raw, service.form);
    return otherKind(service, "is an HTTP API", "Call it with `doorward_request`.");
  }
  if (service.kind === "mcp" && door !== "egress") {
    return otherKind(service, "is an MCP server", "Call its tools, which `tools/list` names.");
  }
  // An HTTP API's own list holds for programs too; an MCP server's requests are as its author wrote them.
  return canonicalise(raw, { ...service.form, door, program: service.kind === "mcp" });
}

function otherKind({ config }: CompiledService, what: string, remedy: string): Canonicalised {
  const detail = `the service \`${config.name}\` ${what}`;
  return { ok: false, problem: new Problem("unknown_operation", { detail, remedy, reason: "other_kind" }) };
}
