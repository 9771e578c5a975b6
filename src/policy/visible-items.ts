import type { Principal } from "../identity/principal.ts";
import { type McpItem, speaksOf } from "./operation-items.ts";
import type { CompiledMcpService, CompiledOperation, Snapshot } from "./snapshot.ts";
import { callableOperations } from "./visible-operations.ts";

/** Items of one kind, by the upstream's own names; of resources their URIs, of templates their URI templates. */
export interface ListedItems {
  readonly kind: "tools" | "prompts" | "resources" | "templates";
  readonly names: readonly string[];
}

const ITEM_OF = { tools: "tool", prompts: "prompt", resources: "resource", templates: "template" } as const;

/**
 * Which of an upstream's items a principal may call now: what a listing shows.
 *
 * The same rules as for a call. An item that several operations speak of needs each of them; what depends on the
 * arguments counts as if it held, and is decided when the call comes.
 *
 * @returns In the order given. Costs names × patterns of the service.
 */
export function visibleItems(
  snapshot: Snapshot,
  principal: Principal,
  service: CompiledMcpService,
  { kind, names }: ListedItems,
  now: Date,
): readonly string[] {
  const operationsNow = callableOperations({ snapshot, principal, service, now });
  const callable = new Set(operationsNow.map(({ operation }) => operation));
  if (callable.size === 0) return [];
  const operations = [...service.operations.values()].filter(({ items }) => items !== undefined);
  return names.filter((name) => isVisible({ item: ITEM_OF[kind], name }, operations, callable));
}

function isVisible(
  item: McpItem,
  operations: readonly CompiledOperation[],
  callable: ReadonlySet<CompiledOperation>,
): boolean {
  let found = false;
  for (const operation of operations) {
    const { items } = operation;
    if (items === undefined || !speaksOf(items, item)) continue;
    if (callable.has(operation)) found = true;
    else if (!isConditional(operation, item)) return false;
  }
  return found;
}

/** Whether the operation may turn out not to speak of a call of the item. */
function isConditional({ items }: CompiledOperation, { item }: McpItem): boolean {
  if (item === "template") return true;
  return items?.arguments !== undefined && (item === "tool" || item === "prompt");
}
