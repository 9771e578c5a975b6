import type { JsonValue } from "../base/json.ts";
import type { ConfigPath } from "./schema.ts";

/** Stands in for a faulty policy, so that the indices of the others are the file's. */
const NO_POLICY: JsonValue = { id: "left-out", effect: "forbid", on: "*" };

/**
 * A copy of the file's value without its faulty entries, so that the rest can be checked in the same run.
 *
 * What is left is for finding more faults only; it is never loaded.
 *
 * @param faulty - Paths of the faults; each takes the smallest entry with it that can go alone.
 */
export function salvage(value: JsonValue, faulty: readonly ConfigPath[]): JsonValue {
  const copy = structuredClone(value) as MutableJson;
  if (typeof copy !== "object" || copy === null || Array.isArray(copy)) return { version: 1 };
  for (const path of faulty) leaveOut(copy, entryOf(path));
  return { ...copy, version: 1 };
}

type MutableJson = { [key: string]: MutableJson };

/** The path of the entry that a fault at `path` spoils. */
function entryOf(path: ConfigPath): ConfigPath {
  const [section, , third] = path;
  switch (section) {
    case "services":
      if (third === "operations") return path.slice(0, path[4] === "approval" || path[4] === "ranges" ? 5 : 4);
      if (third === "headers" || third === "limits") return path.slice(0, 4);
      return third === "url" || third === "mcp" ? path.slice(0, 2) : path.slice(0, 3);
    case "roles":
    case "agents":
      return path.slice(0, 3);
    case "policies":
      return path.slice(0, 2);
    default:
      return path.slice(0, 2);
  }
}

function leaveOut(root: MutableJson, path: ConfigPath): void {
  let parent: MutableJson | undefined = root;
  for (const step of path.slice(0, -1)) {
    if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, step)) return;
    parent = parent[step];
  }
  const last = path.at(-1);
  if (last === undefined || typeof parent !== "object" || parent === null || !Object.hasOwn(parent, last)) return;
  if (Array.isArray(parent)) parent[Number(last)] = NO_POLICY;
  else delete parent[last];
}
