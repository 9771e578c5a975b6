import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { collectSurfaces } from "./collect-surfaces.ts";
import type { DispatchContext } from "./dispatch.ts";
import type { FaceDeps } from "./face.ts";
import { mcpServicesFor } from "./known-services.ts";
import { callable, exposed, ITEM_LISTS } from "./list-items.ts";
import { structured, type Tool } from "./tool.ts";
import { onlyArguments } from "./tool-arguments.ts";

export const FIND_TOOLS = "doorward_find_tools";
const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 50;
const MAX_QUERY_CHARACTERS = 500;
/** Words of a query that count. */
const MAX_WORDS = 20;
const TOOLS = ITEM_LISTS.get("tools/list")!;

const INPUT = {
  type: "object",
  additionalProperties: false,
  required: ["query"],
  properties: {
    query: { type: "string", description: "Words of what the tool should do" },
    service: { type: "string", description: "Only tools of this service" },
    limit: { type: "integer", minimum: 1, maximum: MAX_LIMIT },
  },
} as const satisfies JsonObject;

const OUTPUT = {
  type: "object",
  required: ["tools", "more"],
  properties: {
    tools: { type: "array", items: { type: "object" } },
    more: { type: "integer", description: "How many others match" },
  },
} as const satisfies JsonObject;

/** `doorward_find_tools`: searches the tools that the caller may call, also those that `tools/list` has no room for. */
export function createFindToolsTool(deps: FaceDeps): Tool {
  return {
    definition: {
      name: FIND_TOOLS,
      title: "Find tools",
      description:
        "Searches the tools of all MCP servers that you may use, by name and description, and gives their definitions. Call a tool by the name found here, also when it is not in the list of tools.",
      inputSchema: INPUT,
      outputSchema: OUTPUT,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async run(args, context) {
      const { words, service, limit } = readQuery(args);
      const found = await search(deps, context, service, words);
      return structured({ tools: found.slice(0, limit), more: Math.max(0, found.length - limit) });
    },
  };
}

function readQuery(args: JsonObject) {
  onlyArguments(args, Object.keys(INPUT.properties));
  const { query, service, limit = DEFAULT_LIMIT } = args;
  if (typeof query !== "string" || query.length > MAX_QUERY_CHARACTERS) {
    throw invalid(`\`query\` must be a text of at most ${MAX_QUERY_CHARACTERS} characters`);
  }
  if (service !== undefined && typeof service !== "string") throw invalid("`service` must be a text");
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalid(`\`limit\` must be a whole number from 1 to ${MAX_LIMIT}`);
  }
  return { words: wordsOf(query).slice(0, MAX_WORDS), service, limit };
}

async function search(
  deps: FaceDeps,
  context: DispatchContext,
  only: string | undefined,
  words: readonly string[],
): Promise<readonly JsonObject[]> {
  const known = mcpServicesFor(deps.snapshot(), context.principal);
  const services = only === undefined ? known : known.filter(({ config }) => config.name === only);
  if (only !== undefined && services.length === 0) {
    throw new Problem("unknown_service", { detail: `there is no MCP server \`${only.slice(0, 64)}\`` });
  }
  const { offered } = await collectSurfaces(deps, context, services, only === undefined ? "all" : "named");
  const tools = offered.flatMap(({ service, surface }) =>
    exposed(service, surface, TOOLS, callable(deps, context, service, surface, TOOLS)),
  );
  return tools
    .map((tool) => ({ tool, score: scoreOf(tool, words) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ tool }) => tool);
}

/** A word in the name says more than one in the title, and that more than one in the description. */
function scoreOf({ name, title, description }: JsonObject, words: readonly string[]): number {
  if (words.length === 0) return 1;
  const texts = [name, title, description].map((text) => (typeof text === "string" ? text.toLowerCase() : ""));
  const score = (word: string) =>
    [8, 4, 1].reduce((sum, weight, at) => sum + (texts[at]!.includes(word) ? weight : 0), 0);
  return words.reduce((sum, word) => sum + score(word), 0);
}

function wordsOf(query: string): readonly string[] {
  return [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])];
}

function invalid(detail: string): Problem {
  return new Problem("invalid_request", { detail });
}
