import type { JsonObject } from "../base/json.ts";
import { foldsAnywhere, MAX_BODY_DEPTH } from "./canonical-body.ts";
import type { CanonicalMcpCall } from "./canonical-request.ts";
import type { Canonicalised } from "./canonicalise.ts";
import { compatible, hasControl } from "./hazards.ts";
import { ambiguous, quote, type Refused, refused } from "./refusal.ts";
import type { RequestForm } from "./request-form.ts";

/** The MCP requests that go to an upstream server, each about one item that it offers. */
export const MCP_METHODS = [
  "tools/call",
  "prompts/get",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "completion/complete",
] as const;

export type McpMethod = (typeof MCP_METHODS)[number];

/** One MCP call as a door received it, before anything was judged. */
export interface RawMcpCall {
  readonly kind: "mcp";
  readonly method: McpMethod;
  /** The upstream's own name: of a tool or prompt, a resource's URI; for a completion what its `ref` names. */
  readonly name: string;
  /** Of a completion: the whole `{ref, argument, context?}`. */
  readonly arguments: JsonObject;
  /** Whether the JSON it was read from holds a number that another reader may read otherwise. */
  readonly lossy: boolean;
}

/** What an MCP call is about. A `template` is the URI template of resources, which only a completion names. */
export type McpItemKind = "tool" | "prompt" | "resource" | "template";

/** A longer name is not looked at. */
const MAX_NAME_CHARACTERS = 8 * 1024;
/** Decoding a resource's URI ends here; what can be decoded further is refused. */
const MAX_DECODINGS = 4;

/**
 * Brings an MCP call into the one form that every request has, or refuses it.
 *
 * The body is the JSON of the arguments, which are what is sent. No HTTP request has such a method, so that no digest and
 * no rule can take one for the other.
 *
 * @returns Never throws. Problems: `not_canonical` for a name that can be read in two ways, `too_large`,
 * `invalid_request`. Cost is linear in the call.
 */
export function canonicaliseMcp(raw: RawMcpCall, form: Pick<RequestForm, "service" | "requestBytes">): Canonicalised {
  const { method, name } = raw;
  const item = itemOf(raw);
  if (typeof item !== "string") return item;
  const fault = nameFault(name, item);
  if (fault !== undefined) return fault;
  if (isDeeper(raw.arguments, MAX_BODY_DEPTH)) return refused("invalid_request", "the arguments are nested too deeply");
  const body = Buffer.from(JSON.stringify(raw.arguments), "utf8");
  if (body.length > form.requestBytes) {
    return refused("too_large", `the arguments are larger than ${form.requestBytes} bytes`);
  }
  const encoded = encodeURIComponent(name);
  const lossy = raw.lossy || foldsAnywhere(raw.arguments);
  return {
    ok: true,
    request: {
      service: form.service,
      method,
      path: `/${encoded}`,
      segments: [{ text: name, raw: encoded, encoded: false }],
      query: [],
      search: "",
      headers: [],
      body,
      content: { kind: "json", value: raw.arguments, lossy },
      dropped: [],
      origin: undefined,
      mcp: { method, name, arguments: raw.arguments, item },
    },
  };
}

/** Which of a server's items a method speaks of. */
function itemOf({ method, name, arguments: args }: RawMcpCall): CanonicalMcpCall["item"] | Refused {
  switch (method) {
    case "tools/call":
      return "tool";
    case "prompts/get":
      return "prompt";
    case "resources/read":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return "resource";
    case "completion/complete":
      return refItem(name, args["ref"]);
    default:
      method satisfies never;
      return refused("method_not_allowed", "this MCP method is not sent to upstream servers");
  }
}

function refItem(name: string, ref: JsonObject[string] | undefined): CanonicalMcpCall["item"] | Refused {
  const { type, name: prompt, uri } = typeof ref === "object" && ref !== null ? (ref as JsonObject) : {};
  if (type === "ref/prompt" && prompt === name) return "prompt";
  if (type === "ref/resource" && uri === name) return "template";
  return refused("invalid_request", "the completion's `ref` does not name what it is about");
}

/** A name is compared as it stands, so it must not stand for another one to the server. */
function nameFault(name: string, item: McpItemKind): Refused | undefined {
  if (name === "") return refused("invalid_request", "the name is empty");
  if (name.length > MAX_NAME_CHARACTERS) return refused("too_large", "the name is too long");
  if (!name.isWellFormed()) {
    return ambiguous("the name holds half of a character (a lone surrogate)", "Send whole characters.");
  }
  if (hasControl(name)) return ambiguous("the name holds a control character", "Leave control characters out.");
  return item === "resource" || item === "template" ? uriFault(name) : undefined;
}

/** What leads out of the folder that a glob names, in the reading of any server that decodes before it resolves. */
function uriFault(uri: string): Refused | undefined {
  let text = uri;
  for (let round = 0; round <= MAX_DECODINGS; round++) {
    const plain = compatible(text);
    if (plain.includes("\\")) return ambiguous(`the URI ${quote(uri)} holds a backslash`, "Write `/`.");
    if (hasControl(plain)) return ambiguous(`the URI ${quote(uri)} holds a control character`, "Leave it out.");
    if (plain.split(/[/?#=&]/).some(isDotSegment)) {
      return ambiguous(`the URI ${quote(uri)} holds a dot segment`, "Write the path that is meant.");
    }
    const decoded = decodedOnce(text);
    if (decoded === text) return undefined;
    text = decoded;
  }
  return ambiguous(`the URI ${quote(uri)} is encoded too often`, "Encode it once.");
}

function isDotSegment(segment: string): boolean {
  const [name = ""] = segment.split(";");
  return name.includes(".") && /^[.\s\p{Default_Ignorable_Code_Point}]*$/u.test(name);
}

/** Percent escapes taken out once; what is no valid escape stays as it is. */
function decodedOnce(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
    Buffer.from(escapes.replaceAll("%", ""), "hex").toString("utf8"),
  );
}

function isDeeper(value: JsonObject[string], levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((item) => isDeeper(item, levels - 1));
}
