/**
 * The composition root: opens a home and puts the parts together. It is one file, however long, so that who is given
 * what is read in one place; nothing here decides anything.
 */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { createApprovalStore } from "./approvals/approval-store.ts";
import { Approvals } from "./approvals/approvals.ts";
import { createKills } from "./approvals/create-kills.ts";
import { createKillStore } from "./approvals/kill-store.ts";
import { openAuditLog } from "./audit/open-audit-log.ts";
import { Problem } from "./base/problem.ts";
import { createTurns } from "./base/turns.ts";
import { VERSION } from "./base/version.ts";
import { createAcceptedConfigStore } from "./broker/accepted-config-store.ts";
import { createActiveCalls } from "./broker/active-calls.ts";
import { createByteBudget } from "./broker/byte-budget.ts";
import { checkConfigFile } from "./broker/check-config.ts";
import { checkConfigAside } from "./broker/check-config-aside.ts";
import { type Broker, createBroker } from "./broker/create-broker.ts";
import { createExplainer } from "./broker/explain-call.ts";
import { createHolds } from "./broker/hold-call.ts";
import { fetchPreview } from "./broker/preview-call.ts";
import { createRecentDecisions } from "./broker/recent-decisions.ts";
import { recordRefusal } from "./broker/record-refusal.ts";
import { createRules } from "./broker/rules-in-force.ts";
import type { Application, ApplicationOptions, Served } from "./cli/application.ts";
import { PEOPLE_PAIRING } from "./config/credential-pairings.ts";
import { watchConfig } from "./config/watch-config.ts";
import { createConsole } from "./console/create-console.ts";
import { createEgress } from "./egress/egress.ts";
import { fetchDocument } from "./egress/fetch-document.ts";
import { type Proof, runAction } from "./http/admin-action.ts";
import { agentActions } from "./http/admin-agents.ts";
import { type Administer, createAdministration, createAdminRoutes, type OwnerProof } from "./http/admin-api.ts";
import { approvalActions } from "./http/admin-approvals.ts";
import { clientActions } from "./http/admin-clients.ts";
import { drillActions } from "./http/admin-drill.ts";
import { type KillEffect, killActions } from "./http/admin-kills.ts";
import { personActions } from "./http/admin-persons.ts";
import { pinActions } from "./http/admin-pins.ts";
import { secretActions } from "./http/admin-secrets.ts";
import { serviceActions } from "./http/admin-services.ts";
import { systemActions } from "./http/admin-system.ts";
import { tokenActions } from "./http/admin-tokens.ts";
import { createApiEndpoint } from "./http/api-endpoint.ts";
import { type CertificateOf, createCertificateOf } from "./http/certificate-of.ts";
import { ownNames, SOCKET_NAMES } from "./http/check-host.ts";
import { clientAddress, trustedProxies } from "./http/client-address.ts";
import { createFront, type FrontDeps, recordStray, type SideRoute } from "./http/create-front.ts";
import { createEditRules } from "./http/edit-rules.ts";
import { createExecUpgrade } from "./http/exec-upgrade.ts";
import { createHealthRoutes } from "./http/health-routes.ts";
import { listenSocket, listenTcp, type UpgradeHandler } from "./http/listen.ts";
import { createMetrics } from "./http/metrics.ts";
import { createRevokeTokens } from "./http/revoke-tokens.ts";
import { createServiceTest } from "./http/service-test.ts";
import { createStdioUpgrade } from "./http/stdio-upgrade.ts";
import { readTlsFiles, renewTls } from "./http/tls-files.ts";
import { createAuthThrottle } from "./identity/auth-throttle.ts";
import type { TokenVerifier } from "./identity/authenticate-caller.ts";
import type { Principal } from "./identity/principal.ts";
import type { TokenSource } from "./identity/token-source.ts";
import { createMcpDoor } from "./mcp/create-mcp-door.ts";
import { createMcpEndpoint } from "./mcp/http-endpoint.ts";
import { createLegacySse } from "./mcp/legacy-sse.ts";
import { createRequestStates } from "./mcp/request-state.ts";
import { createSessions } from "./mcp/sessions.ts";
import { createExplainTool } from "./mcp/tool-explain.ts";
import { createRequestTool } from "./mcp/tool-request.ts";
import { createServicesTool } from "./mcp/tool-services.ts";
import { createStatusTool } from "./mcp/tool-status.ts";
import { createWhoamiTool } from "./mcp/tool-whoami.ts";
import { createAuthorizationServer } from "./oauth/create-authorization-server.ts";
import { createOAuthStore } from "./oauth/oauth-store.ts";
import { openPeople } from "./oauth/open-people.ts";
import { openIdentity } from "./open-identity.ts";
import { openServers, type Servers } from "./open-servers.ts";
import { createCounters } from "./policy/counters.ts";
import { indexKills, type Kill, killOfPrincipal, killOfService } from "./policy/kills.ts";
import { createHome } from "./store/create-home.ts";
import { acquireHomeLock } from "./store/home-lock.ts";
import { openStore } from "./store/open-store.ts";
import { createPinStore } from "./upstreams/pin-store.ts";
import { createBindingStore } from "./vault/binding-store.ts";
import { createVault } from "./vault/create-vault.ts";
import { systemKeychain } from "./vault/keychain.ts";
import { createOwner, type Owner } from "./vault/owner.ts";
import { createSecretStore } from "./vault/secret-store.ts";
import { createSettingsStore } from "./vault/settings-store.ts";
import { unlockHome } from "./vault/unlock-home.ts";

