import { createHash } from "node:crypto";

/** What clients take as the name of a tool or prompt. */
const MAX_NAME_CHARACTERS = 64;
const PLAIN_NAME = /^[A-Za-z0-9_-]+$/;
/** Between a service and its item. No name of a service has a `_`, so the first one splits. */
const SEPARATOR = "__";
/** A longer name of a service is cut, so that something is left for the item. */
const MAX_PREFIX_CHARACTERS = 40;
const HASH_CHARACTERS = 8;

/** The names of one service's items as `/mcp` shows them, and back. */
export interface NameTable {
  /** By the upstream's own name. */
  readonly exposed: ReadonlyMap<string, string>;
  /** By the name that is shown. */
  readonly own: ReadonlyMap<string, string>;
}

/**
 * Names the items of a service for the surface that all services share: `github__create_issue`.
 *
 * A name that is too long, or has other characters than clients take, is cut and ends in a hash of the whole. Names
 * that fit stand as they are, whatever the others are called; between two that are cut alike the order of their own
 * names decides. The same names give the same table, so it need not be kept.
 */
export function nameTable(service: string, names: readonly string[]): NameTable {
  const exposed = new Map<string, string>();
  const own = new Map<string, string>();
  const add = (name: string, shown: string) => {
    exposed.set(name, shown);
    own.set(shown, name);
  };
  const sorted = [...new Set(names)].sort();
  for (const name of sorted) {
    const whole = plainName(service, name);
    if (whole !== undefined) add(name, whole);
  }
  for (const name of sorted) {
    if (exposed.has(name)) continue;
    let round = 0;
    while (own.has(cutName(service, name, round))) round += 1;
    add(name, cutName(service, name, round));
  }
  return { exposed, own };
}

/** What a service's items begin with, before the separator: its name, cut when it is very long. */
export function exposedPrefix(service: string): string {
  if (service.length <= MAX_PREFIX_CHARACTERS) return service;
  return `${service.slice(0, MAX_PREFIX_CHARACTERS - HASH_CHARACTERS - 1)}-${hash(service)}`;
}

/** A name of the shared surface in its parts. */
export interface SplitName {
  readonly prefix: string;
  readonly rest: string;
  /** Whether the rest may be a cut name, so that only the table knows what it stands for. */
  readonly maybeCut: boolean;
}

/** @returns `undefined` when the name is of no service's item. */
export function splitName(shown: string): SplitName | undefined {
  const at = shown.indexOf(SEPARATOR);
  if (at <= 0) return undefined;
  const rest = shown.slice(at + SEPARATOR.length);
  return { prefix: shown.slice(0, at), rest, maybeCut: /_[0-9a-f]{8}$/.test(rest) };
}

function plainName(service: string, name: string): string | undefined {
  const whole = `${service}${SEPARATOR}${name}`;
  const fits = service.length <= MAX_PREFIX_CHARACTERS && whole.length <= MAX_NAME_CHARACTERS;
  return fits && PLAIN_NAME.test(name) ? whole : undefined;
}

function cutName(service: string, name: string, round: number): string {
  const readable = `${exposedPrefix(service)}${SEPARATOR}${name.replace(/[^A-Za-z0-9_-]+/g, "_")}`;
  const suffix = hash(`${service}\0${name}\0${round}`);
  return `${readable.slice(0, MAX_NAME_CHARACTERS - HASH_CHARACTERS - 1)}_${suffix}`;
}

function hash(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex").slice(0, HASH_CHARACTERS);
}
