import { type Document, isMap, isScalar, isSeq, type LineCounter, type Node } from "yaml";
import type { ConfigPath, Locate } from "./schema.ts";

/** Finds places in a document. Both never throw, and take the nearest place that exists. */
export interface Places {
  /** The value at a path when it begins on its key's line, else the key. */
  readonly value: Locate;
  /** The key at a path. */
  readonly key: Locate;
  readonly offset: (offset: number) => ReturnType<Locate>;
}

/** Indexes a document lazily: a path costs its length, whatever the size of the maps that it goes through. */
export function createPlaces(document: Document.Parsed, lines: LineCounter): Places {
  const index = new WeakMap<object, Map<string, Entry>>();
  const offset = (at: number) => {
    const { line, col } = lines.linePos(at);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const entriesOf = (node: Node): Map<string, Entry> => {
    const entries = index.get(node) ?? readEntries(node);
    index.set(node, entries);
    return entries;
  };
  const find = (path: ConfigPath): Entry => {
    let found: Entry = { key: startOf(document.contents) ?? 0, value: document.contents };
    for (const step of path) {
      const next = found.value === null ? undefined : entriesOf(found.value).get(String(step));
      if (next === undefined) return { key: found.key, value: null };
      found = next;
    }
    return found;
  };
  return {
    offset,
    key: (path) => offset(find(path).key),
    value: (path) => {
      const { key, value } = find(path);
      const at = offset(key);
      const start = startOf(value);
      if (start === undefined) return at;
      const valueAt = offset(start);
      return valueAt.line === at.line ? valueAt : at;
    },
  };
}

interface Entry {
  readonly key: number;
  readonly value: Node | null;
}

function readEntries(node: Node): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  if (isMap(node)) {
    for (const { key, value } of node.items as { key: Node | null; value: Node | null }[]) {
      if (isScalar(key) && !entries.has(String(key.value)))
        entries.set(String(key.value), { key: startOf(key) ?? 0, value });
    }
  } else if (isSeq(node)) {
    for (const [position, item] of (node.items as (Node | null)[]).entries()) {
      entries.set(String(position), { key: startOf(item) ?? startOf(node) ?? 0, value: item });
    }
  }
  return entries;
}

function startOf(node: Node | null): number | undefined {
  return node?.range?.[0];
}
