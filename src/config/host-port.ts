import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { HostPort } from "./schema.ts";
import { parseServiceUrl } from "./service-url.ts";

/** The port of a host that names none. */
export const DEFAULT_HTTPS_PORT = 443;

const DEFAULT_HTTP_PORT = 80;
const SHAPE = "write `HOST` or `HOST:PORT`, as in `api.github.com`";

/**
 * `api.github.com`, `127.0.0.1:8080`, `[::1]:8080`: one place on the network, port 443 where none is given.
 *
 * The host is canonicalised as a URL's is, so that what is declared is what is dialled. Patterns are refused: a secret goes
 * to places that a person has read.
 */
export function parseHostPort(text: string): Parsed<HostPort> {
  if (text.includes("*")) return unparsed(`${quote(text)} is a pattern, and hosts are named one by one`, SHAPE);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return unparsed(`${quote(text)} is a url`, SHAPE);
  if (text.includes("@")) return unparsed("the host has userinfo", SHAPE);
  if (/[/?#\\%]/.test(text)) return unparsed(`${quote(text)} is not a host`, SHAPE);
  const url = parseServiceUrl(`https://${text}`);
  if (!url.ok) return unparsed(`${quote(text)} is not a host`, SHAPE);
  return parsed({ host: url.value.host, port: url.value.port });
}

/** The origin of a place as a URL parser prints it: without a default port, IPv6 in brackets. */
export function printOrigin(protocol: "http:" | "https:", { host, port }: HostPort): string {
  const name = host.includes(":") ? `[${host}]` : host;
  const standard = protocol === "https:" ? DEFAULT_HTTPS_PORT : DEFAULT_HTTP_PORT;
  return `${protocol}//${name}${port === standard ? "" : `:${port}`}`;
}
