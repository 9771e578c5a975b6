import { isNpx, parseNpxArguments } from "./npx-package.ts";
import type {
  ConfigPath,
  CredentialConfig,
  HttpServiceConfig,
  McpServerConfig,
  McpServiceConfig,
  OperationConfig,
  SandboxConfig,
  ServiceUrl,
} from "./schema.ts";
import { CREDENTIAL_MARK, secretArgument, secretVariableFault } from "./server-environment.ts";
import { type ServicePlace, shapeOperation } from "./shape-operation.ts";

/** An entry of `services:`, read key by key. */
export interface ServiceEntry {
  readonly url: ServiceUrl | undefined;
  readonly mcp: McpEntry | undefined;
  /** Whether the file has the key, and what it says with its defaults. */
  readonly sandbox: { readonly written: boolean; readonly config: SandboxConfig };
  readonly credential: CredentialConfig | undefined;
  readonly operations: ReadonlyMap<string, OperationConfig>;
}

/** The key `mcp`, read key by key. */
export interface McpEntry {
  readonly command?: string | undefined;
  readonly args?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  readonly env?: { readonly [name: string]: string } | undefined;
  readonly url?: ServiceUrl | undefined;
  readonly sse?: boolean | undefined;
}

/** What of a service depends on what it is. */
export type ShapedService =
  | Pick<HttpServiceConfig, "kind" | "url" | "credential" | "operations">
  | Pick<McpServiceConfig, "kind" | "server" | "credential" | "operations">;

/** Told of each key that does not fit; paths are relative to the entry. */
export type AddFault = (path: ConfigPath, problem: string, remedy: string) => void;

/**
 * Finds out what a service is, and which of its keys do not fit: an HTTP API, an MCP server to start, or one elsewhere.
 *
 * @returns `undefined` when it is none of them; a fault was added then.
 */
export function shapeService(entry: ServiceEntry, add: AddFault): ShapedService | undefined {
  const { url, mcp, credential, sandbox } = entry;
  if (url !== undefined && mcp !== undefined) {
    add(["mcp"], "a service is an HTTP API (`url`) or an MCP server (`mcp`), not both", "remove one of the two");
    return undefined;
  }
  if (sandbox.written && mcp?.command === undefined && (url !== undefined || mcp?.url !== undefined)) {
    add(["sandbox"], "the service runs elsewhere, so nothing is started here", "remove `sandbox`");
  }
  if (url !== undefined) {
    const operations = shapeOperations(entry.operations, "api", add);
    if (credential?.kind === "env" || credential?.kind === "oauth2") {
      misfit(credential, "an HTTP API", "`bearer`, `basic`, `header` or `query`", add);
      return undefined;
    }
    return { kind: "http", url, credential, operations };
  }
  if (mcp === undefined) {
    add(["url"], "`url` is missing", "add `url: https://HOST`, or `mcp:` for an MCP server");
    return undefined;
  }
  const server = shapeServer(mcp, entry, add);
  if (server === undefined) return undefined;
  checkCredential(server, credential, add);
  const place = server.transport === "stdio" ? "started" : "remote";
  return { kind: "mcp", server, credential, operations: shapeOperations(entry.operations, place, add) };
}

function shapeServer(mcp: McpEntry, { sandbox, credential }: ServiceEntry, add: AddFault): McpServerConfig | undefined {
  const { command, args = [], cwd, env = {}, url, sse } = mcp;
  if (command === undefined && url === undefined) {
    add(
      ["mcp"],
      "it says neither what to start nor where the server is",
      "add `command: PROGRAM` or `url: https://HOST/PATH`",
    );
    return undefined;
  }
  if (command !== undefined && url !== undefined) {
    add(["mcp", "url"], "a server is started (`command`) or runs elsewhere (`url`), not both", "remove one of the two");
    return undefined;
  }
  if (url !== undefined) {
    for (const key of ["args", "cwd", "env"] as const) {
      if (mcp[key] !== undefined) add(["mcp", key], `\`${key}\` is of a server that is started`, "remove it");
    }
    return { transport: "http", url, legacySse: sse ?? false };
  }
  if (sse !== undefined) add(["mcp", "sse"], "`sse` is of a server that runs elsewhere", "remove it");
  checkCommand(command ?? "", args, credential, add);
  for (const [name, value] of Object.entries(env)) {
    const fault = secretVariableFault(name, value);
    if (fault !== undefined) add(["mcp", "env", name], fault.problem, fault.remedy);
    if (credential?.kind === "env" && credential.name === name) {
      add(["mcp", "env", name], "this variable holds the credential's placeholder", "remove it");
    }
  }
  return {
    transport: "stdio",
    command: command ?? "",
    args,
    cwd,
    env: new Map(Object.entries(env)),
    sandbox: sandbox.config,
  };
}

function checkCommand(
  command: string,
  args: readonly string[],
  credential: CredentialConfig | undefined,
  add: AddFault,
): void {
  if (isNpx(command)) {
    const spec = parseNpxArguments(args);
    if (!spec.ok) add(["mcp", "args"], spec.problem, spec.remedy);
  }
  if (command.includes(CREDENTIAL_MARK)) {
    add(["mcp", "command"], "a command holds no credential", `write \`${CREDENTIAL_MARK}\` in \`args\``);
  }
  const secret = secretArgument(args);
  if (secret !== undefined) add(["mcp", "args", secret.index], secret.problem, secret.remedy);
  for (const [index, arg] of args.entries()) {
    if (!arg.includes(CREDENTIAL_MARK) || credential?.kind === "env") continue;
    const remedy = 'add `credential: { kind: env, name: VARIABLE, secret: "local:NAME", hosts: [HOST] }`';
    add(["mcp", "args", index], `nothing stands for \`${CREDENTIAL_MARK}\``, remedy);
  }
}

function checkCredential(
  { transport }: McpServerConfig,
  credential: CredentialConfig | undefined,
  add: AddFault,
): void {
  if (credential === undefined) return;
  if (transport === "stdio" && credential.kind !== "env") {
    misfit(credential, "a server that is started, which never sees a secret", "`env`, with `name` and `hosts`", add);
  }
  if (transport === "http" && credential.kind === "env") {
    misfit(credential, "a server that runs elsewhere", "`bearer`, `header`, `query`, `basic` or `oauth2`", add);
  }
  if (credential.kind !== "oauth2" || credential.grant !== "client_credentials") return;
  for (const [key, value] of [
    ["client_id", credential.clientId],
    ["secret", credential.secret],
  ] as const) {
    if (value === undefined) add(["credential", key], `\`client_credentials\` needs \`${key}\``, `add \`${key}: …\``);
  }
}

function misfit({ kind }: CredentialConfig, what: string, fitting: string, add: AddFault): void {
  add(["credential", "kind"], `\`${kind}\` is not a credential of ${what}`, `write ${fitting}`);
}

function shapeOperations(
  operations: ReadonlyMap<string, OperationConfig>,
  place: ServicePlace,
  add: AddFault,
): ReadonlyMap<string, OperationConfig> {
  return new Map(
    [...operations].map(([name, operation]) => {
      const within: AddFault = (path, problem, remedy) => add(["operations", name, ...path], problem, remedy);
      return [name, shapeOperation(operation, place, within)];
    }),
  );
}
