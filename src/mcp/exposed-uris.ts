import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

const SCHEME = "doorward://";

/**
 * A resource's URI on the surface that all services share: `doorward://github/repo://acme/site`.
 *
 * The upstream's own URI stands in it as it is, so that it comes back without a table, and a URI template stays one.
 */
export function exposeUri(service: string, uri: string): string {
  return `${SCHEME}${service}/${uri}`;
}

/** @returns `undefined` when no service is named. Whether there is such a service is for the broker. */
export function ownerOfUri(shown: string): { readonly service: string; readonly uri: string } | undefined {
  if (!shown.startsWith(SCHEME)) return undefined;
  const slash = shown.indexOf("/", SCHEME.length);
  if (slash === -1) return undefined;
  return { service: shown.slice(SCHEME.length, slash), uri: shown.slice(slash + 1) };
}

/**
 * Rewrites the URIs that a result or notification carries, so that the client can read what they name.
 *
 * They stand where the protocol puts them: `uri`, `contents[].uri`, and the links and embedded resources of contents.
 */
export function exposeUris(service: string, result: JsonObject): JsonObject {
  const shown: { [key: string]: JsonValue } = { ...result };
  if (typeof result["uri"] === "string") shown["uri"] = exposeUri(service, result["uri"]);
  if (Array.isArray(result["contents"])) shown["contents"] = result["contents"].map((item) => withUri(service, item));
  if (Array.isArray(result["content"])) shown["content"] = result["content"].map((item) => block(service, item));
  if (Array.isArray(result["messages"])) shown["messages"] = result["messages"].map((item) => message(service, item));
  return shown;
}

function message(service: string, value: JsonValue): JsonValue {
  if (!isObject(value)) return value;
  const { content } = value;
  if (content === undefined) return value;
  return {
    ...value,
    content: Array.isArray(content)
      ? content.map((item) => block(service, item))
      : block(service, content as JsonValue),
  };
}

function block(service: string, value: JsonValue): JsonValue {
  if (!isObject(value)) return value;
  if (value["type"] === "resource_link") return withUri(service, value);
  if (value["type"] !== "resource" || value["resource"] === undefined) return value;
  return { ...value, resource: withUri(service, value["resource"]) };
}

function withUri(service: string, value: JsonValue): JsonValue {
  if (!isObject(value) || typeof value["uri"] !== "string") return value;
  return { ...value, uri: exposeUri(service, value["uri"]) };
}
