import { isObject, type JsonObject } from "../base/json.ts";
import type { Problem } from "../base/problem.ts";
import type { Secret } from "../base/secret.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { createScrubber } from "../credentials/scrubber.ts";
import type { AnswerHead, AnswerSink, Exchange } from "../egress/answer.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";

/** What an authorization or resource server answered. */
export interface OAuthAnswer {
  readonly status: number;
  readonly headers: AnswerHead["headers"];
  /** `undefined` for what is no JSON object. */
  readonly json: JsonObject | undefined;
}

/** One request of the OAuth client's. */
export interface OAuthRequest {
  readonly url: URL;
  /** A token request: its form, with what proves the client. Or a registration, which is JSON. */
  readonly post?: {
    readonly type?: "application/json";
    readonly headers: readonly (readonly [string, string])[];
    readonly body: string;
    readonly sensitive: readonly Secret[];
  };
}

export type EgressSender = { send(request: OutboundRequest, sink: AnswerSink): Exchange };

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES = 256 * 1024;
/** Of the answer's headers: where a server's metadata are (RFC 9728 §5.1). */
const PASSING: ReadonlySet<string> = new Set(["www-authenticate"]);

/**
 * Asks for metadata or a token: through the one way out, no redirect followed, answers whole and small.
 *
 * @throws {Problem} as egress gives it: private addresses are dialled only where the service is private.
 */
export function fetchOAuth(
  egress: EgressSender,
  service: Pick<CompiledMcpService, "ca" | "config">,
  { url, post }: OAuthRequest,
): Promise<OAuthAnswer> {
  const type = ["content-type", post?.type ?? "application/x-www-form-urlencoded"] as const;
  return collect(egress, {
    target: { origin: url.origin, private: service.config.private, ca: service.ca },
    method: post === undefined ? "GET" : "POST",
    path: url.pathname + url.search,
    headers: [["accept", "application/json"], ...(post === undefined ? [] : [type, ...post.headers])],
    body: post === undefined ? undefined : Buffer.from(post.body, "utf8"),
    timeoutMs: TIMEOUT_MS,
    responseBytes: ANSWER_BYTES,
    overLimit: "refuse",
    scrubber: post === undefined || post.sensitive.length === 0 ? undefined : createScrubber(post.sensitive),
    rangesAllowed: false,
    passing: PASSING,
    basePath: "",
    publicBase: "",
  });
}

function collect(egress: EgressSender, request: OutboundRequest): Promise<OAuthAnswer> {
  return new Promise((resolve, reject) => {
    let head: AnswerHead | undefined;
    const chunks: Uint8Array[] = [];
    egress.send(request, {
      head: (answer) => {
        head = answer;
      },
      data: (chunk) => chunks.push(chunk) > 0,
      end() {
        const { status, headers } = head!;
        const parsed = parseStrictJson(Buffer.concat(chunks));
        resolve({ status, headers, json: parsed.ok && isObject(parsed.value) ? parsed.value : undefined });
      },
      fail: (problem: Problem) => reject(problem),
    });
  });
}
