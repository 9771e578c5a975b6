import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { type CheckedConfig, checkConfigFile } from "../broker/check-config.ts";
import type { CallExplanation } from "../broker/explain-call.ts";
import type { LoadAnswer } from "../broker/rules-in-force.ts";
import type { Finding } from "../config/schema.ts";
import { readSecretNames } from "../vault/secret-names-store.ts";
import { type Cli, collect, homeOf, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { missingSecrets } from "./missing-secrets.ts";

interface ExplainOptions {
  readonly agent: string;
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly bodyFile?: string;
  readonly purpose?: string;
  readonly ip?: string;
  readonly header?: readonly string[];
}

/** `doorward policy …`: whether the file holds, and what it means for a call. */
export function addPolicyCommands(program: Command, cli: Cli): void {
  const policy = program.command("policy").description("the rules: check and explain them");

  policy
    .command("check [file]")
    .description("check the whole of a doorward.yaml; all faults at once")
    .addHelpText("after", "\nExample:\n  doorward policy check doorward.yaml --json")
    .action(async (file: string | undefined, _: unknown, command: Command) => {
      const { config, home } = homeOf(cli, command);
      const path = file === undefined ? config : resolve(file);
      const checked = await checkConfigFile(path, { home, mustExist: true });
      const findings = checked.ok ? [...checked.warnings, ...absentSecrets(cli, command, checked)] : checked.findings;
      show(cli, command, { ok: checked.ok, findings: findings.map(shownFinding) }, () => [
        ...findings.map(printFinding),
        checked.ok ? `${path} holds` : `${path} does not hold`,
      ]);
      if (!checked.ok) throw new CommandFailure(EXIT.usage);
    });

  policy
    .command("explain")
    .description("what would become of a call, and by which rules; nothing is sent")
    .requiredOption("--agent <name>", "who asks")
    .requiredOption("--service <name>", "of which service")
    .requiredOption("--method <method>", "GET, POST, …; of an MCP server `tools/call`")
    .requiredOption("--path <path>", "relative to the service; may carry ?query; of an MCP server the tool's name")
    .option("--body <text>", "JSON, unless a content-type header says otherwise; of an MCP server the arguments")
    .option("--body-file <file>", "the same from a file")
    .option("--header <header>", '"name: value"; may be repeated', collect)
    .option("--purpose <text>", "what the call says it is for")
    .option("--ip <address>", "where it comes from")
    .addHelpText(
      "after",
      "\nExample:\n  doorward policy explain --agent dns-bot --service registrar --method DELETE --path /domains/example.com/records?type=TXT",
    )
    .action(async (_: unknown, command: Command) => {
      const options = optionsOf<ExplainOptions>(command);
      const body = options.bodyFile === undefined ? options.body : await readFile(options.bodyFile, "utf8");
      await withAdmin(cli, command, async (admin) => {
        const found = await admin.run<CallExplanation>("policy.explain", {
          agent: options.agent,
          service: options.service,
          method: options.method,
          path: options.path,
          headers: Object.fromEntries((options.header ?? []).map(splitHeader)),
          ...(body === undefined ? {} : { body }),
          ...(options.purpose === undefined ? {} : { purpose: options.purpose }),
          ...(options.ip === undefined ? {} : { ip: options.ip }),
        });
        show(cli, command, found, () => [
          found.code === undefined ? found.decision : `${found.decision} (${found.code}): ${found.detail ?? ""}`,
          ...found.rules.map(({ id, effect, matched, why }) => `  ${matched ? "*" : " "} ${id} [${effect}] ${why}`),
          ...(found.remedy === "" ? [] : [`remedy: ${found.remedy}`]),
        ]);
      });
    });

  for (const [how, what] of [
    ["reload", "put the file on disk in force, if it holds"],
    ["accept", "accept a file that was changed (at assurance level 1 a changed file waits for this)"],
  ] as const) {
    policy
      .command(how)
      .description(what)
      .addHelpText("after", `\nExample:\n  doorward policy ${how}`)
      .action(async (_: unknown, command: Command) => {
        await withAdmin(cli, command, async (admin) => {
          const loaded = await admin.run<LoadAnswer>(`policy.${how}`);
          const findings = loaded.ok ? loaded.warnings : loaded.findings;
          show(cli, command, loaded, () => [
            ...findings.map(printFinding),
            loaded.ok ? (loaded.changed ? "in force" : "in force already") : "not loaded",
          ]);
          if (!loaded.ok) throw new CommandFailure(EXIT.usage);
        });
      });
  }
}

function absentSecrets(cli: Cli, command: Command, checked: CheckedConfig & { ok: true }): readonly Finding[] {
  if (checked.locate === undefined) return [];
  const { snapshot, locate } = checked;
  const known = readSecretNames(homeOf(cli, command).state);
  return missingSecrets({ config: snapshot.config, locate }, known, cli.environment.get);
}

export function printFinding({ line, column, path, problem, remedy, severity }: Finding): string {
  const where = path === "" ? "" : ` ${path}`;
  return `${line}:${column}${where}: ${severity === "warning" ? "warning: " : ""}${problem}; ${remedy}`;
}

function shownFinding({ line, column, path, problem, remedy, severity }: Finding) {
  return { line, column, path, problem, remedy, severity };
}

function splitHeader(text: string): [string, string] {
  const colon = text.indexOf(":");
  if (colon < 1) throw new CommandFailure(EXIT.usage, `\`${text}\` is no header; write "name: value"`);
  return [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()];
}
