/** The listeners of a daemon and what is behind each: TCP, the unix socket, the upgrades on it; and how they end. */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { isIPv4 } from "node:net";
import type { Approvals } from "./approvals/approvals.ts";
import type { FileAuditLog } from "./audit/file-audit-log.ts";
import { describeError } from "./base/describe-error.ts";
import { Problem } from "./base/problem.ts";
import type { ActiveCalls } from "./broker/active-calls.ts";
import type { Broker } from "./broker/create-broker.ts";
import type { RulesInForce } from "./broker/rules-in-force.ts";
import type { Served } from "./cli/application.ts";
import type { Home } from "./config/home.ts";
import { watchConfig } from "./config/watch-config.ts";
import type { ConsoleDeps } from "./console/console-deps.ts";
import { createConsole } from "./console/create-console.ts";
import { type Administer, createAdminRoutes } from "./http/admin-api.ts";
import { createApiEndpoint } from "./http/api-endpoint.ts";
import { type CertificateOf, createCertificateOf } from "./http/certificate-of.ts";
import { ownNames, SOCKET_NAMES } from "./http/check-host.ts";
import { clientAddress, trustedProxies } from "./http/client-address.ts";
import { createFront, type FrontDeps, recordStray, type SideRoute } from "./http/create-front.ts";
import { createExecUpgrade } from "./http/exec-upgrade.ts";
import { createHealthRoutes } from "./http/health-routes.ts";
import { listenSocket, listenTcp, type UpgradeHandler } from "./http/listen.ts";
import type { Metrics } from "./http/metrics.ts";
import { createStdioUpgrade } from "./http/stdio-upgrade.ts";
import { readTlsFiles, renewTls } from "./http/tls-files.ts";
import { createUpstreamLoginRoutes } from "./http/upstream-login-routes.ts";
import type { AuthThrottle } from "./identity/auth-throttle.ts";
import type { McpDoor } from "./mcp/create-mcp-door.ts";
import { createMcpEndpoint, type McpEndpointDeps } from "./mcp/http-endpoint.ts";
import type { LegacySse } from "./mcp/legacy-sse.ts";
import type { Sessions } from "./mcp/sessions.ts";
import type { AuthorizationServer } from "./oauth/create-authorization-server.ts";
import type { People } from "./oauth/open-people.ts";
import type { Identity } from "./open-identity.ts";
import type { Servers } from "./open-servers.ts";

/** Calls under way may take this long to end after a stop was asked for. */
const DRAIN_MS = 35_000;
/** Answers that are written may take this long to leave. */
const FLUSH_MS = 1_000;

/** What is known only while the doors are open, for those who were made before. */
export interface LiveDoors {
  /** Of the TCP listener: `http://127.0.0.1:7420`. */
  address?: string;
  /** Path of the unix socket. */
  socket?: string | undefined;
  certificateOf?: CertificateOf;
  draining: boolean;
}

export interface DoorsDeps {
  readonly home: Home;
  readonly uid: number | undefined;
  readonly rules: Pick<RulesInForce, "snapshot" | "load">;
  readonly audit: FileAuditLog;
  readonly identity: Identity;
  readonly oauth: AuthorizationServer;
  readonly people: People;
  readonly servers: Servers;
  readonly broker: Broker;
  readonly approvals: Pick<Approvals, "sweep">;
  readonly metrics: Metrics;
  readonly throttle: AuthThrottle;
  readonly mcp: McpDoor & {
    readonly sessions: Sessions;
    readonly sse: LegacySse;
    readonly refused: McpEndpointDeps["refused"];
  };
  readonly active: Pick<ActiveCalls, "idle">;
  readonly administer: Administer;
  readonly act: ConsoleDeps["act"];
  readonly level: () => 0 | 1;
  readonly publicUrl: () => string;
  /** Where a service is reached: `http://127.0.0.1:7420/api/registrar`. */
  readonly publicBase: (service: string) => string;
  /** What keeps this process from serving; empty when nothing does. */
  readonly notReady: () => readonly string[];
  readonly live: LiveDoors;
  readonly now: () => Date;
  readonly fault: (error: unknown, requestId: string) => void;
  readonly log: (line: string) => void;
}

/**
 * Opens the doors of an application.
 *
 * @param listen Where, when not as the file says.
 * @throws {Problem} when a listener cannot be opened; none stays open then.
 */
