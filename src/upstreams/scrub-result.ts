import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Turns } from "../base/turns.ts";
import type { Scrubber } from "../credentials/scrubber.ts";

/** A value that came from an upstream, without what must not be seen. */
export interface ScrubbedValue<T extends JsonValue> {
  readonly value: T;
  readonly redacted: number;
}

/** Nested arrays and objects of one message. Deeper ones are not relayed. */
export const RESULT_DEPTH_MAX = 64;
/** Keys and values of one message, each of which costs far more than its bytes. */
export const RESULT_VALUES_MAX = 500_000;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const BASE64_DATA_URL = /^data:[^,]{0,256};base64,/i;
/** A longer text is looked through in pieces: hostile text takes a millisecond for each KiB. */
const PIECE_BYTES = 16 * 1024;
/** Values and texts that are looked at between two pauses. */
const STEPS = 256;
/** What one message may take of one turn of the event loop. */
const TURN_MS = 20;
/** A shorter number holds no secret that is looked for. */
const NUMBER_CHARACTERS_MIN = 8;

/**
 * Takes the credentials out of a message of an upstream: of every text in it, of keys, of numbers, and of what stands in
 * blobs as base64 (decoded, scrubbed, encoded again).
 *
 * Each text is looked at on its own; a secret that is spread over several texts is not put together.
 *
 * @param scrubbers - All are applied; none: the value itself comes back.
 * @throws {Problem} `upstream_invalid` when the value is nested deeper than {@link RESULT_DEPTH_MAX}, `upstream_too_large` when
 *   it holds more than {@link RESULT_VALUES_MAX} keys and values.
 */
export function scrubResult<T extends JsonValue>(value: T, scrubbers: readonly Scrubber[]): ScrubbedValue<T> {
  const pass = new ScrubPass(scrubbers);
  const steps = pass.value(value, 0);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { value: step.value as T, redacted: pass.redacted };
  }
}

/** The same, for what may be large: others have their turns meanwhile. */
export async function scrubInTurns<T extends JsonValue>(
  value: T,
  scrubbers: readonly Scrubber[],
  turns: Turns,
): Promise<ScrubbedValue<T>> {
  const pass = new ScrubPass(scrubbers);
  const steps = pass.value(value, 0);
  let begunAt = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { value: step.value as T, redacted: pass.redacted };
    if (performance.now() - begunAt < TURN_MS) continue;
    await turns.next();
    begunAt = performance.now();
  }
}

/** Work that can be paused wherever it yields. */
type Steps<T> = Generator<void, T, void>;

/** One walk over one message. A class because the counts belong to the walk. */
class ScrubPass {
  redacted = 0;
  #values = 0;
  #steps = 0;
  readonly #scrubbers: readonly Scrubber[];

  constructor(scrubbers: readonly Scrubber[]) {
    this.#scrubbers = scrubbers;
  }

  *value(value: JsonValue, depth: number): Steps<JsonValue> {
    if (depth > RESULT_DEPTH_MAX) throw new Problem("upstream_invalid", { detail: "the answer is nested too deep" });
    if (++this.#values > RESULT_VALUES_MAX) throw new Problem("upstream_too_large");
    if (++this.#steps % STEPS === 0) yield;
    if (typeof value === "string") return yield* this.#text(value);
    if (typeof value === "number") return yield* this.#number(value);
    if (Array.isArray(value)) return yield* this.#list(value, depth);
    if (typeof value === "object" && value !== null) return yield* this.#object(value as JsonObject, depth);
    return value;
  }

  *#list(items: readonly JsonValue[], depth: number): Steps<JsonValue> {
    const clean: JsonValue[] = [];
    for (const item of items) clean.push(yield* this.value(item, depth + 1));
    return clean;
  }

  *#text(text: string): Steps<string> {
    const head = BASE64_DATA_URL.exec(text)?.[0];
    const decoded = head === undefined ? undefined : yield* this.#blob(text.slice(head.length));
    return yield* this.#plain(decoded === undefined ? text : `${head}${decoded}`);
  }

  *#plain(text: string): Steps<string> {
    let clean = text;
    for (const scrubber of this.#scrubbers) {
      const { bytes, redacted } = yield* this.#bytes(scrubber, Buffer.from(clean, "utf8"));
      if (redacted > 0) clean = Buffer.from(bytes).toString("utf8");
    }
    return clean;
  }

  *#bytes(scrubber: Scrubber, bytes: Uint8Array): Steps<ReturnType<Scrubber["bytes"]>> {
    if (bytes.length <= PIECE_BYTES) return this.#counted(scrubber.bytes(bytes));
    const stream = scrubber.stream();
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const out = stream.push(bytes.subarray(at, at + PIECE_BYTES));
      if (out instanceof Uint8Array) parts.push(out);
      else parts.push(...out);
      yield;
    }
    parts.push(stream.end());
    const { redacted } = stream;
    return this.#counted({ bytes: redacted === 0 ? bytes : Buffer.concat(parts), redacted });
  }

  #counted(scrubbed: ReturnType<Scrubber["bytes"]>): ReturnType<Scrubber["bytes"]> {
    this.redacted += scrubbed.redacted;
    return scrubbed;
  }

  /** A secret of digits alone may come as a number. */
  *#number(value: number): Steps<JsonValue> {
    const text = String(value);
    if (text.length < NUMBER_CHARACTERS_MIN) return value;
    const clean = yield* this.#plain(text);
    return clean === text ? value : clean;
  }

  *#object(value: JsonObject, depth: number): Steps<JsonObject> {
    const clean: Record<string, JsonValue> = {};
    for (const [key, item] of Object.entries(value)) {
      if (key === "__proto__") continue;
      const name = yield* this.#plain(key);
      const isBlob = typeof item === "string" && (key === "blob" || (key === "data" && isMedia(value)));
      clean[name] = isBlob ? yield* this.#plain((yield* this.#blob(item)) ?? item) : yield* this.value(item, depth + 1);
    }
    return clean;
  }

  /** @returns `undefined` when it is not base64, or nothing in it had to go. */
  *#blob(encoded: string): Steps<string | undefined> {
    if (this.#scrubbers.length === 0 || encoded.length % 4 !== 0 || !BASE64.test(encoded)) return undefined;
    let bytes: Uint8Array = Buffer.from(encoded, "base64");
    const before = this.redacted;
    for (const scrubber of this.#scrubbers) bytes = (yield* this.#bytes(scrubber, bytes)).bytes;
    return this.redacted === before ? undefined : Buffer.from(bytes).toString("base64");
  }
}

/** Images and audio of content lists. */
function isMedia(value: JsonObject): boolean {
  return value["type"] === "image" || value["type"] === "audio";
}
