import { INSIDE } from "./places.ts";

/** Where the way out is, for the variables by which programs find it. */
export interface ProxyEnvironment {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** File with the authority of the proxy's leaves; `undefined` when it shows none. */
  readonly caFile: string | undefined;
  /** `itself`: a Node program that is told by {@link INSIDE.wait} where the proxy is, after its own start. */
  readonly named?: "itself" | undefined;
}

/** Variables that name a proxy; both spellings are in use. */
const PROXY_VARIABLES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/** What `sandbox-wait.cjs` makes those of. */
const LATER_NAMED = "DOORWARD_PROXY";
/** Variables that name a file of trusted authorities: Node, OpenSSL, curl, Python, git, AWS, Deno. */
const CA_VARIABLES = [
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "CURL_CA_BUNDLE",
  "REQUESTS_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "AWS_CA_BUNDLE",
  "DENO_CERT",
];
/** Variables that would lead a request past the proxy. */
const BYPASSES = ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"];

/**
 * All variables of a child: a few that programs expect, then its own, then those of the proxy, which nothing overrides.
 *
 * @param base - PATH and the folder that is home and scratch.
 */
export function childEnvironment(
  base: { readonly path: string; readonly scratch: string },
  own: ReadonlyMap<string, string>,
  proxy: ProxyEnvironment | undefined,
): ReadonlyMap<string, string> {
  const all = new Map([
    ["PATH", base.path],
    ["HOME", base.scratch],
    ["TMPDIR", base.scratch],
    ["LANG", "C.UTF-8"],
    ...own,
  ]);
  if (proxy === undefined) return all;
  for (const name of [...BYPASSES, ...PROXY_VARIABLES]) all.delete(name);
  for (const name of proxy.named === "itself" ? [LATER_NAMED] : PROXY_VARIABLES) all.set(name, proxy.url);
  all.set("NODE_USE_ENV_PROXY", "1");
  if (proxy.caFile !== undefined) for (const name of CA_VARIABLES) all.set(name, proxy.caFile);
  return all;
}

/** PATH of a sandboxed child. */
export const INSIDE_PATH = `${INSIDE.bin}:/usr/local/bin:/usr/bin:/bin`;
