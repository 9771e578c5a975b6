import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Site } from "../oauth/webauthn.ts";

/**
 * Finds the site that a browser sees: the public URL's, or this machine's `localhost`.
 *
 * @param request - Its Host was checked: it is one of ours.
 * @returns `undefined` where there can be no passkey: an IP address, or plain HTTP on another host.
 */
export function findSite(request: IncomingMessage, publicUrl: string): Site | undefined {
  const host = request.headers.host?.toLowerCase() ?? "";
  const own = new URL(publicUrl);
  if (host === own.host && own.protocol === "https:" && isIP(own.hostname.replace(/^\[|\]$/g, "")) === 0) {
    return { origin: own.origin, rpId: own.hostname };
  }
  if (!/^localhost(?::\d{1,5})?$/.test(host)) return undefined;
  const scheme = (request.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  return { origin: new URL(`${scheme}://${host}`).origin, rpId: "localhost" };
}
