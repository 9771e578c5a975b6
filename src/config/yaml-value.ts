import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import type { JsonValue } from "../base/json.ts";
import { looksLikeSecret } from "./plaintext-secret.ts";
import { quote } from "./quote.ts";
import type { ConfigPath } from "./schema.ts";
import { MAX_YAML_DEPTH } from "./yaml-document.ts";

/** Aliases are followed, but not into a bomb: nodes of the value, with each alias counted as what it stands for. */
const MAX_VALUE_NODES = 500_000;

/** A fault at a node, with the path that leads to it. */
export interface ValueFault {
  readonly path: ConfigPath;
  readonly offset: number;
  readonly problem: string;
  readonly remedy: string;
}

/**
 * The plain value of a YAML document, and what in it no configuration may hold.
 *
 * Refused: duplicate keys, keys that are not plain text or are `__proto__`, tags, merge keys, recursive and exploding
 * aliases, and texts of a known secret's shape, wherever they stand.
 *
 * @returns `value` leaves the faulty parts out. Linear in the nodes; never throws.
 */
export function readYamlValue(document: Document.Parsed): {
  readonly value: JsonValue;
  readonly faults: readonly ValueFault[];
} {
  const reading: Reading = { faults: [], nodes: 0, open: new Set(), anchors: new Map() };
  return { value: readNode(reading, document.contents, []) ?? null, faults: reading.faults };
}

interface Reading {
  readonly faults: ValueFault[];
  nodes: number;
  /** Nodes that are being read: an alias to one of them is a circle. */
  readonly open: Set<Node>;
  /** In the order of the file: an alias means the nearest anchor before it. */
  readonly anchors: Map<string, Node>;
}

function readNode(reading: Reading, node: Node | null, path: ConfigPath): JsonValue | undefined {
  if (node === null) return null;
  const fault = (problem: string, remedy: string): undefined => {
    reading.faults.push({ path, offset: node.range?.[0] ?? 0, problem, remedy });
  };
  if (++reading.nodes === MAX_VALUE_NODES) return fault("the aliases stand for too much", "write the values out");
  if (reading.nodes > MAX_VALUE_NODES) return undefined;
  if (isAlias(node)) {
    const target = reading.anchors.get(node.source);
    if (target === undefined || reading.open.has(target))
      return fault(`the alias ${quote(`*${node.source}`)} leads nowhere`, "put a text that begins with `*` in quotes");
    return readNode(reading, target, path);
  }
  if (node.anchor !== undefined) reading.anchors.set(node.anchor, node);
  if (node.tag !== undefined) return fault(`the tag ${quote(node.tag)} means nothing here`, "remove the tag");
  if (path.length > MAX_YAML_DEPTH)
    return fault("the file is nested too deeply", `nest at most ${MAX_YAML_DEPTH} levels`);
  if (isScalar(node)) return readScalar(node.value, fault);
  reading.open.add(node);
  const value = isMap(node)
    ? readMap(reading, node, path)
    : isSeq(node)
      ? readList(reading, node.items, path)
      : undefined;
  reading.open.delete(node);
  return value;
}

function readScalar(value: unknown, fault: (problem: string, remedy: string) => undefined): JsonValue | undefined {
  switch (typeof value) {
    case "string":
      if (looksLikeSecret(value))
        return fault(
          "this looks like a secret, and no secret may stand in this file",
          "store it with `doorward secret set NAME --stdin` and name it under `credential:`",
        );
      return value.isWellFormed() ? value : fault("the text has half a surrogate pair", "write the character itself");
    case "number":
      return Number.isFinite(value) ? value : fault("the number is not finite", "write a finite number");
    case "boolean":
      return value;
    default:
      return value === null ? null : fault("this is not a plain value", "write a text, number or boolean");
  }
}

function readList(reading: Reading, items: readonly unknown[], path: ConfigPath): JsonValue {
  // A faulty item stays in the list as null, so that the indices of the others are the file's.
  return items.map(
    (item, index) => readNode(reading, isPair(item) ? null : (item as Node | null), [...path, index]) ?? null,
  );
}

function readMap(reading: Reading, map: YAMLMap, path: ConfigPath): JsonValue {
  const value: { [key: string]: JsonValue } = {};
  for (const pair of map.items as Pair<Node | null, Node | null>[]) {
    const key = readKey(reading, pair, path);
    if (key === undefined) continue;
    if (Object.hasOwn(value, key)) {
      reading.faults.push({
        path: [...path, key],
        offset: pair.key?.range?.[0] ?? 0,
        problem: `the key ${quote(key)} stands twice`,
        remedy: "keep one of the two",
      });
      continue;
    }
    const entry = readNode(reading, pair.value, [...path, key]);
    if (entry !== undefined) value[key] = entry;
  }
  return value;
}

function readKey(reading: Reading, { key }: Pair<Node | null, Node | null>, path: ConfigPath): string | undefined {
  const offset = key?.range?.[0] ?? 0;
  const refuse = (problem: string, remedy: string): undefined => {
    reading.faults.push({ path, offset, problem, remedy });
  };
  const text = isScalar(key) && key.tag === undefined ? key.value : undefined;
  if (typeof text !== "string") return refuse("a key is not a plain text", "put the key in quotes");
  if (text === "__proto__") return refuse("a key may not be `__proto__`", "choose another name");
  if (text === "<<") return refuse("merge keys are not read", "write the keys out");
  if (looksLikeSecret(text))
    return refuse("a key looks like a secret", "store it with `doorward secret set NAME --stdin`");
  return text;
}