/** Whole answers in memory at once, over all calls. */
const ANSWER_BUDGET_BYTES = 256 * 1024 * 1024;
/** Calls under way may take this long to end after a stop was asked for. */
const DRAIN_MS = 35_000;
/** Answers that are written may take this long to leave. */
const FLUSH_MS = 1_000;
const NO_EFFECT: KillEffect = { streams: 0, leases: 0, children: Promise.resolve(0), tokens: Promise.resolve(0) };

/**
 * Opens a home: takes its lock, its state, its evidence and its rules.
 *
 * @throws {Problem} with what is wrong and what to do; nothing stays open then.
 */
export async function openApplication(options: ApplicationOptions): Promise<Application> {
  const stack = new AsyncDisposableStack();
  try {
    return await open(options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function open(options: ApplicationOptions, stack: AsyncDisposableStack): Promise<Application> {
  const { home, environment, log } = options;
  const now = () => new Date();
  const uid = process.getuid?.();
  createHome(home.home, { uid });
  const lock = await acquireHomeLock(home.home, { waitMs: options.lockWaitMs });
  if (lock.held) {
    throw new Problem("store_unavailable", {
      detail: `another Doorward process holds the home \`${home.home}\``,
      remedy: "Stop it first, or name another home with `--home`.",
    });
  }
  stack.use(lock);

  const store = stack.use(openStore({ path: home.state }));
  const settings = createSettingsStore(store.db);
  const keychain = systemKeychain();
  const unlocked = await unlockHome({
    home: home.home,
    settings,
    kek: { configFolder: environment.configHome, environment: environment.get, keychain, uid, ...options.ask },
    ...(options.kek === undefined ? {} : { choice: options.kek }),
  });
  const { keyring } = unlocked;
  const owner = await createOwner({ home: home.home, settings, keyring });
  const audit = await openAuditLog({
    folder: home.audit,
    digestKey: keyring.deriveKey("audit-digest"),
    signingSeed: keyring.deriveKey("audit-signing"),
    now,
    started: { version: VERSION, assurance: owner.level() },
    ...(options.damage === undefined ? {} : { damage: options.damage }),
  });
  stack.defer(() => audit.close());
  const fault = (error: unknown, requestId: string) => log(`internal error in ${requestId}: ${describeError(error)}`);

  const vault = createVault({
    home: home.home,
    secrets: createSecretStore(store.db),
    bindings: createBindingStore(store.db),
    keyring,
    sources: { environment: environment.get, keychain },
    audit,
  });
  const rules = createRules({
    check: () =>
      rulesLoaded
        ? checkConfigAside(home.config, { home: home.home })
        : checkConfigFile(home.config, { home: home.home, mustExist: false }),
    vault,
    audit,
    now,
    guarded: () => owner.level() > 0,
    accepted: createAcceptedConfigStore(store.db, keyring),
    changed(state) {
      options.rulesChanged(state);
      if (rulesLoaded) subscriptions.changed();
    },
  });
  let rulesLoaded = false;
  const active = createActiveCalls();
  const sessions = createSessions((id) => servers.upstreams.endSession(id));
  const effects = new Map<string, KillEffect>();
  const kills = await createKills({
    store: createKillStore(store.db),
    audit,
    onChange(inForce, added) {
      rules.setKills(inForce);
      if (added === undefined) return;
      const { streams } = active.cut(added);
      const name = added.target.slice(added.target.indexOf(":") + 1);
      const leases = vault.dropLeases(
        ({ ref, service }) =>
          added.target === "all" ||
          added.target === `service:${service}` ||
          (added.target.startsWith("secret:") && (ref === name || ref === `local:${name}`)),
      );
      if (added.target === "all" || added.target.startsWith("agent:")) {
        const agent = added.target === "all" ? undefined : name;
        sessions.silence(agent);
        subscriptions.endAll(agent);
      }
      effects.set(added.target, { streams, leases, children: endServers(added), tokens: identity.revokeKilled(added) });
    },
  });
  /** Ends what a client whose token was taken back has under way, here and now. */
  const cutClient = (client: string): number =>
    active.cut({ target: `client:${client}`, why: "its token was revoked", setBy: "owner", setAt: now() }).streams;
  /** Ends the MCP servers that a kill covers whole, and the commands of whom it names. */
  const endServers = async (kill: Kill): Promise<number> => {
    const order = indexKills([kill]);
    const covered = [...snapshot().services.values()].filter(
      (service) => service.kind === "mcp" && (kill.target === "all" || killOfService(order, service) !== undefined),
    );
    servers.upstreams.dropParked(kill);
    const commands = servers.execSessions.cut(kill);
    const ended = await Promise.all(covered.map(({ config }) => servers.upstreams.stopService(config.name)));
    return ended.reduce((sum, children) => sum + children, commands);
  };
  const egress = createEgress({ userAgent: `doorward/${VERSION}` });
  stack.use(egress);
  const more: { verifiers: TokenVerifier[]; sources: TokenSource[] } = { verifiers: [], sources: [] };
  const identity = await openIdentity({ db: store.db, audit, snapshot: () => rules.snapshot(), egress, now, more });
  stack.use(identity);
  const { keys, authenticateKey } = identity;
  const loaded = await rules.load("start");
  rulesLoaded = true;

  const snapshot = () => rules.snapshot();
  const approvals = new Approvals({
    store: createApprovalStore({ db: store.db, keyring }),
    audit,
    keyring,
    assurance: () => owner.level(),
  });
  const counters = createCounters();
  const budget = createByteBudget(ANSWER_BUDGET_BYTES);
  let address: string | undefined;
  const publicUrl = () => snapshot().config.server.publicUrl ?? address ?? "http://127.0.0.1:7420";
  const publicBase = (service: string) => `${publicUrl()}/api/${service}`;
  const metrics = createMetrics({
    isService: (name) => snapshot().services.has(name),
    callsUnderWay: () => active.size,
    sessions: () => sessions.size,
    auditAvailable: () => audit.unavailable() === undefined,
    configCurrent: () => rules.state().findings.length === 0,
  });
  stack.defer(() => metrics.close());
  const recent = createRecentDecisions();
  const pinStore = createPinStore(store.db);
  const servers: Servers = await openServers({
    home,
    environment,
    keyFile: unlocked.protection.file,
    log,
    audit,
    keyring,
    pinStore,
    vault,
    egress,
    snapshot,
    broker: () => broker,
    now,
    fault,
  });
  stack.use(servers);
  const { upstreams, pins, look } = servers;
  const broker: Broker = createBroker({
    upstreams,
    pins: servers.itemPins,
    snapshot,
    audit,
    counters,
    vault,
    egress,
    active,
    recent,
    now,
    fault,
    finished: metrics.finished,
    holds: createHolds({
      approvals,
      preview: (asked, target) => fetchPreview({ broker, budget }, asked, target),
      approvalUrl: (id) => `${publicUrl()}/console/approvals/${id}`,
    }),
  });
  const explainer = createExplainer({ snapshot, counters, now });
  const server = { name: "doorward", version: VERSION };
  const turns = createTurns();
  const states = createRequestStates(keyring);
  const tools = [
    createServicesTool({ snapshot, now }),
    createRequestTool({ broker, budget, turns, publicBase }),
    createWhoamiTool({ snapshot }),
    createExplainTool({ explainer, findDecision: recent.find }),
    createStatusTool({ approvals, now }),
  ];
  const refused = (caller: { readonly principal: Principal; readonly requestId: string }, reason: string) =>
    recordRefusal(audit, { ...caller, door: "mcp", code: "invalid_request", reason });
  const face = { server, snapshot, now, upstreams, broker, budget, turns, states, fault };
  const { dispatch, subscriptions, serves } = createMcpDoor({ ...face, tools });

  let draining = false;
  let servedSocket: string | undefined;
  const notReady = (): readonly string[] => {
    const reasons: string[] = [];
    if (draining) reasons.push("draining");
    const unavailable = audit.unavailable();
    if (unavailable !== undefined) reasons.push(`audit_unavailable: ${unavailable}`);
    if (!store.healthy().ok) reasons.push("store_unavailable");
    return reasons;
  };

  const revoke = createRevokeTokens({ sources: identity.sources, cut: cutClient, now });
  const editRules = createEditRules({ path: home.config, home: home.home, rules });
  const people = await openPeople({
    db: store.db,
    keyring,
    audit,
    now,
    publicUrl,
    people: () => snapshot().config.people,
    egress,
    lease: async ({ secret }, origin) =>
      secret === undefined ? undefined : vault.lease(secret, { service: PEOPLE_PAIRING, origin }, now()),
  });
  let certificateOf: CertificateOf | undefined;
  const throttle = createAuthThrottle();
  const oauth = await createAuthorizationServer({
    store: createOAuthStore(store.db),
    keyring,
    audit,
    throttle,
    persons: people.sessions,
    publicUrl,
    oauth: () => snapshot().config.oauth,
    agentOf: (name) => snapshot().agents.get(name)?.config,
    killOf: (principal) => killOfPrincipal(snapshot().kills, principal),
    certificateOf: (request) => certificateOf?.(request),
    fetchDocument: (url) => fetchDocument(egress, { url, private: false }),
    fault,
    now,
  });
  more.verifiers.push(oauth.verifier);
  more.sources.push(oauth.tokens);
  // An IP address cannot have passkeys, which level 1 needs.
  const consoleUrl = () => (owner.level() === 0 ? publicUrl() : publicUrl().replace("//127.0.0.1:", "//localhost:"));
  /** What the console can do too. */
  const answers = [
    ...approvalActions({ approvals, now }),
    ...killActions({ kills, effectOf: (target) => effects.get(target) ?? NO_EFFECT, now }),
  ];
  const administer: Administer = createAdministration(
    [
      ...secretActions({ vault, now }),
      ...agentActions({ keys, home: home.home, snapshot, editRules, revoke, now }),
      ...clientActions({ ...oauth, snapshot, editRules, publicUrl, now }),
      ...serviceActions({
        vault,
        snapshot,
        editRules,
        pins,
        look,
        now,
        test: createServiceTest({ broker, budget, snapshot, vault, now, look }),
      }),
      ...pinActions({ pins, upstreams, snapshot, now }),
      ...personActions({ ...people, consoleUrl }),
      ...answers,
      ...tokenActions({ sources: identity.sources, revoke, now }),
      ...drillActions({
        keys,
        kills,
        snapshot,
        overlay: (dress) => rules.setOverlay(dress),
        socket: () => servedSocket,
        now,
      }),
      ...systemActions({
        audit,
        rules,
        owner,
        kills,
        vault,
        approvals,
        explainer,
        keys,
        servers: () => upstreams.status(),
        now,
        facts: () => ({
          version: VERSION,
          home: home.home,
          config: home.config,
          node: audit.node,
          pid: process.pid,
          listening: address ?? null,
          key_protection: unlocked.protection,
          calls_under_way: active.size,
          mcp_sessions: sessions.size,
          not_ready: notReady(),
        }),
      }),
    ],
    (proof, needed) => prove(owner, proof, needed, now()),
  );

  const application: Application = {
    administer,
    made: unlocked.made,
    protection: unlocked.protection,
    loaded,
    level: () => owner.level(),
    reload: (by) => rules.load(by),
    ownerKey: async () => (await readFile(home.ownerKey, "utf8")).trim(),
    serve: (listen) => serve(listen),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return application;

  async function serve(listen: { readonly host: string; readonly port: number } | undefined): Promise<Served> {
    const { server } = snapshot().config;
    const wanted = listen ?? server.listen;
    const trusted = trustedProxies(server.trustedProxies);
    const tls = server.tls === undefined ? undefined : await readTlsFiles(server.tls);
    checkPlainHttp(wanted.host, tls !== undefined, server.trustedProxies.length > 0);
    const api = createApiEndpoint({
      broker,
      requestBytes: (service) => snapshot().services.get(service)?.config.limits.requestBytes,
      publicBase,
    });
    const health = createHealthRoutes({
      metrics,
      async notReady() {
        // Whoever looks drives the recovery: no timer does.
        await audit.probe();
        return notReady();
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
        serves,
        sessions,
        now,
        refused,
      }),
      sse: () => (snapshot().config.server.legacySse ? sse : undefined),
      now,
      fault,
    };
    makeSocketFolder(home.socketFolder, uid);
    const admin = createAdminRoutes(administer);
    const side: SideRoute = async (request, response, id) =>
      (await admin(request, response, id)) || (await health(request, response, id));
    const local = createFront({ ...shared, names: SOCKET_NAMES, side, local: true });
    const sse = createLegacySse({ dispatch, refused, ended: upstreams.endSession });
    const stdio = createStdioUpgrade({
      authenticate: authenticateKey,
      audit,
      dispatch,
      now,
      refused,
      ended: upstreams.endSession,
    });
    const exec = createExecUpgrade({
      authenticate: authenticateKey,
      sessions: servers.execSessions,
      audit,
      now,
      fault,
    });
    const upgrade: UpgradeHandler = (request, socket, head) =>
      (request.url === "/exec" ? exec : stdio).upgrade(request, socket, head);
    const broken = (problem: Problem, requestId: string, ip: string) =>
      recordStray({ audit, throttle, now }, problem, requestId, ip);
    const tcp = await listenTcp((request, response) => front(request, response), { ...wanted, tls, broken });
    address = tcp.address;
    const consolePages = createConsole({
      ...people,
      audit,
      throttle,
      now,
      level: () => owner.level(),
      act: runAction(answers),
      addressOf: (request) => clientAddress(request, trusted),
      publicUrl,
    });
    const outside: SideRoute = async (request, response, id) =>
      (await consolePages(request, response, id)) ||
      (await oauth.endpoint(request, response, { requestId: id, ip: clientAddress(request, trusted) })) ||
      (await health(request, response, id));
    const bound = { host: wanted.host, port: Number(new URL(tcp.address).port) };
    certificateOf = createCertificateOf({
      ofSocket: tcp.certificateOf,
      header: server.clientCertificateHeader,
      trusted,
    });
    const front = createFront({ ...shared, certificateOf, names: ownNames(bound, server.publicUrl), side: outside });
    const endRenewal =
      server.tls === undefined || tls === undefined
        ? () => {}
        : renewTls(server.tls, tls, {
            renew: tcp.renewTls,
            failed: (why) => log(`the certificates on disk are not in force: ${why}`),
          });
    const socket = await listenSocket(local, home.socket, upgrade).catch(async (error: unknown) => {
      await tcp.close();
      throw error;
    });
    const watcher = watchConfig(
      home.config,
      async () => void (await rules.load("file")),
      (error) => log(`the file cannot be watched: ${describeError(error)}`),
    );
    // The file may have changed between the load at the start and the first look of the watcher.
    void watcher.ready
      .then(() => rules.load("file"))
      .catch((error: unknown) => log(`reload failed: ${describeError(error)}`));
    const sweep = setInterval(() => void approvals.sweep(now()).catch(() => {}), 30_000);
    sweep.unref();

    servedSocket = home.socket;
    return {
      address: tcp.address,
      socket: home.socket,
      async stop() {
        draining = true;
        servedSocket = undefined;
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
}

/** Checks a proof. @returns Who it is, for the evidence. */
async function prove(owner: Owner, { key, passphrase }: OwnerProof, needed: Proof, now: Date): Promise<string> {
  const isOwner = key !== undefined && owner.checkOwnerKey(key);
  if (needed === "nothing") return isOwner ? "owner" : "local";
  // The same answer as for a route that does not exist: an agent's key opens nothing here.
  if (!isOwner) throw new Problem("not_found");
  if (needed === "key" || owner.level() === 0) return "owner";
  if (passphrase === undefined) throw needsPassphrase("this is an owner action: it needs the owner's passphrase");
  const checked = await owner.checkPassphrase(passphrase, now);
  if (checked.ok) return "owner";
  if (checked.reason === "throttled") {
    throw new Problem("rate_limited", {
      detail: "too many wrong passphrases",
      fields: { retry_after: checked.retryAfterSeconds },
    });
  }
  throw needsPassphrase("the passphrase is wrong");
}

function needsPassphrase(detail: string): Problem {
  const remedy = "Run the command on a terminal and type the owner's passphrase.";
  return new Problem("denied", { detail, remedy, fields: { rule: "owner:passphrase" } });
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

/** Names and stacks of our own errors; a message may hold what a caller sent, so it is shortened. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return `${error.name}: ${error.message.slice(0, 200)}\n${(error.stack ?? "").split("\n").slice(1, 6).join("\n")}`;
}
