import type { Transform } from "node:stream";
import {
  brotliDecompressSync,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  constants as zlib,
  zstdDecompressSync,
} from "node:zlib";
import type { Problem } from "../base/problem.ts";
import { invalidAnswer } from "./upstream-problem.ts";

/** A content coding that can be taken off. */
export type Coding = "gzip" | "deflate" | "br" | "zstd";

/** What a request offers. Not deflate, of which two readings exist; an answer in it is understood all the same. */
export const ACCEPT_ENCODING = "gzip, br";

/** Codings laid over each other. A third has no use but to hide. */
const LAYERS_MAX = 2;

/** A frame may ask for no more window than this (8 MiB, what RFC 8878 §3.1.1.1.2 asks decoders to grant). */
const ZSTD_PARAMS = { [zlib.ZSTD_d_windowLogMax]: 23 };

const NO_CODINGS: readonly Coding[] = [];

/** What may unfold on the main thread, and reach the scrubber in one go: hostile text takes it a millisecond for each KiB. */
const WHOLE_BYTES_MAX = 64 * 1024;

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "br"],
  ["zstd", "zstd"],
]);

/**
 * Reads a `Content-Encoding` header.
 *
 * @returns The codings in the order in which they were applied; `undefined` when one is unknown or they are too many.
 */
export function parseContentEncoding(value: string): readonly Coding[] | undefined {
  if (value === "") return NO_CODINGS;
  const names = value.split(",").map((name) => name.trim().toLowerCase());
  const codings: Coding[] = [];
  for (const name of names) {
    if (name === "" || name === "identity") continue;
    const coding = CODINGS.get(name);
    if (coding === undefined || codings.length === LAYERS_MAX) return undefined;
    codings.push(coding);
  }
  return codings;
}

/** Who takes the decoded bytes. After `fail` nothing is called. */
export interface DecoderSink {
  data(chunk: Uint8Array): void;
  /** All that was written is taken; more may come. */
  drain(): void;
  end(): void;
  fail(problem: Problem): void;
}

/** Takes the codings off one body as it streams. Holds one buffer per layer, however far a bomb would unfold. */
export interface BodyDecoder {
  /** @returns `false` to ask for a pause until `drain`. */
  write(chunk: Uint8Array): boolean;
  end(): void;
  pause(): void;
  resume(): void;
  /** Stops at once; nothing is called any more. */
  destroy(): void;
}

/**
 * Makes the decoder of one body.
 *
 * @param codings - As {@link parseContentEncoding} gives them, not empty.
 * @param layerBytesMax - Cap on what passes between two layers: without it, an outer bomb that the inner layer
 *   swallows (an endless gzip file name) would cost time and yield nothing to count.
 */
export function createBodyDecoder(codings: readonly Coding[], layerBytesMax: number, sink: DecoderSink): BodyDecoder {
  const layers: Transform[] = [];
  let over = false;
  let between = 0;

  const destroy = (): void => {
    over = true;
    for (const layer of layers) layer.destroy();
  };
  const fail = (problem: Problem): void => {
    if (over) return;
    destroy();
    sink.fail(problem);
  };
  /** Makes the layer at `index` (0 is the outermost) when its first byte is there, and leads it into the next. */
  const feed = (index: number, chunk: Uint8Array): boolean => {
    let layer = layers[index];
    if (layer === undefined) {
      layer = createLayer(codings[codings.length - 1 - index]!, chunk);
      layers.push(layer);
      layer.on("error", () => fail(invalidAnswer("the answer's content encoding is damaged")));
      if (index === codings.length - 1) leadOut(layer);
      else leadOn(layer, index + 1);
    }
    return layer.write(chunk);
  };
  const leadOut = (layer: Transform): void => {
    layer.on("data", (chunk: Uint8Array) => over || sink.data(chunk));
    layer.on("end", () => over || sink.end());
  };
  const leadOn = (layer: Transform, next: number): void => {
    layer.on("data", (chunk: Uint8Array) => {
      between += chunk.length;
      if (between > layerBytesMax) return fail(invalidAnswer("the answer's content encoding unfolds without end"));
      if (over || feed(next, chunk)) return;
      layer.pause();
      layers[next]!.once("drain", () => layer.resume());
    });
    layer.on("end", () => (layers[next] === undefined ? over || sink.end() : layers[next].end()));
  };

  return {
    write: (chunk) => {
      const fresh = layers.length === 0;
      const goOn = feed(0, chunk);
      if (fresh) layers[0]!.on("drain", () => over || sink.drain());
      return goOn;
    },
    end: () => (layers[0] === undefined ? sink.end() : layers[0].end()),
    pause: () => layers.at(-1)?.pause(),
    resume: () => layers.at(-1)?.resume(),
    destroy,
  };
}

/**
 * Takes the codings off a body that is here whole.
 *
 * @param encoded - A few KiB at most: this runs on the main thread.
 * @returns `undefined` when it is damaged, or unfolds to more than {@link WHOLE_BYTES_MAX}; a decoder says which.
 */
export function decodeWhole(codings: readonly Coding[], encoded: Uint8Array): Uint8Array | undefined {
  try {
    return codings.reduceRight<Uint8Array>((body, coding) => decodeLayer(coding, body), encoded);
  } catch {
    return undefined;
  }
}

function decodeLayer(coding: Coding, body: Uint8Array): Uint8Array {
  const options = { maxOutputLength: WHOLE_BYTES_MAX };
  switch (coding) {
    case "gzip":
      return gunzipSync(body, options);
    case "deflate":
      return isZlib(body) ? inflateSync(body, options) : inflateRawSync(body, options);
    case "br":
      return brotliDecompressSync(body, options);
    case "zstd":
      return zstdDecompressSync(body, { ...options, params: ZSTD_PARAMS });
    default:
      return coding satisfies never;
  }
}

function createLayer(coding: Coding, start: Uint8Array): Transform {
  switch (coding) {
    case "gzip":
      return createGunzip();
    case "deflate":
      return isZlib(start) ? createInflate() : createInflateRaw();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress({ params: ZSTD_PARAMS });
    default:
      return coding satisfies never;
  }
}

/** Under `deflate` servers send both what the name says (zlib, RFC 1950) and what it sounds like (raw, RFC 1951). */
function isZlib(start: Uint8Array): boolean {
  return (start[0]! & 0x0f) === 8;
}
