import { dirname, resolve } from "node:path";
import type { JsonValue } from "../base/json.ts";
import type { HostClass } from "./check-addresses.ts";
import { crossCheck } from "./cross-check.ts";
import { decodeConfig } from "./decode-config.ts";
import { resolveFile } from "./file-reference.ts";
import { fileSchema } from "./file-schema.ts";
import { createPlaces, type Places } from "./locate.ts";
import { printPath } from "./print-path.ts";
import { salvage } from "./salvage.ts";
import type {
  Config,
  Fault,
  Finding,
  IssuerConfig,
  Locate,
  ServerTlsConfig,
  ServiceConfig,
  StdioServerConfig,
} from "./schema.ts";
import { parseYamlDocument } from "./yaml-document.ts";
import { readYamlValue, type ValueFault } from "./yaml-value.ts";
import { describeIssue, listShapeFaults, type ShapeFault } from "./zod-findings.ts";

/** More faults than this are counted, not listed. */
const MAX_FINDINGS = 500;
/** Leaving out faulty entries can bring up faults behind them; this often. */
const MAX_SALVAGE_ROUNDS = 4;

export interface ParseConfigOptions {
  /** Judges a literal address in a `url`; `egress/` has it. Absent: only `localhost` and loopback are known. */
  readonly classifyHost?: ((host: string) => HostClass) | undefined;
  /** The path of the file: `file:` references of `tls` are resolved from its folder. */
  readonly path?: string | undefined;
}

export type ParsedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly locate: Locate;
      readonly warnings: readonly Finding[];
    }
  | {
      readonly ok: false;
      /** Errors and warnings in the order of the file; at least one error. */
      readonly findings: readonly Finding[];
      /** The file without its faulty entries, for finding more faults in it. Never load it. */
      readonly partial?: { readonly config: Config; readonly locate: Locate };
    };

/**
 * Parses doorward.yaml: syntax, shape and references. Paths, JSON Schemas, CEL and hours are compiled by later folders.
 *
 * All faults are found at once. An empty file is an empty configuration.
 *
 * @returns Never throws. Linear in the text; 10,000 operations take about a second.
 */
export function parseConfig(text: string | Uint8Array, options: ParseConfigOptions = {}): ParsedConfig {
  const decoded = decodeConfig(text);
  if (!decoded.ok) return { ok: false, findings: [decoded.finding] };
  const yaml = parseYamlDocument(decoded.text);
  if (!yaml.ok) {
    const findings = yaml.errors.map(({ offset, problem, remedy }): Finding => {
      const { line, col } = yaml.lines.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col), path: "", problem, remedy, severity: "error" };
    });
    return { ok: false, findings: arrange(findings) };
  }
  const places = createPlaces(yaml.document, yaml.lines);
  const { value, faults } = readYamlValue(yaml.document);
  return parseValue({ value: dropEmpty(value), valueFaults: faults, places, options });
}

/** Turns the faults that a later folder found in a parsed file into findings. */
export function toFindings(
  faults: readonly Fault[],
  locate: Locate,
  severity: Finding["severity"] = "error",
): readonly Finding[] {
  return faults.map(({ path, problem, remedy }) => ({
    ...locate(path),
    path: printPath(path),
    problem,
    remedy,
    severity,
  }));
}

interface Parsing {
  readonly value: JsonValue;
  readonly valueFaults: readonly ValueFault[];
  readonly places: Places;
  readonly options: ParseConfigOptions;
}

function parseValue({ value, valueFaults, places, options }: Parsing): ParsedConfig {
  const { config, shapeFaults } = parseShape(value);
  const folder = options.path === undefined ? undefined : dirname(options.path);
  const checked = config && crossCheck(config, { known: namesOf(value), classifyHost: options.classifyHost, folder });
  const spoilt = new Set(valueFaults.map(({ path }) => printPath(path)));
  const errors = [
    ...valueFaults.map(
      ({ path, offset, problem, remedy }): Finding => ({
        ...places.offset(offset),
        path: printPath(path),
        problem,
        remedy,
        severity: "error",
      }),
    ),
    ...[...shapeFaults, ...(checked?.faults ?? [])]
      .filter(({ path }) => !spoilt.has(printPath(path)))
      .map((fault) => toFinding(fault, places)),
  ];
  const warnings = toFindings(checked?.warnings ?? [], places.value, "warning");
  const resolved = config && resolvePaths(config, folder);
  if (errors.length === 0 && resolved !== undefined) {
    return { ok: true, config: resolved, locate: places.value, warnings: arrange(warnings) };
  }
  const findings = arrange([...errors, ...warnings]);
  return resolved === undefined
    ? { ok: false, findings }
    : { ok: false, findings, partial: { config: resolved, locate: places.value } };
}

