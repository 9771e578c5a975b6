import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { readConfigText } from "../config/load-config.ts";
import { type ParsedConfig, parseConfig, toFindings } from "../config/parse-config.ts";
import { checkSandboxPaths } from "../config/sandbox-path.ts";
import type { Config, Finding, Locate } from "../config/schema.ts";
import { classifyHost, mayDial } from "../egress/classify-address.ts";
import { compileSnapshot } from "../policy/compile-snapshot.ts";
import type { Snapshot } from "../policy/snapshot.ts";

/** Bytes of a file of roots (PEM). */
const MAX_AUTHORITY_BYTES = 1024 * 1024;

/** A file that can be put in force, or what is wrong with it. */
export type CheckedConfig =
  | {
      readonly ok: true;
      readonly snapshot: Snapshot;
      /** Contents of the files under `tls.ca`, by path. */
      readonly authorities: ReadonlyMap<string, string>;
      readonly bytes: Uint8Array;
      /** Where a path stands in the text; absent when the text was parsed in a worker. */
      readonly locate?: Locate;
      readonly warnings: readonly Finding[];
    }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/** What of this machine a file is checked against. */
export interface CheckPlaces {
  /** Doorward's home, which no sandbox may open. Absent: not checked; the sandbox itself refuses it when it starts. */
  readonly home?: string | undefined;
}

/**
 * Reads and checks the whole of a doorward.yaml: shape, names, addresses, paths, schemas, rules, the types of conditions.
 *
 * @param options - `mustExist`: a missing file is a finding instead of an empty one.
 * @returns All findings at once. Never throws.
 */
export async function checkConfigFile(
  path: string,
  options: CheckPlaces & { readonly mustExist: boolean },
): Promise<CheckedConfig> {
  const text = await readConfigText(path);
  if (!text.ok) return { ok: false, findings: [text.finding] };
  if (text.missing && options.mustExist) return { ok: false, findings: [missingFile(path)] };
  return checkConfigText(text.bytes, path, options);
}

/** The same for a text that is not on disk yet; `path` is where its relative references begin. */
export async function checkConfigText(
  bytes: Uint8Array,
  path: string,
  { home }: CheckPlaces = {},
): Promise<CheckedConfig> {
  const parsed = parseConfig(bytes, { classifyHost: judgeHost, path });
  if (!parsed.ok) return { ok: false, findings: await withCompiled(parsed) };
  const { authorities, findings } = await readAuthorities(parsed.config, parsed.locate);
  if (home !== undefined)
    findings.push(...toFindings(checkSandboxPaths(parsed.config, { home, file: resolve(path) }), parsed.locate));
  const compiled = compileSnapshot(parsed.config, { authorities });
  if (!compiled.ok) findings.push(...toFindings(compiled.faults, parsed.locate));
  if (!compiled.ok || findings.length > 0) return { ok: false, findings: inOrder([...findings, ...parsed.warnings]) };
  return {
    ok: true,
    snapshot: compiled.snapshot,
    authorities,
    bytes,
    locate: parsed.locate,
    warnings: parsed.warnings,
  };
}

/** What a host's spelling says of it, in the file's words. */
function judgeHost(host: string): "name" | "public" | "private" | "forbidden" {
  const kind = classifyHost(host);
  if (kind === undefined) return "name";
  if (mayDial(kind, { private: false })) return "public";
  return mayDial(kind, { private: true }) ? "private" : "forbidden";
}

/** What the rest of a faulty file would be refused for, so that one look shows everything. */
async function withCompiled(parsed: ParsedConfig & { ok: false }): Promise<readonly Finding[]> {
  if (parsed.partial === undefined) return parsed.findings;
  const { config, locate } = parsed.partial;
  const compiled = compileSnapshot(config);
  if (compiled.ok) return parsed.findings;
  return inOrder([...parsed.findings, ...toFindings(compiled.faults, locate)]);
}

async function readAuthorities(config: Config, locate: Locate) {
  const authorities = new Map<string, string>();
  const findings: Finding[] = [];
  for (const [name, { tls }] of config.services) {
    if (tls.ca === undefined || authorities.has(tls.ca)) continue;
    const problem = await readAuthority(tls.ca, authorities);
    if (problem === undefined) continue;
    const fault = { path: ["services", name, "tls", "ca"], problem, remedy: "name a PEM file with the roots to trust" };
    findings.push(...toFindings([fault], locate));
  }
  return { authorities, findings };
}

async function readAuthority(path: string, into: Map<string, string>): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_AUTHORITY_BYTES) return `\`${path}\` is larger than ${MAX_AUTHORITY_BYTES} bytes`;
    const text = await readFile(path, "utf8");
    if (!text.includes("-----BEGIN CERTIFICATE-----")) return `\`${path}\` holds no certificate`;
    into.set(path, text);
    return undefined;
  } catch (error) {
    return `\`${path}\` cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`;
  }
}

/** What is wrong when a file is empty where rules were in force. */
export function emptyFile(path: string): Finding {
  const remedy = "write `version: 1` to allow nothing, or put the rules back";
  return { line: 1, column: 1, path: "", problem: `the file \`${path}\` is empty`, remedy, severity: "error" };
}

/** What is wrong when there is no file where rules were in force. */
export function missingFile(path: string): Finding {
  const remedy = "put it back, or run `doorward init`";
  return { line: 1, column: 1, path: "", problem: `there is no file \`${path}\``, remedy, severity: "error" };
}

function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => a.line - b.line || a.column - b.column);
}
