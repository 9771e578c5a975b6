/** Takes the credential of one exchange out of its answer. Opaque: it shows no needle. Made in `credentials/`. */
export interface AnswerScrubber {
  /** A new stream for one body. */
  stream(): ScrubStream;
  text(text: string): { readonly text: string; readonly redacted: number };
}

/** One body on its way through a scrubber. What could still become a match is kept back until it is decided. */
export interface ScrubStream {
  push(chunk: Uint8Array): Uint8Array | readonly Uint8Array[];
  end(): Uint8Array | readonly Uint8Array[];
  readonly redacted: number;
}

/** Where a service lives, and how its address is judged. Requests with equal targets share connections. */
export interface OutboundTarget {
  /** `https://host[:port]`; `http:` only with `private`. */
  readonly origin: string;
  /** May be a private or loopback address, and then only such. */
  readonly private: boolean;
  /** PEM certificates trusted for this service on top of the default roots. */
  readonly ca: string | undefined;
}

/** What is sent, byte for byte as it was decided, the credential already on it. */
export interface OutboundRequest {
  readonly target: OutboundTarget;
  readonly method: string;
  /** Base path + canonical path + search: what stands in the request line. */
  readonly path: string;
  /** Without Host, User-Agent, Accept-Encoding, Content-Length and hop-by-hop headers: these are Doorward's own. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | undefined;
  /** From `send` to the last byte of the answer, however slowly it comes or is taken. */
  readonly timeoutMs: number;
  /** Cap on the decoded body of the answer. */
  readonly responseBytes: number;
  /** Whether a declared length over the cap fails the call before its head. Otherwise what fits comes first. */
  readonly overLimit: "refuse" | "cut";
  /** Absent: nothing to take out. */
  readonly scrubber: AnswerScrubber | undefined;
  /** A 206 and its headers may pass. */
  readonly rangesAllowed: boolean;
  /** Whether the answer's headers pass as a program of its own needs them, and not only those of the list. */
  readonly answerHeaders?: "listed" | "program";
  /** Headers of the answer that pass beyond the usual ones, lower case: for callers that keep them to themselves. */
  readonly passing?: ReadonlySet<string>;
  /** The service's base path, `""` or `/v1`, which stays out of the caller's sight. */
  readonly basePath: string;
  /** What the caller sees in its place: `http://127.0.0.1:7420/api/registrar`, or `/api/registrar`. */
  readonly publicBase: string;
}