/** Parses, leaves out what is faulty, and parses again until the rest holds. */
function parseShape(value: JsonValue): {
  readonly config: Config | undefined;
  readonly shapeFaults: readonly ShapeFault[];
} {
  const shapeFaults: ShapeFault[] = [];
  let rest = value;
  for (let round = 0; round < MAX_SALVAGE_ROUNDS; round++) {
    const result = fileSchema.safeParse(rest, { error: describeIssue });
    if (result.success) return { config: result.data, shapeFaults };
    const faults = listShapeFaults(result.error);
    const known = new Set(shapeFaults.map(({ path }) => printPath(path)));
    shapeFaults.push(...faults.filter(({ path }) => !known.has(printPath(path))));
    rest = salvage(
      rest,
      faults.map(({ path }) => path),
    );
  }
  return { config: undefined, shapeFaults };
}

function toFinding(fault: Fault | ShapeFault, places: Places): Finding {
  const locate = "at" in fault && fault.at === "key" ? places.key : places.value;
  return {
    ...locate(fault.path),
    path: printPath(fault.path),
    problem: fault.problem,
    remedy: fault.remedy,
    severity: "error",
  };
}

function arrange(findings: readonly Finding[]): readonly Finding[] {
  const inOrder = [...findings].sort((one, other) => one.line - other.line || one.column - other.column);
  const listed = inOrder.slice(0, MAX_FINDINGS);
  const last = listed.at(-1);
  if (last === undefined || inOrder.length <= MAX_FINDINGS) return listed;
  return [
    ...listed,
    {
      ...last,
      path: "",
      problem: `there are ${inOrder.length - MAX_FINDINGS} more faults`,
      remedy: "correct these first",
    },
  ];
}

/** `services:` with nothing under it is an empty map, and an empty file an empty configuration. */
function dropEmpty(value: JsonValue): JsonValue {
  if (value === null) return { version: 1 };
  if (typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
}

function namesOf(value: JsonValue): { services: Set<string>; roles: Set<string>; agents: Set<string> } {
  const keys = (section: string) => {
    const map = (value as { [key: string]: JsonValue } | null)?.[section];
    return new Set(typeof map === "object" && map !== null && !Array.isArray(map) ? Object.keys(map) : []);
  };
  return { services: keys("services"), roles: keys("roles"), agents: keys("agents") };
}

function resolvePaths(config: Config, folder: string | undefined): Config {
  if (folder === undefined) return config;
  const { tls } = config.server;
  const server = {
    ...config.server,
    tls: tls && resolveTls(tls, folder),
  };
  const services = new Map([...config.services].map(([name, service]) => [name, resolveService(service, folder)]));
  const issuers = <Issuer extends IssuerConfig>(found: ReadonlyMap<string, Issuer>) =>
    new Map([...found].map(([name, issuer]) => [name, resolveIssuer(issuer, folder)]));
  const trustedIssuers = issuers(config.trustedIssuers ?? new Map());
  const { assertionIssuers } = config.oauth;
  const oauth = assertionIssuers ? { ...config.oauth, assertionIssuers: issuers(assertionIssuers) } : config.oauth;
  return { ...config, server, services, trustedIssuers, oauth };
}

function resolveTls({ cert, key, clientCa, clientCrl }: ServerTlsConfig, folder: string): ServerTlsConfig {
  const at = (path: string | undefined) => (path === undefined ? undefined : resolveFile(path, folder));
  return {
    cert: resolveFile(cert, folder),
    key: resolveFile(key, folder),
    clientCa: at(clientCa),
    clientCrl: at(clientCrl),
  };
}

function resolveIssuer<Issuer extends IssuerConfig>(issuer: Issuer, folder: string): Issuer {
  const { jwks } = issuer;
  return jwks.kind === "url" ? issuer : { ...issuer, jwks: { kind: "file", path: resolveFile(jwks.path, folder) } };
}

function resolveService(service: ServiceConfig, folder: string): ServiceConfig {
  const { ca } = service.tls;
  const resolved = ca === undefined ? service : { ...service, tls: { ca: resolveFile(ca, folder) } };
  if (resolved.kind !== "mcp" || resolved.server.transport !== "stdio") return resolved;
  return { ...resolved, server: resolveServer(resolved.server, folder) };
}

/** A command without a slash is sought among the system's programs. */
function resolveServer(server: StdioServerConfig, folder: string): StdioServerConfig {
  const { command, cwd, sandbox } = server;
  const at = (path: string) => resolve(folder, path);
  return {
    ...server,
    command: command.includes("/") ? at(command) : command,
    cwd: cwd === undefined ? undefined : at(cwd),
    sandbox: { ...sandbox, read: sandbox.read.map(at), write: sandbox.write.map(at) },
  };
}
