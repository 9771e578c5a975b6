import { Problem } from "../base/problem.ts";
import type { ServiceUrl } from "../config/schema.ts";
import type { Egress } from "./egress.ts";

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
export function fetchDocument(egress: Pick<Egress, "send">, request: DocumentRequest): Promise<Uint8Array> {
  const { url } = request;
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Uint8Array[] = [];
  const exchange = egress.send(
    {
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
    },
    {
      head({ status }) {
        if (status === 200) return;
        exchange.abort(new Problem("upstream_invalid", { detail: `the document is answered with status ${status}` }));
      },
      data(chunk) {
        chunks.push(chunk);
        return true;
      },
      end: () => resolve(Buffer.concat(chunks)),
      fail: reject,
    },
  );
  return promise;
}
