import { Problem } from "../base/problem.ts";
import type { ServiceUrl } from "../config/schema.ts";
import { collectWhole } from "./collect-whole.ts";
import type { Egress } from "./egress.ts";
import type { OutboundRequest } from "./outbound-request.ts";

/** A small public document that Doorward fetches for itself: keys, metadata. */
export interface DocumentRequest {
  readonly url: ServiceUrl;
  /** May be at a private address, and then only there. */
  readonly private: boolean;
}

const TIMEOUT_MS = 5_000;
const DOCUMENT_BYTES = 256 * 1024;

/**
 * Fetches a document, through the one way out: private addresses are blocked, no redirect is followed.
 *
 * @throws {Problem} `upstream_…`; any answer but 200 is `upstream_invalid`.
 */
export async function fetchDocument(egress: Pick<Egress, "send">, request: DocumentRequest): Promise<Uint8Array> {
  const { url } = request;
  const document: OutboundRequest = {
    target: { origin: url.origin, private: request.private, ca: undefined },
    method: "GET",
    path: url.basePath === "" ? "/" : url.basePath,
    headers: [["accept", "application/json"]],
    body: undefined,
    timeoutMs: TIMEOUT_MS,
    responseBytes: DOCUMENT_BYTES,
    overLimit: "refuse",
    scrubber: undefined,
    rangesAllowed: false,
    basePath: "",
    publicBase: "",
  };
  const { body } = await collectWhole(egress, document, ({ status }) =>
    status === 200
      ? undefined
      : new Problem("upstream_invalid", { detail: `the document is answered with status ${status}` }),
  );
  return body;
}
