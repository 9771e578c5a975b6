/**
 * The part of the composition root that upstream MCP servers need: the sandbox, the way out, pins, packages, connections.
 */
import { join } from "node:path";
import type { AuditLog } from "./audit/event.ts";
import { VERSION } from "./base/version.ts";
import type { Broker } from "./broker/create-broker.ts";
import type { ItemPins } from "./broker/upstream-call.ts";
import type { Environment } from "./config/environment.ts";
import type { Home } from "./config/home.ts";
import type { Egress } from "./egress/egress.ts";
import { createLookAtServer, type LookAtServer } from "./http/look-at-server.ts";
import { refuseRequest } from "./http/refuse-request.ts";
import { ResponseSink } from "./http/response-sink.ts";
import { ownerPrincipal } from "./http/service-test.ts";
import { indexKills, type Kill, killOfService } from "./policy/kills.ts";
import type { Snapshot } from "./policy/snapshot.ts";
import { createSandbox } from "./sandbox/create-sandbox.ts";
import { createEgressProxy } from "./sandbox/egress-proxy.ts";
import { createExecSessions, type ExecSessions } from "./sandbox/exec-sessions.ts";
import { createPackages } from "./upstreams/create-packages.ts";
import { createPins } from "./upstreams/create-pins.ts";
import { createUpstreams } from "./upstreams/create-upstreams.ts";
import { createLoginRecords, type GrantKey } from "./upstreams/login-records.ts";
import type { LoginStore } from "./upstreams/login-store.ts";
import { findNpm, npmEnvironment } from "./upstreams/npm-environment.ts";
import { createItemPins } from "./upstreams/pin-check.ts";
import type { PinStore } from "./upstreams/pin-store.ts";
import type { Pins } from "./upstreams/pins.ts";
import { createUpstreamLogins, type UpstreamLogins } from "./upstreams/upstream-logins.ts";
import { createUpstreamTokens } from "./upstreams/upstream-tokens.ts";
import type { Upstreams } from "./upstreams/upstreams.ts";
import { createUserTokens, type UserTokens } from "./upstreams/user-tokens.ts";
import type { Vault } from "./vault/create-vault.ts";
import type { Keyring } from "./vault/keyring.ts";

export interface ServersDeps {
  readonly home: Home;
  readonly environment: Environment;
  /** The file that the vault's key lies in, if it does. */
  readonly keyFile: string | undefined;
  readonly log: (line: string) => void;
  readonly audit: AuditLog;
  readonly keyring: Keyring;
  readonly pinStore: PinStore;
  readonly loginStore: LoginStore;
  readonly vault: Vault;
  readonly egress: Egress;
  readonly snapshot: () => Snapshot;
  /** Where browsers reach Doorward. */
  readonly publicUrl: () => string;
  /** Asked for when a server makes a request of its own; it comes later than the servers. */
  readonly broker: () => Broker;
  readonly now: () => Date;
  readonly fault: (error: unknown, requestId: string) => void;
}

export interface Servers extends AsyncDisposable {
  readonly upstreams: Upstreams;
  readonly pins: Pins;
  readonly itemPins: ItemPins;
  readonly look: LookAtServer;
  readonly execSessions: ExecSessions;
  /** People who sign in at servers elsewhere, and the tokens that this gave. */
  readonly logins: UpstreamLogins;
  readonly userTokens: UserTokens;
  /** Ends the sign-ins of a service that goes. */
  forgetLogins(service: string, by: string): Promise<void>;
  /** Drops the tokens of services that a kill covers. @returns How many. */
  dropKilledLogins(kill: Kill): Promise<number>;
}

/** Makes all that upstream MCP servers need; starts none. @throws {Problem} `store_unavailable`, `audit_unavailable`. */
export async function openServers(deps: ServersDeps): Promise<Servers> {
  const { home, environment, log, audit, keyring, vault, egress, snapshot, now, fault } = deps;
  const searchPath = environment.get("PATH");
  const stopping = new AbortController();
  const pins = await createPins({ store: deps.pinStore, keyring, audit, now: now() });
  const itemPins = createItemPins(pins);
  const packages = createPackages({
    folder: join(home.home, "packages"),
    places: { node: process.execPath, searchPath, closed: [environment.userHome, home.home] },
    tools: {
      node: process.execPath,
      npm: findNpm(process.execPath, searchPath),
      environment: npmEnvironment(environment.all()),
      say: log,
      signal: stopping.signal,
    },
  });
  const egressProxy = createEgressProxy({
    broker: { call: (request, sink) => deps.broker().call(request, sink) },
    createSink: (response, requestId, refuse) => new ResponseSink(response, requestId, refuse),
    refuse: refuseRequest,
    audit,
    folder: join(home.socketFolder, "egress"),
    now,
    fault,
  });
  const tokens = createUpstreamTokens({ egress, vault, now });
  const find = (name: string) => {
    const service = snapshot().services.get(name);
    return service?.kind === "mcp" ? service : undefined;
  };
  const loginDeps = { egress, vault, audit, now, find, store: deps.loginStore, records: createLoginRecords(keyring) };
  const userTokens = createUserTokens(loginDeps);
  const logins = createUpstreamLogins({
    ...loginDeps,
    tokens: userTokens,
    publicUrl: deps.publicUrl,
    signedIn: (name) => upstreams.surfaceChanged(name),
  });
  const dropLogins = (which: (key: GrantKey) => boolean, by: string) => {
    logins.drop(which);
    return userTokens.drop(which, by);
  };
  const upstreams = createUpstreams({
    packages,
    pins: { ...itemPins, judge: pins.judge, judgePackage: pins.judgePackage },
    sandbox: createSandbox({
      home: home.home,
      hidden: deps.keyFile === undefined ? [] : [deps.keyFile],
      fixed: [home.config],
      path: searchPath ?? "",
    }),
    writableByOthers: (name) => writableFolders(snapshot(), name),
    egressProxy,
    vault,
    egress,
    authorise: async (service, { user }) => {
      const { config } = service;
      const { credential, server } = config;
      if (server.transport !== "http" || credential === undefined) return undefined;
      if (credential.kind === "env") return undefined;
      if (credential.kind === "oauth2") {
        return credential.grant === "client_credentials" ? tokens.get(service) : userTokens.get(service, user);
      }
      const pairing = { service: config.name, origin: server.url.origin };
      return { credential, lease: await vault.lease(credential.secret, pairing, now()) };
    },
    audit,
    version: VERSION,
    log,
    now,
    snapshot,
  });
  return {
    upstreams,
    pins,
    itemPins,
    logins,
    userTokens,
    forgetLogins: async (name, by) => void (await dropLogins(({ service }) => service === name, by)),
    async dropKilledLogins(kill) {
      const order = indexKills([kill]);
      const covers = ({ service: name }: GrantKey): boolean => {
        if (kill.target === "all" || kill.target === `service:${name}`) return true;
        const service = find(name);
        return service !== undefined && killOfService(order, service) !== undefined;
      };
      return (await dropLogins(covers, kill.setBy)).dropped;
    },
    execSessions: createExecSessions({ egressProxy, vault, snapshot, audit, now }),
    look: createLookAtServer({ snapshot, upstreams, pins, owner: ownerPrincipal, now }),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await upstreams[Symbol.asyncDispose]();
    },
  };
}

/** Folders that the servers of all services but one may write. */
function writableFolders({ services }: Snapshot, but: string): readonly string[] {
  return [...services.values()].flatMap(({ config }) =>
    config.kind === "mcp" && config.server.transport === "stdio" && config.name !== but
      ? config.server.sandbox.write
      : [],
  );
}
