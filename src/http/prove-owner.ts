import { Problem } from "../base/problem.ts";
import type { Owner } from "../vault/owner.ts";
import type { Proof } from "./admin-action.ts";
import type { OwnerProof } from "./admin-api.ts";

/**
 * Checks a proof of who administers, by the level of assurance in force.
 *
 * @returns Who it is, for the evidence.
 * @throws {Problem} `not_found` without the owner's key, `denied` without the passphrase, `rate_limited` after wrong ones.
 */
export async function proveOwner(
  owner: Owner,
  { key, passphrase }: OwnerProof,
  needed: Proof,
  now: Date,
): Promise<string> {
  const isOwner = key !== undefined && owner.checkOwnerKey(key);
  if (needed === "nothing") return isOwner ? "owner" : "local";
  // The same answer as for a route that does not exist: an agent's key opens nothing here.
  if (!isOwner) throw new Problem("not_found");
  if (needed === "key" || owner.level() === 0) return "owner";
  if (passphrase === undefined) throw needsPassphrase("this is an owner action: it needs the owner's passphrase");
  const checked = await owner.checkPassphrase(passphrase, now);
  if (checked.ok) return "owner";
  if (checked.reason === "throttled") {
    throw new Problem("rate_limited", {
      detail: "too many wrong passphrases",
      fields: { retry_after: checked.retryAfterSeconds },
    });
  }
  throw needsPassphrase("the passphrase is wrong");
}

function needsPassphrase(detail: string): Problem {
  const remedy = "Run the command on a terminal and type the owner's passphrase.";
  return new Problem("denied", { detail, remedy, fields: { rule: "owner:passphrase" } });
}
