import { Problem } from "../base/problem.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import type { CredentialConfig } from "../config/schema.ts";
import { inject } from "../credentials/inject.ts";
import { injectPlaceholder } from "../credentials/inject-placeholder.ts";
import type { Placeholder } from "../credentials/placeholder.ts";
import { createScrubber, type Scrubber } from "../credentials/scrubber.ts";
import type { OutboundRequest, OutboundTarget } from "../egress/outbound-request.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonicalise.ts";
import type { Lease } from "../vault/create-vault.ts";

/** A scrubber is compiled once per lease: a rotated secret has another lease. */
const scrubbers = new WeakMap<Lease, Scrubber>();

/** A request that was decided on, and what goes onto it. */
export interface OutboundParts {
  readonly service: CompiledService;
  readonly request: CanonicalRequest;
  readonly lease: { readonly credential: CredentialConfig; readonly lease: Lease } | undefined;
  readonly publicBase: string | undefined;
  readonly door: "api" | "mcp" | "egress";
  /** Of the program whose request it is, at the door `egress`. */
  readonly placeholder?: Placeholder | undefined;
}

/** Puts the credential on the request that was decided on, and says where and how it goes. */
export function prepareOutbound(parts: OutboundParts): OutboundRequest {
  const { service, request, lease, publicBase, door } = parts;
  const { limits, name } = service.config;
  const { origin, basePath } = destination(service, request);
  const injected =
    lease === undefined
      ? { headers: request.headers, search: request.search, body: request.body, scrubber: undefined }
      : injectLease(lease.credential, lease.lease, parts);
  return {
    target: targetOf(service, origin),
    method: request.method,
    path: basePath + request.path + injected.search,
    headers: injected.headers,
    body: injected.body,
    timeoutMs: limits.timeoutMs,
    responseBytes: limits.responseBytes,
    overLimit: door === "mcp" ? "cut" : "refuse",
    scrubber: injected.scrubber,
    rangesAllowed: service.form.ranges,
    ...(door === "egress" ? { answerHeaders: "program" as const } : {}),
    basePath,
    publicBase: publicBase ?? `/api/${name}`,
  };
}

/** One object for each service, so that egress knows it again; a server's own requests go to several places. */
const targets = new WeakMap<CompiledService, OutboundTarget>();

function targetOf(service: CompiledService, origin: string): OutboundTarget {
  const known = targets.get(service);
  if (known?.origin === origin) return known;
  const made = { origin, private: service.config.private, ca: service.ca };
  targets.set(service, made);
  return made;
}

/** An HTTP API is in one place; a server's own request goes to the one of its declared hosts that was decided on. */
function destination({ config }: CompiledService, { origin }: CanonicalRequest) {
  if (config.kind === "http") return config.url;
  if (origin === undefined) throw new Problem("internal_error", { reason: "a request to no origin" });
  return { origin, basePath: "" };
}

function injectLease(credential: CredentialConfig, lease: Lease, { service, request, placeholder }: OutboundParts) {
  if (credential.kind === "oauth2") throw new Problem("internal_error", { reason: "no OAuth token on HTTP requests" });
  if (credential.kind === "env") {
    const scrubber = scrubberOf(lease, [lease.secret]);
    const isPlace = pairingsOf(service.config).some(({ origin }) => origin === request.origin);
    if (placeholder === undefined || !isPlace) return { ...request, scrubber };
    const injected = injectPlaceholder(request, lease.secret, { placeholder, place: credential.place });
    // Basic credentials of a short secret are long enough to be looked for, and differ from request to request.
    return { ...injected, scrubber: lease.short ? createScrubber(injected.sensitive) : scrubber };
  }
  const { headers, search, sensitive } = inject(credential, lease.secret, request);
  return { headers, search, body: request.body, scrubber: scrubberOf(lease, sensitive) };
}

function scrubberOf(lease: Lease, sensitive: Parameters<typeof createScrubber>[0]): Scrubber {
  let scrubber = scrubbers.get(lease);
  if (scrubber === undefined) {
    scrubber = createScrubber(sensitive);
    scrubbers.set(lease, scrubber);
  }
  return scrubber;
}
