import type { CredentialConfig } from "../config/schema.ts";
import { inject } from "../credentials/inject.ts";
import { createScrubber, type Scrubber } from "../credentials/scrubber.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonicalise.ts";
import type { Lease } from "../vault/create-vault.ts";

/** A scrubber is compiled once per lease: a rotated secret has another lease. */
const scrubbers = new WeakMap<Lease, Scrubber>();

/** Puts the credential on the request that was decided on, and says where and how it goes. */
export function prepareOutbound(parts: {
  readonly service: CompiledService;
  readonly request: CanonicalRequest;
  readonly lease: { readonly credential: CredentialConfig; readonly lease: Lease } | undefined;
  readonly publicBase: string | undefined;
  readonly door: "api" | "mcp";
}): OutboundRequest {
  const { service, request, lease, publicBase, door } = parts;
  const { url, limits, name } = service.config;
  const injected =
    lease === undefined
      ? { headers: request.headers, search: request.search, scrubber: undefined }
      : injectLease(lease.credential, lease.lease, request);
  return {
    target: { origin: url.origin, private: service.config.private, ca: service.ca },
    method: request.method,
    path: url.basePath + request.path + injected.search,
    headers: injected.headers,
    body: request.body,
    timeoutMs: limits.timeoutMs,
    responseBytes: limits.responseBytes,
    overLimit: door === "mcp" ? "cut" : "refuse",
    scrubber: injected.scrubber,
    rangesAllowed: service.form.ranges,
    basePath: url.basePath,
    publicBase: publicBase ?? `/api/${name}`,
  };
}

function injectLease(credential: CredentialConfig, lease: Lease, { headers, search }: CanonicalRequest) {
  const injected = inject(credential, lease.secret, { headers, search });
  let scrubber = scrubbers.get(lease);
  if (scrubber === undefined) {
    scrubber = createScrubber(injected.sensitive);
    scrubbers.set(lease, scrubber);
  }
  return { headers: injected.headers, search: injected.search, scrubber };
}
