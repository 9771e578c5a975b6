import type { PeopleConfig } from "../config/schema.ts";
import { inject } from "../credentials/inject.ts";
import { createScrubber } from "../credentials/scrubber.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import { collectWhole } from "../egress/collect-whole.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import type { Lease } from "../vault/create-vault.ts";

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES = 1024 * 1024;
/** Egress's own. */
const NOT_SENT: ReadonlySet<string> = new Set([
  "host",
  "user-agent",
  "accept-encoding",
  "content-length",
  "connection",
]);
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

export interface ProviderFetchDeps {
  readonly egress: { send(request: OutboundRequest, sink: AnswerSink): Exchange };
  /** Asked at the last moment. @throws {Problem} `secret_unavailable`. */
  readonly lease: (people: PeopleConfig, origin: string) => Promise<Lease | undefined>;
}

/**
 * The `fetch` with which a login asks the company's provider: through the one way out, no redirect followed, whole answers
 * of at most a megabyte within ten seconds. The client's secret is put on requests to the token endpoint alone.
 *
 * @param tokenEndpoint - As far as it is known.
 * @returns Rejects with the `Problem` that egress gives; plain HTTP, and private addresses, only where the file says so.
 */
export function createProviderFetch(
  deps: ProviderFetchDeps,
  people: PeopleConfig,
  tokenEndpoint: () => string | undefined,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (address, init = {}) => {
    const url = new URL(address);
    const wantsSecret = init.method === "POST" && url.href === tokenEndpoint();
    const lease = wantsSecret ? await deps.lease(people, url.origin) : undefined;
    const plain = {
      headers: [...new Headers(init.headers)].filter(([name]) => !NOT_SENT.has(name)),
      search: url.search,
    };
    const username = encodeURIComponent(people.clientId);
    const injected = lease && inject({ kind: "basic", username, secret: people.secret! }, lease.secret, plain);
    const answer = await collectWhole(deps.egress, {
      target: { origin: url.origin, private: people.private, ca: undefined },
      method: init.method ?? "GET",
      path: url.pathname + url.search,
      headers: injected?.headers ?? plain.headers,
      body: init.body === undefined || init.body === null ? undefined : Buffer.from(String(init.body), "utf8"),
      timeoutMs: TIMEOUT_MS,
      responseBytes: ANSWER_BYTES,
      overLimit: "refuse",
      scrubber: injected && createScrubber(injected.sensitive),
      rangesAllowed: false,
      basePath: "",
      publicBase: "",
    });
    const body = NO_BODY.has(answer.status) ? null : new Uint8Array(answer.body);
    const headers = answer.headers.map(([name, value]): [string, string] => [name, value]);
    return new Response(body, { status: answer.status, headers });
  };
}
