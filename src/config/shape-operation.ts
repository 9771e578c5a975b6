import type { OperationConfig } from "./schema.ts";
import type { AddFault } from "./shape-service.ts";

/** What a service is, as far as its operations care: an HTTP API, or an MCP server started here or running elsewhere. */
export type ServicePlace = "api" | "started" | "remote";

const ITEM_KEYS = ["tools", "prompts", "resources"] as const;
const NAME_ITEMS = "add `tools: [NAME]`, `prompts: [NAME]` or `resources: [URI]`";

/**
 * Checks that an operation speaks of what its service has, and puts a schema where it belongs: on an MCP server `body` is
 * another word for `arguments`.
 *
 * @param add - Paths are relative to the operation.
 */
export function shapeOperation(operation: OperationConfig, place: ServicePlace, add: AddFault): OperationConfig {
  return place === "api" ? ofApi(operation, add) : ofServer(operation, place, add);
}

function ofApi(operation: OperationConfig, add: AddFault): OperationConfig {
  for (const key of ITEM_KEYS) {
    if (operation[key].length > 0) add([key], `\`${key}\` are of MCP servers, and this is an HTTP API`, "remove it");
  }
  if (operation.arguments !== undefined) {
    add(["arguments"], "`arguments` are of MCP servers, and this is an HTTP API", "write `query` or `body`");
  }
  if (operation.allow.length === 0) add(["allow"], "`allow` is missing", 'add `allow: ["GET /PATH"]`');
  return operation;
}

function ofServer(operation: OperationConfig, place: "started" | "remote", add: AddFault): OperationConfig {
  const { allow, query, ranges, approval } = operation;
  const items = ITEM_KEYS.reduce((sum, key) => sum + operation[key].length, 0);
  const elsewhere = "the server's own requests do not pass through Doorward";
  if (place === "remote" && allow.length > 0) add(["allow"], elsewhere, `remove it, and ${NAME_ITEMS}`);
  else if (items + allow.length === 0) add([], "the operation names nothing of the server", NAME_ITEMS);
  else if (allow.length === 0) {
    if (query !== undefined) add(["query"], "`query` is of HTTP requests, which `allow` names", "remove it");
    if (ranges) add(["ranges"], "`ranges` is of HTTP requests, which `allow` names", "remove it");
  }
  if (approval?.preview !== undefined) {
    add(["approval", "preview"], "a preview is an HTTP request, and this is an MCP server", "remove it");
  }
  return withArguments(operation, items > 0, add);
}

function withArguments(operation: OperationConfig, hasItems: boolean, add: AddFault): OperationConfig {
  const { allow, body, tools, prompts } = operation;
  const takers = tools.length + prompts.length;
  if (operation.arguments !== undefined && takers === 0) {
    add(["arguments"], "`arguments` are of tools and prompts, and the operation names none", "remove it");
  }
  if (body === undefined || !hasItems) return operation;
  if (operation.arguments !== undefined && allow.length === 0) {
    add(["body"], "`body` is another word for `arguments` here, and both stand", "remove `body`");
  } else if (operation.arguments === undefined && allow.length > 0) {
    const remedy = "write `arguments` for the tools, or give the endpoints an operation of their own";
    add(["body"], "`body` may mean the tools' arguments or the body of the server's own requests", remedy);
  } else if (operation.arguments === undefined && takers === 0) {
    add(["body"], "resources take no arguments", "remove it");
  }
  return allow.length > 0 ? operation : { ...operation, body: undefined, arguments: operation.arguments ?? body };
}
