import { isUtf8 } from "node:buffer";
import { newId } from "../base/ids.ts";
import type { JsonValue } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { type Decision, deny } from "../policy/decision.ts";
import { matchOperations } from "../policy/match-operations.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonicalise.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { OwnCall } from "./call-request.ts";
import { collectAnswer } from "./collect-answer.ts";
import type { Broker } from "./create-broker.ts";
import type { AskedCall } from "./hold-call.ts";

/** Bytes of a preview that a person is shown. */
const PREVIEW_BYTES = 16 * 1024;

/**
 * Decides a call of Doorward's own. The file or the owner asked for it, so no role is needed; it must be a read, and
 * nothing else. Kills are looked at when it is about to be sent, like those of any call.
 */
export function decideOwnCall({ rule }: OwnCall, service: CompiledService, request: CanonicalRequest): Decision {
  const refused = (reason: string) =>
    deny("denied", { reason, detail: reason, remedy: "Correct `approval.preview` in the file." });
  if (request.method !== "GET") return refused("a preview must be a GET");
  const matching = matchOperations(service, request);
  if (!matching.ok) return refused("the preview matches no operation");
  const operations = matching.matched.map(({ operation }) => operation);
  if (operations.some(({ effect }) => effect !== "read")) return refused("the preview is not a read");
  return { kind: "permit", rules: [rule], operations, rates: [] };
}

/**
 * Fetches what an approver is shown of a held call: a call of its own, recorded like any other.
 *
 * @returns `{status, body}`; `undefined` when it cannot be had. Never throws: a missing preview is said, not hidden.
 */
export async function fetchPreview(
  deps: { readonly broker: Broker; readonly budget: ByteBudget },
  { call, service }: AskedCall,
  target: string,
): Promise<JsonValue | undefined> {
  try {
    const { head, body } = await collectAnswer(
      deps.broker.call,
      {
        requestId: newId("req"),
        door: "mcp",
        principal: call.principal,
        service: service.config.name,
        raw: { method: "GET", target, headers: [["accept", "application/json"]], body: undefined },
        publicBase: undefined,
        own: { rule: "approval:preview", of: call.requestId },
      },
      { budget: deps.budget },
    );
    return { status: head.status, body: shownBody(body) };
  } catch {
    return undefined;
  }
}

function shownBody(body: Buffer): JsonValue {
  const parsed = body.length <= PREVIEW_BYTES ? parseStrictJson(body) : undefined;
  if (parsed?.ok === true) return parsed.value;
  const kept = body.subarray(0, PREVIEW_BYTES);
  return isUtf8(kept) ? kept.toString("utf8") : `(${body.length} bytes that are not text)`;
}
