/** An MCP server by the SDK, on stdin and stdout, in whichever era its client opens with; `modern` alone refuses the older one. */
import { fromJsonSchema, inputRequired, McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";

/** What the HTTP and the stdio variant serve. */
export function makeServer(): McpServer {
  const server = new McpServer({ name: "dual", version: "2.0.0" }, { instructions: "be kind" });
  const nothing = fromJsonSchema({ type: "object", properties: {} });
  server.registerTool(
    "echo",
    { description: "echoes", inputSchema: fromJsonSchema({ type: "object", properties: { a: { type: "string" } } }) },
    async (args) => ({
      content: [{ type: "text", text: JSON.stringify(args) }],
    }),
  );
  server.registerTool("ask", { inputSchema: nothing }, async (_, ctx) => {
    const responses = ctx.mcpReq.inputResponses as Record<string, unknown> | undefined;
    if (responses?.["who"] === undefined) {
      return inputRequired({
        inputRequests: {
          who: inputRequired.elicit({
            message: "Who are you?",
            requestedSchema: { type: "object", properties: { nickname: { type: "string" } } },
          }),
        },
        requestState: "round-1",
      });
    }
    return {
      content: [{ type: "text", text: JSON.stringify({ who: responses["who"], state: ctx.mcpReq.requestState() }) }],
    };
  });
  server.registerTool("askPassword", { inputSchema: nothing }, async (_, ctx) => {
    const responses = ctx.mcpReq.inputResponses as Record<string, unknown> | undefined;
    if (responses?.["pw"] === undefined) {
      return inputRequired({
        inputRequests: {
          pw: inputRequired.elicit({
            message: "Log in",
            requestedSchema: { type: "object", properties: { passWord: { type: "string" } } },
          }),
        },
      });
    }
    return { content: [{ type: "text", text: JSON.stringify(responses["pw"]) }] };
  });
  return server;
}

if (process.argv[1] === import.meta.filename)
  serveStdio(makeServer, process.argv[2] === "modern" ? { legacy: "reject" } : {});
