import type { JsonValue } from "../base/json.ts";
import type { Keyring } from "../vault/keyring.ts";

type Sealer = Pick<Keyring, "seal" | "unseal">;

/** What a person is shown beside the message. Sealed at rest: bodies hold what the evidence keeps as digests only. */
export interface Question {
  readonly request: JsonValue;
  readonly preview: JsonValue | undefined;
  readonly separate: boolean;
}

/** The part that a list shows. */
interface Brief {
  readonly preview: JsonValue;
  readonly separate: boolean;
}

const PURPOSE = "approvals";
/** Bytes of a request that stay readable after the question is over. */
const KEEP_REQUEST_BYTES = 4_096;
const LENGTH_BYTES = 4;

/** Seals a question in two parts, so that a list can show previews without opening every body. */
export function sealQuestion(sealer: Sealer, id: string, { request, preview, separate }: Question): Uint8Array {
  const brief = sealer.seal(PURPOSE, [id, "brief"], encode({ separate, preview: preview ?? null }));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(brief.length);
  return Buffer.concat([length, brief, sealer.seal(PURPOSE, [id, "request"], encode(request))]);
}

/** @returns `undefined` when it was altered, or belongs to another id. */
export function unsealBrief(sealer: Sealer, id: string, sealed: Uint8Array): Brief | undefined {
  const bytes = sealer.unseal(PURPOSE, [id, "brief"], parts(sealed).brief);
  return bytes === undefined ? undefined : (decode(bytes) as unknown as Brief);
}

/** @returns `undefined` when it was altered, belongs to another id, or is no longer kept. */
export function unsealRequest(sealer: Sealer, id: string, sealed: Uint8Array): JsonValue | undefined {
  const bytes = sealer.unseal(PURPOSE, [id, "request"], parts(sealed).request);
  return bytes === undefined ? undefined : decode(bytes);
}

/** What is kept of a question that is over: all of a small one, else the preview alone. */
export function trimQuestion(sealed: Uint8Array): Uint8Array {
  const { request } = parts(sealed);
  return request.length <= KEEP_REQUEST_BYTES ? sealed : sealed.subarray(0, sealed.length - request.length);
}

function parts(sealed: Uint8Array): { readonly brief: Uint8Array; readonly request: Uint8Array } {
  const length = sealed.length < LENGTH_BYTES ? 0 : Buffer.from(sealed.subarray(0, LENGTH_BYTES)).readUInt32BE();
  const border = LENGTH_BYTES + length;
  return { brief: sealed.subarray(LENGTH_BYTES, border), request: sealed.subarray(border) };
}

function encode(value: JsonValue): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function decode(bytes: Buffer): JsonValue {
  return JSON.parse(bytes.toString("utf8"));
}
