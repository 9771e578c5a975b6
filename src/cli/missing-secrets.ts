import { printPath } from "../config/print-path.ts";
import type { Config, Finding, Locate } from "../config/schema.ts";

/**
 * Warns of secrets that a file names and this machine does not have: the file holds without them, its calls will not.
 *
 * @param known - Names in the vault; `undefined` when it could not be read, and then nothing is said of them.
 */
export function missingSecrets(
  file: { readonly config: Config; readonly locate: Locate },
  known: ReadonlySet<string> | undefined,
  environment: (name: string) => string | undefined,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [name, { credential }] of file.config.services) {
    if (credential?.secret === undefined) continue;
    const [kind, rest = ""] = credential.secret.split(/:(.*)/s);
    const remedy =
      kind === "local" && known?.has(rest) === false
        ? `run \`doorward secret set ${rest} --stdin\``
        : kind === "env" && environment(rest) === undefined
          ? `set the variable \`${rest}\` where the daemon runs`
          : undefined;
    if (remedy === undefined) continue;
    const path = ["services", name, "credential", "secret"];
    const problem = `there is no secret \`${credential.secret}\` yet`;
    findings.push({ ...file.locate(path), path: printPath(path), problem, remedy, severity: "warning" });
  }
  return findings;
}