export async function openDoors(
  deps: DoorsDeps,
  listen: { readonly host: string; readonly port: number } | undefined,
): Promise<Served> {
  const { home, rules, audit, identity, oauth, throttle, active, live, now, fault } = deps;
  const { execSessions, upstreams } = deps.servers;
  const { dispatch, sessions, subscriptions, sse, refused } = deps.mcp;
  const snapshot = () => rules.snapshot();
  const { server } = snapshot().config;
  const wanted = listen ?? server.listen;
  const trusted = trustedProxies(server.trustedProxies);
  const tls = server.tls === undefined ? undefined : await readTlsFiles(server.tls);
  checkPlainHttp(wanted.host, tls !== undefined, server.trustedProxies.length > 0);
  const api = createApiEndpoint({
    broker: deps.broker,
    requestBytes: (service) => snapshot().services.get(service)?.config.limits.requestBytes,
    publicBase: deps.publicBase,
  });
  const health = createHealthRoutes({
    metrics: deps.metrics,
    async notReady() {
      // Whoever looks drives the recovery: no timer does.
      await audit.probe();
      return deps.notReady();
    },
  });
  const shared: Omit<FrontDeps, "names" | "side"> = {
    trusted,
    authenticate: identity.authenticate,
    throttle,
    challenge: oauth.challenge,
    audit,
    credentialOf: (service) => snapshot().services.get(service)?.config.credential,
    api,
    mcp: createMcpEndpoint({
      dispatch,
      serves: deps.mcp.serves,
      sessions,
      now,
      refused,
    }),
    sse: () => (snapshot().config.server.legacySse ? sse : undefined),
    now,
    fault,
  };
  makeSocketFolder(home.socketFolder, deps.uid);
  const admin = createAdminRoutes(deps.administer);
  const side: SideRoute = async (request, response, id) =>
    (await admin(request, response, id)) || (await health(request, response, id));
  const local = createFront({ ...shared, names: SOCKET_NAMES, side, local: true });
  const stdio = createStdioUpgrade({
    authenticate: identity.authenticateKey,
    audit,
    dispatch,
    now,
    refused,
    ended: upstreams.endSession,
  });
  const exec = createExecUpgrade({
    authenticate: identity.authenticateKey,
    sessions: execSessions,
    audit,
    now,
    fault,
  });
  const upgrade: UpgradeHandler = (request, socket, head) =>
    (request.url === "/exec" ? exec : stdio).upgrade(request, socket, head);
  const broken = (problem: Problem, requestId: string, ip: string) =>
    recordStray({ audit, throttle, now }, problem, requestId, ip);
  const tcp = await listenTcp((request, response) => front(request, response), { ...wanted, tls, broken });
  live.address = tcp.address;
  const consolePages = createConsole({
    ...deps.people,
    audit,
    throttle,
    now,
    level: deps.level,
    act: deps.act,
    addressOf: (request) => clientAddress(request, trusted),
    publicUrl: deps.publicUrl,
  });
  const upstreamLogins = createUpstreamLoginRoutes({
    logins: deps.servers.logins,
    publicUrl: deps.publicUrl,
    stray: (problem, id, request) =>
      recordStray({ audit, throttle, now }, problem, id, clientAddress(request, trusted)),
  });
  const outside: SideRoute = async (request, response, id) =>
    (await consolePages(request, response, id)) ||
    (await upstreamLogins(request, response, id)) ||
    (await oauth.endpoint(request, response, { requestId: id, ip: clientAddress(request, trusted) })) ||
    (await health(request, response, id));
  const bound = { host: wanted.host, port: Number(new URL(tcp.address).port) };
  live.certificateOf = createCertificateOf({
    ofSocket: tcp.certificateOf,
    header: server.clientCertificateHeader,
    trusted,
  });
  const front = createFront({
    ...shared,
    certificateOf: live.certificateOf,
    names: ownNames(bound, server.publicUrl),
    side: outside,
  });
  const endRenewal =
    server.tls === undefined || tls === undefined
      ? () => {}
      : renewTls(server.tls, tls, {
          renew: tcp.renewTls,
          failed: (why) => deps.log(`the certificates on disk are not in force: ${why}`),
        });
  const socket = await listenSocket(local, home.socket, upgrade).catch(async (error: unknown) => {
    await tcp.close();
    throw error;
  });
  const watcher = watchConfig(
    home.config,
    async () => void (await rules.load("file")),
    (error) => deps.log(`the file cannot be watched: ${describeError(error)}`),
  );
  // The file may have changed between the load at the start and the first look of the watcher.
  void watcher.ready
    .then(() => rules.load("file"))
    .catch((error: unknown) => deps.log(`reload failed: ${describeError(error)}`));
  const sweep = setInterval(() => void deps.approvals.sweep(now()).catch(() => {}), 30_000);
  sweep.unref();

  live.socket = home.socket;
  return {
    address: tcp.address,
    socket: home.socket,
    async stop() {
      live.draining = true;
      live.socket = undefined;
      watcher.close();
      endRenewal();
      clearInterval(sweep);
      const closing = Promise.all([tcp.close(), socket.close()]);
      await within(active.idle(), DRAIN_MS);
      sessions.endAll();
      sse.endAll();
      subscriptions.endAll();
      stdio.close();
      await exec.close();
      await within(closing, FLUSH_MS);
      tcp.server.closeAllConnections();
      socket.server.closeAllConnections();
      await closing;
    },
  };
}

/** `--listen` is judged like the file. */
function checkPlainHttp(host: string, tls: boolean, behindProxy: boolean): void {
  if (tls || behindProxy || host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."))) return;
  throw new Problem("invalid_request", {
    detail: `plain HTTP on \`${host}\` would send tokens in the clear`,
    remedy: "Set `server.tls`, or name who terminates TLS in `server.trusted_proxies`.",
  });
}

/** A folder in the temporary directory must be ours alone: others can write beside it. */
function makeSocketFolder(folder: string, uid: number | undefined): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const facts = lstatSync(folder);
  if (!facts.isDirectory() || (uid !== undefined && facts.uid !== uid)) {
    throw new Problem("store_unavailable", {
      detail: `\`${folder}\` belongs to somebody else`,
      remedy: "Remove it, or use a home with a shorter path.",
    });
  }
  chmodSync(folder, 0o700);
}

function within(done: Promise<unknown>, ms: number): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return Promise.race([done, promise]).finally(() => clearTimeout(timer));
}
