import { parseName } from "../config/names.ts";

/** Where tokens are good for (RFC 8707): a path below the public URL. */
export type ResourcePath = "/mcp" | "/api" | `/mcp/${string}`;

/** Reads a resource as a client names it: byte for byte one of ours, or `undefined`. Tells nothing of which services exist. */
export function parseResource(text: string, publicUrl: string): ResourcePath | undefined {
  if (!text.startsWith(publicUrl)) return undefined;
  return parseResourcePath(text.slice(publicUrl.length));
}

export function parseResourcePath(path: string): ResourcePath | undefined {
  if (path === "/mcp" || path === "/api") return path;
  const service = path.startsWith("/mcp/") ? path.slice("/mcp/".length) : "";
  return parseName(service).ok ? `/mcp/${service}` : undefined;
}

/** The one type of authorization details that is understood (RFC 9396 §2). */
export const DETAILS_TYPE = "doorward";

/** Where the metadata of a resource is (RFC 9728 §3.1). */
export const RESOURCE_METADATA = "/.well-known/oauth-protected-resource";

/**
 * The metadata of a resource (RFC 9728). It names no scopes: they are the names of services and operations, which a
 * stranger is not told.
 */
export function resourceMetadata(path: ResourcePath, publicUrl: string): object {
  return {
    resource: `${publicUrl}${path}`,
    authorization_servers: [publicUrl],
    bearer_methods_supported: ["header"],
    dpop_signing_alg_values_supported: ["ES256", "Ed25519", "EdDSA"],
    authorization_details_types_supported: [DETAILS_TYPE],
    resource_name: "Doorward",
  };
}

/** Whether a resource, as a client names it, is one of some, or a part of one. What is none of ours is within none. */
export function isWithin(resource: string, wholes: readonly string[], publicUrl: string): boolean {
  const part = parseResource(resource, publicUrl);
  if (part === undefined) return false;
  return wholes.some((one) => {
    const whole = parseResource(one, publicUrl);
    return part === whole || (whole === "/mcp" && part.startsWith("/mcp/"));
  });
}
