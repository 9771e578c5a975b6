import type { JsonValue } from "../base/json.ts";
import { confusableForm } from "./surface-confusables.ts";
import { MAX_KEPT_CHARACTERS, type PinnedItem } from "./surface-digest.ts";
import { hidesText } from "./surface-hidden.ts";

/** Something about a definition that a person should know before agents read it. */
export interface ReviewFlag {
  readonly flag:
    | "hidden_characters"
    | "odd_name"
    | "mixed_scripts"
    | "confusable"
    | "shadows"
    | "duplicate"
    | "instructs"
    | "mentions"
    | "oversized";
  /** A hard flag holds the item at the first look already. */
  readonly hard: boolean;
  /** One clause; quotes nothing that could hide. */
  readonly detail: string;
}

/** Whom else the name of an item could be taken for. */
export interface ReviewContext {
  /** What the names of this surface's tools look like, and how many look like it. */
  readonly forms: ReadonlyMap<string, number>;
  /** Tools of other services: name → service. */
  readonly elsewhere: ReadonlyMap<string, string>;
}

/** Looks at the names of a surface's tools, so that each can be compared with the others. */
export function formsOf(items: readonly PinnedItem[]): ReadonlyMap<string, number> {
  const forms = new Map<string, number>();
  for (const { kind, name } of items) {
    if (kind !== "tool") continue;
    const form = confusableForm(name);
    forms.set(form, (forms.get(form) ?? 0) + 1);
  }
  return forms;
}

/** A longer definition costs every model that reads it, and hides things by its length alone. */
const MAX_DEFINITION_CHARACTERS = 64 * 1024;
const MAX_PROSE_CHARACTERS = 8 * 1024;
/** Shorter names of other tools are words that any text may hold. */
const MIN_MENTIONED_CHARACTERS = 6;

/** What the specification allows in a name. */
const PLAIN_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** Speech to a model rather than about a tool. Seen in attacks; sober descriptions hold it too, so it holds nothing back. */
const INSTRUCTS =
  /<\s*\/?\s*(important|system|secret|instructions?|admin|critical)\b[^>]*>|\b(ignore|disregard|forget) (all |any |the |your )*(previous|prior|above|earlier|other) |\b(do not|don't|never) (tell|mention|inform|show|reveal|notify)\b|\bbefore (using|calling) (this|any|every|other)|\bwithout (telling|asking|informing) the user|\byou (must|should) (always |first |also )*(call|use|read|send|pass|include)\b/i;

/**
 * Looks a definition over for what a person should know: hidden text, names that could be taken for others, speech to the model.
 *
 * @returns Never throws; the order is that of the checks. Cost is linear in the definition and the number of tools.
 */
export function reviewItem(item: PinnedItem, context: ReviewContext): readonly ReviewFlag[] {
  const texts = textsOf(JSON.parse(item.text) as JsonValue);
  const all = texts.join("\n");
  const flags: ReviewFlag[] = [];
  const add = (flag: ReviewFlag["flag"], detail: string, hard: "hard" | "soft") =>
    flags.push({ flag, hard: hard === "hard", detail });

  if (texts.some(hidesText)) add("hidden_characters", "it holds characters that are not seen", "hard");
  if (item.count > 1) add("duplicate", `the server lists ${item.count} items of this name`, "hard");
  if (item.kind === "tool" || item.kind === "prompt") reviewName(item, context, add);
  if (INSTRUCTS.test(all) && item.kind !== "instructions")
    add("instructs", "it speaks to the model and not about the tool", "soft");
  const mentioned = mentionedTool(item, all, context.elsewhere);
  if (mentioned !== undefined) add("mentions", `it speaks of a tool of \`${mentioned}\``, "soft");
  if (item.text.length > MAX_KEPT_CHARACTERS) add("oversized", sizeOf(item), "hard");
  else if (item.text.length > MAX_DEFINITION_CHARACTERS || texts.some((text) => text.length > MAX_PROSE_CHARACTERS))
    add("oversized", sizeOf(item), "soft");
  return flags;
}

type Add = (flag: ReviewFlag["flag"], detail: string, hard: "hard" | "soft") => void;

function reviewName(item: PinnedItem, { forms, elsewhere }: ReviewContext, add: Add): void {
  const { kind, name } = item;
  const form = confusableForm(name);
  if (!PLAIN_NAME.test(name)) add("odd_name", "its name is not letters, digits, `_`, `-` and `.` alone", "soft");
  if (mixesScripts(name)) add("mixed_scripts", "its name mixes letters of several scripts", "hard");
  if (/^doorward(_|$)/.test(form)) add("shadows", "its name is made like one of Doorward's own", "hard");
  if (kind !== "tool") return;
  if ((forms.get(form) ?? 0) > 1) add("confusable", "its name looks like that of another tool of this server", "hard");
  const service = elsewhere.get(name);
  if (service !== undefined) add("shadows", `\`${service}\` has a tool of this name`, "soft");
}

function sizeOf({ text }: PinnedItem): string {
  return `it is ${Math.ceil(text.length / 1024)} KiB long`;
}

function mentionedTool(
  { kind, name }: PinnedItem,
  text: string,
  elsewhere: ReadonlyMap<string, string>,
): string | undefined {
  const words = new Set(text.match(/[A-Za-z][\w-]*/g) ?? []);
  for (const [tool, service] of elsewhere) {
    const own = kind === "tool" && tool === name;
    if (!own && tool.length >= MIN_MENTIONED_CHARACTERS && /[_-]|[a-z][A-Z]/.test(tool) && words.has(tool))
      return service;
  }
  return undefined;
}

/** Every text in a definition, keys too. */
function textsOf(value: JsonValue): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => [
    ...(Array.isArray(value) ? [] : [key]),
    ...textsOf(member as JsonValue),
  ]);
}

const SCRIPTS = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
];

/** Whether a name mixes scripts whose letters look alike. */
function mixesScripts(name: string): boolean {
  return SCRIPTS.filter((script) => script.test(name)).length > 1;
}
