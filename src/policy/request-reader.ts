import type { JsonValue } from "../base/json.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import type { CelReview, Names } from "./cel-review.ts";
import { type CelSize, celMap, toCelValue } from "./cel-values.ts";

/** One request, as the rules of one decision read it; each part is turned into values of expressions once. */
export interface RequestReader {
  readonly request: CanonicalRequest;
  /** Keys that stand once. */
  query(): ReadonlyMap<string, unknown>;
  /** Every key, each with the list of its values. */
  queries(): ReadonlyMap<string, unknown>;
  headers(): ReadonlyMap<string, unknown>;
  /**
   * The parsed body; `undefined` when there is none that can be parsed.
   *
   * @throws {CelTooLarge}
   */
  body(): { readonly value: unknown; readonly size: CelSize } | undefined;
  /** What the rule may have to look at, in characters and values; the body only if the review says that it is read. */
  sizeFor(review: CelReview): CelSize;
}

/** Makes the reader of one decision. */
export function createRequestReader(request: CanonicalRequest): RequestReader {
  return new LazyReader(request);
}

class LazyReader implements RequestReader {
  readonly request: CanonicalRequest;
  #groups: ReadonlyMap<string, string[]> | undefined;
  #query: ReadonlyMap<string, unknown> | undefined;
  #queries: ReadonlyMap<string, unknown> | undefined;
  #headers: ReadonlyMap<string, unknown> | undefined;
  #body: { readonly read: { readonly value: unknown; readonly size: CelSize } | undefined } | undefined;
  #headerCharacters = -1;

  constructor(request: CanonicalRequest) {
    this.request = request;
  }

  query(): ReadonlyMap<string, unknown> {
    this.#query ??= celMap(singles(this.#grouped()));
    return this.#query;
  }

  queries(): ReadonlyMap<string, unknown> {
    this.#queries ??= celMap(this.#grouped());
    return this.#queries;
  }

  headers(): ReadonlyMap<string, unknown> {
    this.#headers ??= celMap(joinHeaders(this.request));
    return this.#headers;
  }

  body(): { readonly value: unknown; readonly size: CelSize } | undefined {
    if (this.#body === undefined) {
      const json = readableBody(this.request);
      this.#body = { read: json === undefined ? undefined : toCelValue(json) };
    }
    return this.#body.read;
  }

  sizeFor(review: CelReview): CelSize {
    const { path, search, query, headers, segments } = this.request;
    if (this.#headerCharacters === -1) this.#headerCharacters = charactersOf(headers);
    const read = readsAny(review.reads.body) ? this.body()?.size : undefined;
    return {
      values: query.length + headers.length + segments.length + (read?.values ?? 0),
      characters: path.length + search.length * 2 + this.#headerCharacters + (read?.characters ?? 0),
    };
  }

  #grouped(): ReadonlyMap<string, string[]> {
    this.#groups ??= groupQuery(this.request);
    return this.#groups;
  }
}

function singles(groups: ReadonlyMap<string, string[]>): [string, string][] {
  const single: [string, string][] = [];
  for (const [key, values] of groups) if (values.length === 1) single.push([key, values[0] ?? ""]);
  return single;
}

function charactersOf(headers: CanonicalRequest["headers"]): number {
  let characters = 0;
  for (const [name, value] of headers) characters += name.length + value.length;
  return characters;
}

/**
 * The name that a rule reads but that stands several times in the query or form; `undefined` when there is none.
 *
 * Which of the values counts is for the service to choose, so a rule that compared one of them could be led past.
 * A form key that ends in `[]` is a list by its own word.
 */
export function ambiguousRead(review: CelReview, request: CanonicalRequest): string | undefined {
  const { query, body } = review.reads;
  if (readsAny(query)) {
    const seen = new Set<string>();
    for (const [key] of request.query) {
      if (seen.has(key) && reads(query, key)) return `query key \`${key}\``;
      seen.add(key);
    }
  }
  if (request.content.kind === "form" && readsAny(body)) {
    for (const [key, value] of Object.entries(request.content.value)) {
      if (Array.isArray(value) && !key.endsWith("[]") && reads(body, key)) return `form key \`${key}\``;
    }
  }
  return undefined;
}

/** Whether the expression reads any of it. */
export function readsAny(names: Names): boolean {
  return names === "all" || names.size > 0;
}

function reads(names: Names, key: string): boolean {
  return names === "all" || names.has(key);
}

/** The body as JSON; `undefined` for none and for what is opaque. */
export function readableBody(request: CanonicalRequest): JsonValue | undefined {
  const { content } = request;
  return content.kind === "json" || content.kind === "form" ? content.value : undefined;
}

function groupQuery(request: CanonicalRequest): ReadonlyMap<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [key, value = ""] of request.query) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}

function joinHeaders(request: CanonicalRequest): ReadonlyMap<string, string> {
  const joined = new Map<string, string>();
  for (const [name, value] of request.headers) {
    const known = joined.get(name);
    joined.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  return joined;
}
