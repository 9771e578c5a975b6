import { createHash } from "node:crypto";
import type { JsonObject, JsonValue } from "../base/json.ts";
import type { Surface } from "./surface.ts";

/**
 * What can be pinned.
 *
 * Single resources are not: their list is data (files, rows, tickets) that changes all day; the templates that make them are.
 */
export type PinKind = "tool" | "prompt" | "template" | "instructions" | "package";

/** One definition that a model would read, under the name by which it is called. */
export interface PinnedItem {
  readonly kind: PinKind;
  /** Tool or prompt name, URI template; `instructions` for the instructions. */
  readonly name: string;
  /** SHA-256 (hex) of {@link PinnedItem.text}. */
  readonly digest: string;
  /** The whole definition as canonical JSON: every field, known or not. */
  readonly text: string;
  /** How often the surface has it: more than once is ambiguous, and `text` is the list of all. */
  readonly count: number;
}

/** A longer definition is pinned by its digest alone: it is not kept for a diff. */
export const MAX_KEPT_CHARACTERS = 256 * 1024;

/** The name under which a server's instructions are pinned. */
export const INSTRUCTIONS_NAME = "instructions";

const NAME_FIELDS = { tools: "name", prompts: "name", resourceTemplates: "uriTemplate" } as const;
const KINDS = { tools: "tool", prompts: "prompt", resourceTemplates: "template" } as const satisfies Record<
  string,
  PinKind
>;

/** Lists of a surface whose members are pinned. */
export type PinnedList = keyof typeof NAME_FIELDS;

const PINNED_LISTS: readonly PinnedList[] = ["tools", "prompts", "resourceTemplates"];

/** The kind of a list's members. */
export function kindOf(list: PinnedList): PinKind {
  return KINDS[list];
}

/** By what a member of a list is called; `undefined` when it has no usable name, and then it can neither be pinned nor offered. */
export function nameIn(list: PinnedList, definition: JsonObject): string | undefined {
  const name = definition[NAME_FIELDS[list]];
  return typeof name === "string" && name !== "" && name.isWellFormed() ? name : undefined;
}

/** The definitions of a surface, each name once, in the surface's order. Never throws. */
export function itemsOf(surface: Surface): readonly PinnedItem[] {
  const items: PinnedItem[] = [];
  for (const list of PINNED_LISTS) {
    const byName = new Map<string, JsonObject[]>();
    for (const definition of surface[list]) {
      const name = nameIn(list, definition);
      if (name === undefined) continue;
      const same = byName.get(name);
      if (same === undefined) byName.set(name, [definition]);
      else same.push(definition);
    }
    for (const [name, same] of byName) items.push(itemOf(kindOf(list), name, same));
  }
  if (surface.instructions !== undefined && surface.instructions !== "")
    items.push(itemOf("instructions", INSTRUCTIONS_NAME, [surface.instructions]));
  return items;
}

/** One item; several definitions under one name count as the list of them. */
export function itemOf(kind: PinKind, name: string, definitions: readonly JsonValue[]): PinnedItem {
  const [first = null] = definitions;
  const text = canonicalJson(definitions.length === 1 ? first : definitions);
  return { kind, name, digest: sha256(text), text, count: definitions.length };
}

/** One digest over a whole surface, single resources included: equal surfaces have equal digests. */
export function surfaceDigest(surface: Omit<Surface, "digest">): string {
  const { tools, prompts, resources, resourceTemplates, instructions = null, capabilities } = surface;
  return sha256(canonicalJson([tools, prompts, resources, resourceTemplates, instructions, capabilities]));
}

/** JSON with sorted keys and without white space: equal data has one text, whatever order it was written in. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value as JsonObject).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
