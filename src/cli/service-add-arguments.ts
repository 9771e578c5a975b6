import { resolve } from "node:path";
import type { JsonObject } from "../base/json.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** What `service add` was given. */
export interface AddOptions {
  readonly url?: string;
  readonly mcp?: string;
  readonly bearer?: string;
  readonly basic?: readonly string[];
  readonly header?: readonly string[];
  readonly query?: readonly string[];
  readonly env?: string;
  readonly host?: readonly string[];
  readonly place?: string;
  readonly allow?: readonly string[];
  readonly tool?: readonly string[];
  readonly read?: readonly string[];
  readonly write?: readonly string[];
  readonly network?: readonly string[];
  readonly sandbox?: string;
  readonly effect?: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly preset?: string;
}

/** Options that make no sense for the other kind of service. */
const API_OPTIONS = ["allow", "preset"] as const;
const MCP_OPTIONS = ["env", "host", "place", "tool", "read", "write", "network", "sandbox"] as const;

/**
 * Turns the options of `service add` into the arguments of its action.
 *
 * @param given - `programArgs`: what stood behind `--`. `folder`: where relative paths begin.
 * @throws {CommandFailure} with status 2.
 */
export function addArguments(
  name: string,
  options: AddOptions,
  given: { readonly programArgs: readonly string[]; readonly folder: string },
): JsonObject {
  const credential = credentialOf(options);
  const common = {
    name,
    ...(credential === undefined ? {} : { credential }),
    ...picked(options, ["effect", "description"]),
    ...(options.private === true ? { private: true } : {}),
  };
  if (options.mcp === undefined) {
    if (options.url === undefined) throw usage("say where it is: `--url URL` for an API, `--mcp …` for an MCP server");
    if (given.programArgs.length > 0) throw usage("an API is given no arguments");
    refuseOptions(options, MCP_OPTIONS, "--url");
    return { ...common, url: options.url, ...picked(options, API_OPTIONS) };
  }
  if (options.url !== undefined) throw usage("a service is an API (`--url`) or an MCP server (`--mcp`), not both");
  refuseOptions(options, API_OPTIONS, "--mcp");
  return {
    ...common,
    mcp: programOf(options.mcp, given.folder),
    args: given.programArgs,
    ...envOf(options.env),
    ...(options.host === undefined ? {} : { hosts: options.host }),
    ...(options.tool === undefined ? {} : { tools: options.tool }),
    ...picked(options, ["place", "network", "sandbox"]),
    ...paths("read", options.read, given.folder),
    ...paths("write", options.write, given.folder),
  };
}

function credentialOf(options: AddOptions): { readonly [field: string]: string } | undefined {
  const given = (["bearer", "basic", "header", "query", "env"] as const).filter((kind) => options[kind] !== undefined);
  if (given.length > 1)
    throw usage(`a service has one credential; ${given.map((kind) => `--${kind}`).join(" and ")} were given`);
  const [kind] = given;
  if (kind === undefined || kind === "env") return undefined;
  if (kind === "bearer") return { kind, secret: options.bearer ?? "" };
  const [name = "", secret, more] = options[kind] ?? [];
  if (secret === undefined || more !== undefined) throw usage(`--${kind} takes two words: the name and the secret`);
  return kind === "basic" ? { kind, username: name, secret } : { kind, name, secret };
}

/** `VARIABLE=SECRET`: both are names, so that no secret stands on a command line. */
function envOf(env: string | undefined): JsonObject {
  if (env === undefined) return {};
  const [, name, secret] = /^([A-Za-z_]\w*)=([a-z][a-z0-9-]*|[a-z]+:.+)$/.exec(env) ?? [];
  if (name === undefined || secret === undefined)
    throw usage("--env takes VARIABLE=SECRET, where SECRET is the name of a secret of the vault and not its value");
  return { env: { name, secret } };
}

/** A path of a program is taken from here; a bare name is looked up. */
function programOf(mcp: string, folder: string): string {
  return /^\.{0,2}\//.test(mcp) ? resolve(folder, mcp) : mcp;
}

function paths(key: "read" | "write", given: readonly string[] | undefined, folder: string): JsonObject {
  return given === undefined ? {} : { [key]: given.map((path) => resolve(folder, path)) };
}

function picked(options: AddOptions, keys: readonly (keyof AddOptions)[]): JsonObject {
  const pairs = keys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]] as const]));
  return Object.fromEntries(pairs);
}

function refuseOptions(options: AddOptions, keys: readonly (keyof AddOptions)[], kind: string): void {
  const misfit = keys.find((key) => options[key] !== undefined);
  if (misfit !== undefined) throw usage(`--${misfit} does not go with ${kind}`);
}

function usage(message: string): CommandFailure {
  return new CommandFailure(EXIT.usage, message);
}
