import type { Document } from "yaml";
import { Problem } from "../base/problem.ts";
import { checkConfigText } from "../broker/check-config.ts";
import type { RulesInForce } from "../broker/rules-in-force.ts";
import { editConfig } from "../config/edit-config.ts";
import type { Finding } from "../config/schema.ts";

/**
 * Changes doorward.yaml and puts the result in force: whole or not at all, and never one edit over another.
 *
 * @throws {Problem} `invalid_request` with the first finding, when the file or the result does not hold.
 */
export type EditRules = (edit: (document: Document) => void) => Promise<void>;

export function createEditRules(deps: {
  readonly path: string;
  readonly home: string;
  readonly rules: RulesInForce;
}): EditRules {
  const check = async (text: string) => {
    const checked = await checkConfigText(Buffer.from(text), deps.path, { home: deps.home });
    return checked.ok ? checked.warnings : checked.findings;
  };
  return async (edit) => {
    // What is on disk must be in force first: an edit with the owner's proof must not carry somebody else's along.
    const before = await deps.rules.load("file");
    if (!before.ok) throw notHolding(before.findings);
    const edited = await editConfig({ path: deps.path, edit, check });
    if (!edited.ok) throw notHolding(edited.findings);
    const loaded = await deps.rules.load("owner");
    if (!loaded.ok) throw notHolding(loaded.findings);
  };
}

function notHolding(findings: readonly Finding[]): Problem {
  const first = findings.find(({ severity }) => severity === "error") ?? findings[0];
  if (first === undefined) return new Problem("invalid_request", { detail: "the change does not hold" });
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more: \`doorward policy check\`)` : "";
  return new Problem("invalid_request", {
    detail: `${first.line}:${first.column} ${first.path}: ${first.problem}${more}`,
    remedy: `${first.remedy.charAt(0).toUpperCase()}${first.remedy.slice(1)}.`,
  });
}
