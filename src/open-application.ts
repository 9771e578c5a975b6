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
import { watchConfig } from "./config/watch-config.ts";
import { createEgress } from "./egress/egress.ts";
import type { Proof } from "./http/admin-action.ts";
import { agentActions } from "./http/admin-agents.ts";
import { type Administer, createAdministration, createAdminRoutes, type OwnerProof } from "./http/admin-api.ts";
import { approvalActions } from "./http/admin-approvals.ts";
import { type KillEffect, killActions } from "./http/admin-kills.ts";
import { secretActions } from "./http/admin-secrets.ts";
import { serviceActions } from "./http/admin-services.ts";
import { systemActions } from "./http/admin-system.ts";
import { createApiEndpoint } from "./http/api-endpoint.ts";
import { approvalPage } from "./http/approval-page.ts";
import { ownNames, SOCKET_NAMES } from "./http/check-host.ts";
import { trustedProxies } from "./http/client-address.ts";
import { createFront, type FrontDeps, recordStray, type SideRoute } from "./http/create-front.ts";
import { createEditRules } from "./http/edit-rules.ts";
import { createHealthRoutes } from "./http/health-routes.ts";
import { listenSocket, listenTcp } from "./http/listen.ts";
import { createMetrics } from "./http/metrics.ts";
import { createServiceTest } from "./http/service-test.ts";
import { createStdioUpgrade } from "./http/stdio-upgrade.ts";
import { createApiKeyStore } from "./identity/api-key-store.ts";
import { ApiKeys } from "./identity/api-keys.ts";
import { createAuthThrottle } from "./identity/auth-throttle.ts";
import { createAuthenticator } from "./identity/authenticate.ts";
import type { Principal } from "./identity/principal.ts";
import { createDispatch } from "./mcp/dispatch.ts";
import { createMcpEndpoint } from "./mcp/http-endpoint.ts";
import { createSessions } from "./mcp/sessions.ts";
import { createExplainTool } from "./mcp/tool-explain.ts";
import { createRequestTool } from "./mcp/tool-request.ts";
import { createServicesTool } from "./mcp/tool-services.ts";
import { createStatusTool } from "./mcp/tool-status.ts";
import { createWhoamiTool } from "./mcp/tool-whoami.ts";
import { createCounters } from "./policy/counters.ts";
import { createHome } from "./store/create-home.ts";
import { acquireHomeLock } from "./store/home-lock.ts";
import { openStore } from "./store/open-store.ts";
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
    check: () => (rulesLoaded ? checkConfigAside(home.config) : checkConfigFile(home.config, { mustExist: false })),
    vault,
    audit,
    now,
    guarded: () => owner.level() > 0,
    accepted: createAcceptedConfigStore(store.db, keyring),
    changed: (state) => options.rulesChanged(state),
  });
  let rulesLoaded = false;
  const active = createActiveCalls();
  const sessions = createSessions();
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
      effects.set(added.target, { streams, leases });
    },
  });
  const keys = await ApiKeys.load({ store: createApiKeyStore(store.db), audit }, now());
  stack.use(keys);
  const loaded = await rules.load("start");
  rulesLoaded = true;

  const snapshot = () => rules.snapshot();
  const authenticate = createAuthenticator({
    keys,
    agentOf: (name) => agentFacts(snapshot().agents.get(name)?.config),
  });
  const approvals = new Approvals({
    store: createApprovalStore({ db: store.db, keyring }),
    audit,
    keyring,
    assurance: () => owner.level(),
  });
  const counters = createCounters();
  const budget = createByteBudget(ANSWER_BUDGET_BYTES);
  const egress = createEgress({ userAgent: `doorward/${VERSION}` });
  stack.use(egress);
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
  const broker: Broker = createBroker({
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
  const tools = [
    createServicesTool({ snapshot, now }),
    createRequestTool({ broker, budget, turns: createTurns(), publicBase }),
    createWhoamiTool({ snapshot }),
    createExplainTool({ explainer, findDecision: recent.find }),
    createStatusTool({ approvals, now }),
  ];
  const refused = (caller: { readonly principal: Principal; readonly requestId: string }, reason: string) =>
    recordRefusal(audit, { ...caller, door: "mcp", code: "invalid_request", reason });
  const dispatch = createDispatch({ name: "doorward", version: VERSION }, tools, fault);

  let draining = false;
  const notReady = (): readonly string[] => {
    const reasons: string[] = [];
    if (draining) reasons.push("draining");
    const unavailable = audit.unavailable();
    if (unavailable !== undefined) reasons.push(`audit_unavailable: ${unavailable}`);
    if (!store.healthy().ok) reasons.push("store_unavailable");
    return reasons;
  };

  const editRules = createEditRules({ path: home.config, rules });
  const administer: Administer = createAdministration(
    [
      ...secretActions({ vault, now }),
      ...agentActions({ keys, home: home.home, snapshot, editRules, now }),
      ...serviceActions({
        vault,
        snapshot,
        editRules,
        now,
        test: createServiceTest({ broker, budget, snapshot, vault, now }),
      }),
      ...approvalActions({ approvals, now }),
      ...killActions({ kills, effectOf: (target) => effects.get(target) ?? { streams: 0, leases: 0 }, now }),
      ...systemActions({
        audit,
        rules,
        owner,
        kills,
        vault,
        approvals,
        explainer,
        keys,
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
    const tls =
      server.tls === undefined
        ? undefined
        : { cert: await readFile(server.tls.cert, "utf8"), key: await readFile(server.tls.key, "utf8") };
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
    const throttle = createAuthThrottle();
    const shared: Omit<FrontDeps, "names" | "side"> = {
      trusted,
      authenticate,
      throttle,
      audit,
      credentialOf: (service) => snapshot().services.get(service)?.config.credential,
      api,
      mcp: createMcpEndpoint({ dispatch, sessions, now, refused }),
      now,
      fault,
    };
    makeSocketFolder(home.socketFolder, uid);
    const admin = createAdminRoutes(administer);
    const side: SideRoute = async (request, response, id) =>
      (await admin(request, response, id)) || (await health(request, response, id));
    const local = createFront({ ...shared, names: SOCKET_NAMES, side, local: true });
    const stdio = createStdioUpgrade({ authenticate, audit, dispatch, now, refused });
    const broken = (problem: Problem, requestId: string, ip: string) =>
      recordStray({ audit, throttle, now }, problem, requestId, ip);
    const tcp = await listenTcp((request, response) => front(request, response), { ...wanted, tls, broken });
    address = tcp.address;
    const outside: SideRoute = (request, response, id) =>
      approvalPage(request, response, id) || health(request, response, id);
    const bound = { host: wanted.host, port: Number(new URL(tcp.address).port) };
    const front = createFront({ ...shared, names: ownNames(bound, server.publicUrl), side: outside });
    const socket = await listenSocket(local, home.socket, stdio.upgrade).catch(async (error: unknown) => {
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

    return {
      address: tcp.address,
      socket: home.socket,
      async stop() {
        draining = true;
        watcher.close();
        clearInterval(sweep);
        const closing = Promise.all([tcp.close(), socket.close()]);
        await within(active.idle(), DRAIN_MS);
        sessions.endAll();
        stdio.close();
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

function agentFacts(
  agent: { readonly tenant?: string | undefined; readonly environment?: string | undefined } | undefined,
) {
  return agent === undefined ? undefined : { tenant: agent.tenant, environment: agent.environment };
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
