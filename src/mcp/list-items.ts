import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { ListedItems } from "../policy/visible-items.ts";
import type { Surface } from "../upstreams/surface.ts";
import { asRpcError } from "./call-item.ts";
import { collectSurfaces } from "./collect-surfaces.ts";
import type { DispatchContext } from "./dispatch.ts";
import { nameTable } from "./exposed-names.ts";
import { exposeUri } from "./exposed-uris.ts";
import { type FaceDeps, visibleTo } from "./face.ts";
import { RPC, RpcError } from "./json-rpc.ts";
import { findMcpService, mcpServicesFor } from "./known-services.ts";

/** The lists of an MCP server. */
export interface ItemList {
  /** In the result, and in a surface. */
  readonly field: "tools" | "prompts" | "resources" | "resourceTemplates";
  readonly kind: ListedItems["kind"];
  /** The field of a definition by which its item is called. */
  readonly key: "name" | "uri" | "uriTemplate";
}

export const ITEM_LISTS: ReadonlyMap<string, ItemList> = new Map([
  ["tools/list", { field: "tools", kind: "tools", key: "name" }],
  ["prompts/list", { field: "prompts", kind: "prompts", key: "name" }],
  ["resources/list", { field: "resources", kind: "resources", key: "uri" }],
  ["resources/templates/list", { field: "resourceTemplates", kind: "templates", key: "uriTemplate" }],
]);

/** Upstream tools that `/mcp` lists; those of the services beyond are found with `doorward_find_tools`. */
const MAX_LISTED_TOOLS = 128;

/** What a listing came to. */
export interface Listing {
  readonly items: readonly JsonObject[];
  /** Whether each server answered. */
  readonly complete: boolean;
}

/** The items of one server that the caller may call, as the server calls them. @throws {RpcError} when it cannot be asked. */
export async function listOne(
  deps: FaceDeps,
  context: DispatchContext,
  name: string,
  list: ItemList,
): Promise<Listing> {
  const { principal } = context;
  const service = findMcpService(deps.snapshot(), principal, name);
  const { offered } = await collectSurfaces(deps, context, service === undefined ? [] : [service], "named");
  const [only] = offered;
  if (only === undefined) throw asRpcError(new Problem("upstream_unreachable"), context.requestId);
  return { items: callable(deps, context, only.service, only.surface, list), complete: true };
}

/**
 * The items of all servers that the caller may call, each under a name that no other has.
 *
 * Tools are listed service by service, in the order of the services' names, as long as all of a service's fit.
 */
export async function listAll(deps: FaceDeps, context: DispatchContext, list: ItemList): Promise<Listing> {
  const services = mcpServicesFor(deps.snapshot(), context.principal);
  const { offered, complete } = await collectSurfaces(deps, context, services, "all");
  const items: JsonObject[] = [];
  for (const { service, surface } of offered) {
    const own = exposed(service, surface, list, callable(deps, context, service, surface, list));
    if (list.field === "tools" && items.length + own.length > MAX_LISTED_TOOLS) continue;
    items.push(...own);
  }
  return { items, complete };
}

/** The definitions that the caller may use, each name once. */
export function callable(
  deps: FaceDeps,
  { principal }: DispatchContext,
  service: CompiledMcpService,
  surface: Surface,
  { field, kind, key }: ItemList,
): readonly JsonObject[] {
  const byName = new Map<string, JsonObject>();
  for (const definition of surface[field]) {
    const name = definition[key];
    if (typeof name === "string" && !byName.has(name) && isFit(definition, kind)) byName.set(name, definition);
  }
  const visible = visibleTo(deps, principal, service, { kind, names: [...byName.keys()] });
  return [...byName.values()].filter((definition) => visible.has(definition[key] as string));
}

/**
 * Whether clients take a definition: one that breaks the protocol makes them refuse the whole list, other servers' items
 * included. A tool that only runs as a task cannot be called through us, as tasks are not relayed.
 */
function isFit(definition: JsonObject, kind: ItemList["kind"]): boolean {
  const { name, title, description, inputSchema, annotations, execution } = definition;
  const isText = (value: JsonValue | undefined) => value === undefined || typeof value === "string";
  if (typeof name !== "string" || !isText(title) || !isText(description)) return false;
  if (annotations !== undefined && !isObject(annotations)) return false;
  if (kind !== "tools") return true;
  if (!isObject(inputSchema) || inputSchema["type"] !== "object") return false;
  return !isObject(execution) || execution["taskSupport"] !== "required";
}

/** The definitions under the names of the surface that all services share. */
export function exposed(
  { config: { name: service } }: CompiledMcpService,
  surface: Surface,
  { field, key }: ItemList,
  definitions: readonly JsonObject[],
): readonly JsonObject[] {
  if (key !== "name") return definitions.map((each) => ({ ...each, [key]: exposeUri(service, each[key] as string) }));
  const table = nameTable(service, namesOf(surface, field));
  return definitions.map((each) => ({ ...each, name: table.exposed.get(each["name"] as string)! }));
}

/** All names of a list, whoever may use them: so that a name is the same for every caller. */
export function namesOf(surface: Surface, field: "tools" | "prompts" | ItemList["field"]): readonly string[] {
  return surface[field].map(({ name }) => name).filter((name) => typeof name === "string");
}

/** There is one page of everything. @throws {RpcError} for any other. */
export function refuseCursor(params: JsonObject): void {
  if (params["cursor"] !== undefined) throw new RpcError(RPC.invalidParams, "there is no such page");
}
