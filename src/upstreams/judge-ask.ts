import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

/** What an upstream may ask a client for, and what happens to it. */
export type JudgedAsk =
  /** As the client gets it. */
  | { readonly kind: "ask"; readonly params: JsonObject }
  /** Answered here in the client's place: the person is not even shown it. */
  | { readonly kind: "answered"; readonly result: JsonObject; readonly why: string }
  /** The client cannot, or nobody may ask this. */
  | { readonly kind: "refused"; readonly code: number; readonly message: string };

/** Requests of a server that a client can answer, and the capability that says so. */
export const ASK_CAPABILITIES: ReadonlyMap<string, string> = new Map([
  ["elicitation/create", "elicitation"],
  ["sampling/createMessage", "sampling"],
  ["roots/list", "roots"],
]);

const METHOD_NOT_FOUND = -32_601;
const DECLINED: JsonObject = { action: "decline" };
const SCHEMA_DEPTH_MAX = 8;

/** In the name, title or format of a field of a form. Spaces stand for whatever parts words. */
const CREDENTIAL_FIELD =
  /pass ?(?:word|phrase|code)|\bpasswd\b|\bpwd\b|secret|\bcredential|\btokens?\b|api ?keys?\b|access ?keys?\b|private ?keys?\b|\bkey ?file|bearer|\bjwt\b|\botp\b|\btotp\b|\b2fa\b|\bmfa\b|one ?time (?:code|pass)|verification code|\bpin(?: ?code)?\b|\bcvv\b|\bcvc\b|card ?number|seed phrase|recovery (?:code|phrase|key)|\bcookie|session ?id|connection string|\bauth(?:entication|orization)? (?:code|header|key)/;
/** In prose, which may speak of pins and tokens without asking for one: what names a credential and nothing else. */
const CREDENTIAL_PROSE =
  /pass ?(?:word|phrase|code)|\bpasswd\b|\bpin code|\bcvv\b|\bcvc\b|api ?keys?\b|secret ?keys?\b|private ?keys?\b|access (?:token|key)|\b(?:your|the|a) (?:[a-z]+ )?(?:token|secret|credentials?)\b|\botp\b|one ?time (?:code|pass)|verification code|recovery (?:code|phrase|key)|seed phrase/;

/**
 * Looks at what an upstream wants of the client before the client does.
 *
 * Only what the client declared that it can answer is asked. An elicitation says first where it comes from, so that no
 * server can pass for another or for Doorward; a form that asks for a credential is declined, since what a person types
 * there goes to the server through the model's client; a link must be `https:`.
 *
 * @param params - Scrubbed.
 */
export function judgeAsk(
  ask: { readonly method: string; readonly params: JsonObject; readonly service: string },
  capabilities: JsonObject,
): JudgedAsk {
  const { method, params, service } = ask;
  const capability = ASK_CAPABILITIES.get(method);
  if (capability === undefined) return refuse("this method is not known");
  const declared = capabilities[capability];
  if (!isObject(declared)) return refuse(`the client did not declare the capability \`${capability}\``);
  if (method !== "elicitation/create") return { kind: "ask", params };
  const mode = params["mode"] ?? "form";
  // An empty object means forms: the capability is older than its modes.
  const modes = Object.keys(declared).length === 0 ? { form: {} } : declared;
  if ((mode !== "form" && mode !== "url") || !isObject((modes as JsonObject)[mode])) {
    return refuse("the client did not declare this mode of elicitation");
  }
  const fault = mode === "form" ? formFault(params) : linkFault(params);
  if (fault !== undefined) return { kind: "answered", result: DECLINED, why: fault };
  return { kind: "ask", params: { ...params, message: labelled(service, params["message"]) } };
}

function refuse(message: string): JudgedAsk {
  return { kind: "refused", code: METHOD_NOT_FOUND, message };
}

/** Control and invisible characters could hide the label, or put another one in its place. */
function labelled(service: string, message: JsonValue | undefined): string {
  const text = typeof message === "string" ? message : "";
  return `[${service}] ${text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => (c === "\n" || c === "\t" ? c : ""))}`;
}

function linkFault(params: JsonObject): string | undefined {
  const url = typeof params["url"] === "string" ? URL.parse(params["url"]) : null;
  return url?.protocol === "https:" ? undefined : "the link of an elicitation is not https";
}

function formFault(params: JsonObject): string | undefined {
  const words: FormWords = { names: [], prose: [], freeText: false };
  collect(params["requestedSchema"], words, 0);
  const message = typeof params["message"] === "string" ? plainWords(params["message"]) : "";
  const asked =
    words.names.some((name) => CREDENTIAL_FIELD.test(name)) ||
    words.prose.some((text) => CREDENTIAL_PROSE.test(text)) ||
    // A message above choices alone may speak of anything: nothing can be typed.
    (words.freeText && CREDENTIAL_PROSE.test(message));
  return asked ? "the form asks for a credential" : undefined;
}

interface FormWords {
  readonly names: string[];
  readonly prose: string[];
  freeText: boolean;
}

/** All words of a form that a person would see, at any depth. */
function collect(schema: JsonValue | undefined, into: FormWords, depth: number): void {
  if (Array.isArray(schema)) {
    for (const item of schema as readonly JsonValue[]) collect(item, into, depth + 1);
    return;
  }
  if (!isObject(schema)) return;
  // Too deep for any form that a client shows: nobody can say what it asks for.
  if (depth > SCHEMA_DEPTH_MAX) into.names.push("secret");
  else collectObject(schema, into, depth);
}

function collectObject(schema: JsonObject, into: FormWords, depth: number): void {
  if (schema["type"] === "string" && schema["enum"] === undefined && schema["oneOf"] === undefined)
    into.freeText = true;
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties" && isObject(value)) into.names.push(...Object.keys(value).map(plainWords));
    if (typeof value === "string") {
      if (key === "title" || key === "format") into.names.push(plainWords(value));
      else if (key === "description" || key === "default") into.prose.push(plainWords(value));
    } else if (key !== "enum" && key !== "const") collect(value, into, depth + 1);
  }
}

/** One spelling for `apiKey`, `API_KEY`, `api-key`, and for letters of other widths and invisible ones between. */
function plainWords(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .toLowerCase();
}

/**
 * What a client may be asked for, as it is declared upstream: only what Doorward relays.
 *
 * @returns Keys in a fixed order, so that equal capabilities have equal JSON.
 */
export function relayedCapabilities(declared: JsonObject): JsonObject {
  const kept: Record<string, JsonValue> = {};
  const { elicitation, sampling, roots } = declared;
  if (isObject(elicitation)) kept["elicitation"] = pick(elicitation, ["form", "url"]);
  if (isObject(sampling)) kept["sampling"] = pick(sampling, ["context", "tools"]);
  if (isObject(roots)) kept["roots"] = {};
  return kept;
}

function pick(from: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(keys.filter((key) => isObject(from[key])).map((key) => [key, {}]));
}
