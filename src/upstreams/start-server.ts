import { Problem } from "../base/problem.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import type { EnvCredentialConfig, McpServiceConfig } from "../config/schema.ts";
import { makePlaceholder, type Placeholder, watchPlaceholder } from "../credentials/placeholder.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { InjectedFile, Sandbox, SandboxedChild } from "../sandbox/child-spec.ts";
import type { EgressSession } from "../sandbox/egress-session.ts";
import type { Lease } from "../vault/create-vault.ts";
import type { LinkFacts } from "./link.ts";
import type { Packages } from "./packages.ts";
import { heldProblem, type Pins } from "./pins.ts";
import { serverPrincipal } from "./server-principal.ts";

/** A server's process, confined, with a placeholder for its key. */
export interface StartedServer {
  readonly child: SandboxedChild;
  readonly facts: LinkFacts;
  /** Closes what it had beside itself; when it has exited. */
  release(): Promise<void>;
}

export interface StartServerDeps {
  readonly packages: Packages;
  readonly pins: Pick<Pins, "judgePackage">;
  readonly sandbox: Sandbox;
  readonly egressProxy: EgressProxyOpener;
  readonly vault: VaultLeases;
  /** Folders that the servers of other services may write. */
  readonly writableByOthers: (service: string) => readonly string[];
  readonly now: () => Date;
}

export interface EgressProxyOpener {
  open(session: EgressSession): Promise<{ readonly socket: string; readonly caPem: string; close(): Promise<void> }>;
}

export interface VaultLeases {
  lease(ref: string, pairing: { readonly service: string; readonly origin: string }, now: Date): Lease | Promise<Lease>;
}

/** What an argument says where the placeholder goes. */
const CREDENTIAL_MARK = "{credential}";

/**
 * Starts a service's server: finds its program, opens its way out, and starts it in its sandbox.
 *
 * The child has a placeholder where its key would be. The key is read for the placeholder's shape alone.
 *
 * @param during - Ids of the calls under way, for the evidence of the server's own requests.
 * @throws {Problem} `denied` when the package is held, `secret_unavailable`, `upstream_unreachable`.
 */
export async function startServer(
  deps: StartServerDeps,
  service: CompiledMcpService,
  during: () => readonly string[],
): Promise<StartedServer> {
  const { config } = service;
  const { server } = config;
  if (server.transport !== "stdio") throw new TypeError("the server is reached, not started");
  const resolved = await deps.packages.resolve({ command: server.command, args: server.args, cwd: server.cwd });
  if (resolved.package !== undefined) {
    const held = await deps.pins.judgePackage(config.name, resolved.package, deps.now());
    if (held !== undefined) throw heldProblem(held);
  }
  const credential = config.credential?.kind === "env" ? config.credential : undefined;
  const placeholder = credential === undefined ? undefined : await placeholderFor(deps, config, credential);
  const proxy = await deps.egressProxy.open(egressSession(config, placeholder, during));
  try {
    const child = await deps.sandbox.start({
      service: config.name,
      command: resolved.command,
      args: resolved.args.map((arg) => arg.replaceAll(CREDENTIAL_MARK, placeholder?.value ?? CREDENTIAL_MARK)),
      cwd: server.cwd,
      env: environment(server.env, credential, placeholder),
      config: server.sandbox,
      programFiles: resolved.programFiles,
      writableByOthers: deps.writableByOthers(config.name),
      files: injectedFiles(credential, placeholder),
      proxySocket: proxy.socket,
      proxyCaPem: proxy.caPem,
    });
    const { package: from } = resolved;
    const facts: LinkFacts = {
      transport: "stdio",
      mode: child.mode,
      limits: { ...child.limits },
      package: from === undefined ? undefined : { name: from.name, integrity: from.integrity },
    };
    return { child, facts, release: () => proxy.close() };
  } catch (error) {
    await proxy.close();
    throw error;
  }
}

async function placeholderFor(
  { vault, now }: StartServerDeps,
  config: McpServiceConfig,
  { secret }: EnvCredentialConfig,
): Promise<Placeholder> {
  const [pairing] = pairingsOf(config);
  if (pairing === undefined) throw new Problem("secret_unavailable", { reason: "the credential names no host" });
  const lease = await vault.lease(secret, { service: config.name, origin: pairing.origin }, now());
  return watchPlaceholder(makePlaceholder(lease.secret));
}

function environment(
  plain: ReadonlyMap<string, string>,
  credential: EnvCredentialConfig | undefined,
  placeholder: Placeholder | undefined,
): ReadonlyMap<string, string> {
  const env = new Map(plain);
  if (credential !== undefined && placeholder !== undefined) env.set(credential.name, placeholder.value);
  return env;
}

function injectedFiles(
  credential: EnvCredentialConfig | undefined,
  placeholder: Placeholder | undefined,
): readonly InjectedFile[] {
  if (credential?.file === undefined || placeholder === undefined) return [];
  return [{ path: credential.file, content: placeholder.value, mode: 0o444 }];
}

/** Its hosts are those of its credential and of its sandbox, and no others. */
function egressSession(
  config: McpServiceConfig,
  placeholder: Placeholder | undefined,
  during: () => readonly string[],
): EgressSession {
  const { name, credential, server, limits } = config;
  const places = [
    ...(credential?.kind === "env" ? credential.hosts : []),
    ...(server.transport === "stdio" ? server.sandbox.network : []),
  ];
  return {
    name,
    principal: serverPrincipal(config),
    by: "server",
    placeholder,
    during,
    route({ protocol, host, port }) {
      if (protocol === "http:" && !config.private) return undefined;
      if (!places.some((place) => place.host === host && place.port === port)) return undefined;
      return { service: name, basePath: "", requestBytes: limits.requestBytes };
    },
  };
}
