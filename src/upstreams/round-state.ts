import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

/** What an `input_required` result lets its caller carry, so that the next call goes on where this one stopped. */
export type RequestState =
  /** The request waits upstream, under this id. */
  | { readonly kind: "parked"; readonly id: string }
  /** The server's own state, and the answers that Doorward gave in the client's place. */
  | { readonly kind: "relayed"; readonly state: string | undefined; readonly answers: JsonObject };

/** The door seals it: what comes back is what was given out, to the same caller for the same request. */
export function printRequestState(state: RequestState): string {
  if (state.kind === "parked") return JSON.stringify({ p: state.id });
  return JSON.stringify({ s: state.state ?? null, a: state.answers });
}

/** @returns `undefined` when it is nothing that {@link printRequestState} gave. */
export function parseRequestState(text: string): RequestState | undefined {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  if (typeof value["p"] === "string") return { kind: "parked", id: value["p"] };
  const { s: state, a: answers } = value;
  if (!isObject(answers) || (state !== null && typeof state !== "string")) return undefined;
  return { kind: "relayed", state: state ?? undefined, answers };
}
