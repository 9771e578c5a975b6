import type { IncomingMessage } from "node:http";

/** What of a request is another for oidc-provider than it came. */
export interface PublicView {
  /** The public URL: host and scheme as the client knows them, whatever proxy stands between. */
  readonly publicUrl: string;
  /** Path and query. */
  readonly url: string;
  /** `undefined` where there is none. */
  readonly body: Buffer | undefined;
}

/**
 * A view of a request that says what a request straight to the public URL would say.
 *
 * oidc-provider makes URLs and judges proofs by Host and connection; both are another's word behind a proxy.
 */
export function publicRequest(request: IncomingMessage, { publicUrl, url, body }: PublicView): IncomingMessage {
  const { host, protocol } = new URL(publicUrl);
  const headers: IncomingMessage["headers"] = { ...request.headers, host };
  for (const name of Object.keys(headers)) if (name.startsWith("x-forwarded-")) delete headers[name];
  delete headers["transfer-encoding"];
  if (body === undefined) delete headers["content-length"];
  else headers["content-length"] = String(body.length);
  const socket = { encrypted: protocol === "https:", remoteAddress: request.socket.remoteAddress };
  return Object.create(request, {
    headers: { value: headers },
    url: { value: url, writable: true },
    socket: { value: socket },
    readable: { value: true },
    readableEncoding: { value: null },
    iterator: {
      value: async function* once() {
        if (body !== undefined) yield body;
      },
    },
  }) as IncomingMessage;
}

/** The request that a view was made of. */
export function originalRequest(view: IncomingMessage): IncomingMessage {
  return Object.getPrototypeOf(view) as IncomingMessage;
}
