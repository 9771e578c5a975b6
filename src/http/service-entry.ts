import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { FileEntry } from "../config/config-edits.ts";
import { SERVICE_PRESETS } from "../config/service-presets.ts";
import { optionalText, textArgument, textList } from "./admin-action.ts";

const EFFECTS = ["read", "write", "destructive"];

/**
 * The entry of an HTTP API as it is written into the file; the file's own check judges its values.
 *
 * @throws {Problem} `invalid_request`.
 */
export function httpServiceEntry(args: JsonObject): FileEntry {
  const effect = effectOf(args) ?? "read";
  const allow = textList(args, "allow");
  return {
    url: textArgument(args, "url"),
    ...commonEntry(args),
    ...credentialEntry(args["credential"]),
    ...presetEntry(optionalText(args, "preset")),
    operations: { [effect]: { effect, allow: allow.length > 0 ? [...allow] : ["GET /{path...}"] } },
  };
}

/**
 * The entry of an MCP server, likewise.
 *
 * `mcp` is `npx:NAME@VERSION`, the URL of a server that runs elsewhere, or a program; `args` are given to it.
 * Without `tools` the entry has no operations yet.
 */
export function mcpServiceEntry(args: JsonObject): FileEntry {
  const mcp = textArgument(args, "mcp");
  const effect = effectOf(args) ?? "write";
  const tools = textList(args, "tools");
  return {
    mcp: serverEntry(mcp, textList(args, "args")),
    ...commonEntry(args),
    ...sandboxEntry(args),
    ...(args["env"] === undefined ? credentialEntry(args["credential"]) : envEntry(args)),
    ...(tools.length === 0 ? {} : { operations: { [effect]: { effect, tools: [...tools] } } }),
  };
}

function serverEntry(mcp: string, args: readonly string[]): FileEntry {
  if (/^https?:/i.test(mcp)) {
    if (args.length > 0) throw invalid("a server that runs elsewhere is given no arguments");
    return { url: mcp };
  }
  if (mcp.startsWith("npx:")) return { command: "npx", args: ["-y", mcp.slice("npx:".length), ...args] };
  return { command: mcp, ...(args.length === 0 ? {} : { args: [...args] }) };
}

function sandboxEntry(args: JsonObject): FileEntry {
  const lists = (["network", "read", "write"] as const).flatMap((key) => {
    const values = textList(args, key);
    return values.length === 0 ? [] : [[key, [...values]] as const];
  });
  const mode = optionalText(args, "sandbox");
  const sandbox = { ...(mode === undefined ? {} : { mode }), ...Object.fromEntries(lists) };
  return Object.keys(sandbox).length === 0 ? {} : { sandbox };
}

/** `env: {name, secret}`: the variable that holds a placeholder, and the secret that it stands for. */
function envEntry(args: JsonObject): FileEntry {
  const env = args["env"];
  if (typeof env !== "object" || env === null || Array.isArray(env)) throw invalid("`env` must be an object");
  const hosts = textList(args, "hosts");
  if (hosts.length === 0) {
    throw new Problem("invalid_request", {
      detail: "nobody said where the secret may go",
      remedy: "Add `--host HOST` for each host that the server sends it to.",
    });
  }
  const place = optionalText(args, "place");
  const variable = env as JsonObject;
  return {
    credential: {
      kind: "env",
      name: textArgument(variable, "name"),
      secret: reference(textArgument(variable, "secret")),
      hosts: [...hosts],
      ...(place === undefined ? {} : { place }),
    },
  };
}

function commonEntry(args: JsonObject): FileEntry {
  const description = optionalText(args, "description");
  return {
    ...(description === undefined ? {} : { description }),
    ...(args["private"] === true ? { private: true } : {}),
  };
}

function effectOf(args: JsonObject): string | undefined {
  const effect = optionalText(args, "effect");
  if (effect !== undefined && !EFFECTS.includes(effect))
    throw invalid(`\`effect\` must be one of ${EFFECTS.join(", ")}`);
  return effect;
}

function presetEntry(name: string | undefined): FileEntry {
  if (name === undefined) return {};
  const preset = SERVICE_PRESETS.get(name);
  if (preset === undefined) {
    throw new Problem("invalid_request", {
      detail: `there is no preset \`${name.slice(0, 64)}\``,
      remedy: `Use one of ${[...SERVICE_PRESETS.keys()].join(", ")}, or none.`,
    });
  }
  return { headers: { allow: [...preset.headers] } };
}

function credentialEntry(value: JsonValue | undefined): FileEntry {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw invalid("`credential` must be an object");
  const { secret, ...rest } = value as JsonObject;
  if (typeof secret !== "string") throw invalid("`credential.secret` must be a text");
  return { credential: { ...rest, secret: reference(secret) } };
}

/** A bare name is one of the vault's. */
function reference(secret: string): string {
  return secret.includes(":") ? secret : `local:${secret}`;
}

function invalid(detail: string): Problem {
  return new Problem("invalid_request", { detail });
}
