import { createHash } from "node:crypto";
import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { createTurns } from "../base/turns.ts";
import type { Scrubber } from "../credentials/scrubber.ts";
import type { Connection } from "./connection.ts";
import { UpstreamRpcError } from "./rpc-problem.ts";
import { scrubInTurns } from "./scrub-result.ts";
import type { Surface } from "./surface.ts";
import { canonicalJson } from "./surface-digest.ts";

/** Pages of one list, and items of all pages together. A server that offers more is refused, not cut. */
const PAGES_MAX = 64;
const ITEMS_MAX = 4_096;
/** Of all definitions of one server, as JSON. */
const SURFACE_BYTES_MAX = 8 * 1024 * 1024;
const METHOD_NOT_FOUND = -32_601;

const LISTS = [
  { key: "tools", method: "tools/list", capability: "tools" },
  { key: "prompts", method: "prompts/list", capability: "prompts" },
  { key: "resources", method: "resources/list", capability: "resources" },
  { key: "resourceTemplates", method: "resources/templates/list", capability: "resources" },
] as const;

/**
 * Asks a server for all that it offers.
 *
 * @throws {Problem} `upstream_too_large` beyond the limits, `upstream_invalid` for lists that are none, and what
 *   {@link Connection.request} gives.
 */
export async function fetchSurface(
  connection: Connection,
  scrubbers: readonly Scrubber[],
  signal: AbortSignal,
): Promise<Surface> {
  const lists: Record<(typeof LISTS)[number]["key"], readonly JsonObject[]> = {
    tools: [],
    prompts: [],
    resources: [],
    resourceTemplates: [],
  };
  let bytes = 0;
  for (const { key, method, capability } of LISTS) {
    if (connection.capabilities[capability] === undefined) continue;
    lists[key] = await fetchList(connection, { key, method }, signal, (page) => {
      bytes += JSON.stringify(page).length;
      if (bytes > SURFACE_BYTES_MAX) throw tooMuch();
    });
  }
  const { instructions, capabilities } = connection;
  const offered = { ...lists, ...(instructions === undefined ? {} : { instructions }), capabilities };
  const { value } = await scrubInTurns(offered as JsonObject, scrubbers, createTurns());
  const surface = { instructions: undefined, ...value } as unknown as Omit<Surface, "digest">;
  return { ...surface, digest: createHash("sha256").update(canonicalJson(value)).digest("hex") };
}

async function fetchList(
  connection: Connection,
  { key, method }: { readonly key: string; readonly method: string },
  signal: AbortSignal,
  weigh: (page: JsonObject) => void,
): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = [];
  const seen = new Set<JsonValue>();
  let cursor: JsonValue | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const result = await requestPage(connection, method, cursor, signal);
    if (result === undefined) return items;
    weigh(result);
    const found = result[key];
    if (!Array.isArray(found) || !found.every(isObject)) {
      throw new Problem("upstream_invalid", { detail: `the server's answer to \`${method}\` is no list` });
    }
    items.push(...(found as readonly JsonObject[]));
    if (items.length > ITEMS_MAX) throw tooMuch();
    cursor = result["nextCursor"];
    if (typeof cursor !== "string" || cursor === "") return items;
    if (seen.has(cursor)) throw new Problem("upstream_invalid", { detail: `the server's \`${method}\` never ends` });
    seen.add(cursor);
  }
  throw tooMuch();
}

/** Some servers declare what they do not have. */
async function requestPage(
  connection: Connection,
  method: string,
  cursor: JsonValue | undefined,
  signal: AbortSignal,
): Promise<JsonObject | undefined> {
  try {
    return await connection.request(method, cursor === undefined ? {} : { cursor }, { signal });
  } catch (error) {
    if (error instanceof UpstreamRpcError && error.code === METHOD_NOT_FOUND) return undefined;
    throw error;
  }
}

function tooMuch(): Problem {
  return new Problem("upstream_too_large", { detail: "the server offers more than can be looked at" });
}
