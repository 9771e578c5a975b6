import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import { sendProblem } from "../base/send-problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { parseApiKey } from "../identity/api-key.ts";
import type { AdminAction, Proof } from "./admin-action.ts";
import type { SideRoute } from "./create-front.ts";

const PREFIX = "/admin/v1/";
const MAX_BODY_BYTES = 1024 * 1024;

/** What a request to the admin API brought as proof. */
export interface OwnerProof {
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
}

export type Administer = (action: string, args: JsonObject, proof: OwnerProof) => Promise<object>;

/**
 * Makes the one function behind every administrative face: finds the action, checks the proof, runs it.
 *
 * @param prove - Throws {@link Problem} when the proof is not enough; says who it is when it is.
 */
export function createAdministration(
  actions: readonly AdminAction[],
  prove: (proof: OwnerProof, needed: Proof) => Promise<string>,
): Administer {
  const byName = new Map(actions.map((action) => [action.name, action]));
  return async (name, args, proof) => {
    const action = byName.get(name);
    if (action === undefined) throw new Problem("not_found");
    const by = await prove(proof, action.proof);
    return action.run(args, by);
  };
}

/** Serves `/admin/v1/ACTION` (POST, JSON). On the local socket only: elsewhere it does not exist. */
export function createAdminRoutes(administer: Administer): SideRoute {
  return async (request, response, requestId) => {
    const path = request.url ?? "";
    if (!path.startsWith(PREFIX)) return false;
    const key = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
    // INVARIANT: to an agent's key there is no admin API at all, not even the part that needs no proof.
    if (key !== undefined && parseApiKey(key).ok) throw new Problem("not_found");
    if (request.method !== "POST") {
      sendProblem(response, new Problem("method_not_allowed"), requestId, { allow: "POST" });
      return true;
    }
    const passphrase = request.headers["doorward-passphrase"];
    const body = await readBody(request, MAX_BODY_BYTES);
    const parsed = parseStrictJson(body ?? "{}");
    if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null || Array.isArray(parsed.value)) {
      throw new Problem("invalid_request", { detail: "the body must be a JSON object" });
    }
    const result = await administer(path.slice(PREFIX.length), parsed.value as JsonObject, {
      key,
      passphrase: typeof passphrase === "string" ? Buffer.from(passphrase, "base64").toString("utf8") : undefined,
    });
    const text = Buffer.from(JSON.stringify(result));
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": text.length,
      "doorward-request-id": requestId,
    });
    response.end(text);
    return true;
  };
}
