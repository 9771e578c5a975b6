/**
 * The composition root: opens a home and puts the parts together. It is one file, however long, so that who is given
 * what is read in one place; nothing here decides anything.
 */
import { readFile } from "node:fs/promises";
import { createApprovalStore } from "./approvals/approval-store.ts";
import { Approvals } from "./approvals/approvals.ts";
import { createKills } from "./approvals/create-kills.ts";
import { createKillStore } from "./approvals/kill-store.ts";
import { openAuditLog } from "./audit/open-audit-log.ts";
import { describeError } from "./base/describe-error.ts";
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
import type { Application, ApplicationOptions } from "./cli/application.ts";
import { PEOPLE_PAIRING } from "./config/credential-pairings.ts";
import { createEgress } from "./egress/egress.ts";
import { fetchDocument } from "./egress/fetch-document.ts";
import { runAction } from "./http/admin-action.ts";
import { agentActions } from "./http/admin-agents.ts";
import { type Administer, createAdministration } from "./http/admin-api.ts";
import { approvalActions } from "./http/admin-approvals.ts";
import { clientActions } from "./http/admin-clients.ts";
import { drillActions } from "./http/admin-drill.ts";
import { killActions } from "./http/admin-kills.ts";
import { loginActions } from "./http/admin-logins.ts";
import { personActions } from "./http/admin-persons.ts";
import { pinActions } from "./http/admin-pins.ts";
import { secretActions } from "./http/admin-secrets.ts";
import { serviceActions } from "./http/admin-services.ts";
import { systemActions } from "./http/admin-system.ts";
import { tokenActions } from "./http/admin-tokens.ts";
import { createEditRules } from "./http/edit-rules.ts";
import { createKillEffects } from "./http/kill-effects.ts";
import { createMetrics } from "./http/metrics.ts";
import { proveOwner } from "./http/prove-owner.ts";
import { createRevokeTokens } from "./http/revoke-tokens.ts";
import { createServiceTest } from "./http/service-test.ts";
import { createAuthThrottle } from "./identity/auth-throttle.ts";
import type { TokenVerifier } from "./identity/authenticate-caller.ts";
import type { Principal } from "./identity/principal.ts";
import type { TokenSource } from "./identity/token-source.ts";
import { createMcpDoor } from "./mcp/create-mcp-door.ts";
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
import { type DoorsDeps, type LiveDoors, openDoors } from "./open-doors.ts";
import { openIdentity } from "./open-identity.ts";
import { openServers, type Servers } from "./open-servers.ts";
import { createCounters } from "./policy/counters.ts";
import { killOfPrincipal } from "./policy/kills.ts";
import { createHome } from "./store/create-home.ts";
import { acquireHomeLock } from "./store/home-lock.ts";
import { openStore } from "./store/open-store.ts";
import { createLoginStore } from "./upstreams/login-store.ts";
import { createPinStore } from "./upstreams/pin-store.ts";
import { createBindingStore } from "./vault/binding-store.ts";
import { createVault } from "./vault/create-vault.ts";
import { systemKeychain } from "./vault/keychain.ts";
import { createOwner } from "./vault/owner.ts";
import { createSecretStore } from "./vault/secret-store.ts";
import { createSettingsStore } from "./vault/settings-store.ts";
import { unlockHome } from "./vault/unlock-home.ts";

/** Whole answers in memory at once, over all calls. */
const ANSWER_BUDGET_BYTES = 256 * 1024 * 1024;

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
  const effects = createKillEffects({
    active,
    vault,
    snapshot: () => rules.snapshot(),
    sessions,
    subscriptions: () => subscriptions,
    sse: () => sse,
    servers: () => servers,
    async revokeKilled(kill) {
      const counts = await Promise.all([identity.revokeKilled(kill), servers.dropKilledLogins(kill)]);
      return counts[0] + counts[1];
    },
  });
  const kills = await createKills({
    store: createKillStore(store.db),
    audit,
    onChange(inForce, added) {
      rules.setKills(inForce);
      if (added !== undefined) effects.apply(added);
    },
  });
  /** Ends what a client whose token was taken back has under way, here and now. */
  const cutClient = (client: string): number =>
    effects.cutStreams({ target: `client:${client}`, why: "its token was revoked", setBy: "owner", setAt: now() });
  const egress = createEgress({ userAgent: `doorward/${VERSION}` });
  stack.use(egress);
  const more: { verifiers: TokenVerifier[]; sources: TokenSource[] } = { verifiers: [], sources: [] };
  const identity = await openIdentity({ db: store.db, audit, snapshot: () => rules.snapshot(), egress, now, more });
  stack.use(identity);
  const { keys } = identity;
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
  const live: LiveDoors = { draining: false };
  const publicUrl = () => snapshot().config.server.publicUrl ?? live.address ?? "http://127.0.0.1:7420";
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
    loginStore: createLoginStore(store.db),
    publicUrl,
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
  const sse = createLegacySse({ dispatch, refused, ended: (id) => upstreams.endSession(id) });

  const notReady = (): readonly string[] => {
    const reasons: string[] = [];
    if (live.draining) reasons.push("draining");
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
    certificateOf: (request) => live.certificateOf?.(request),
    fetchDocument: (url) => fetchDocument(egress, { url, private: false }),
    assertions: { keys: identity.issuerKeys, peopleIssuer: () => snapshot().config.people?.issuer },
    fault,
    now,
  });
  more.verifiers.push(oauth.verifier);
  more.sources.push(oauth.tokens);
  // An IP address cannot have passkeys, which level 1 needs.
  const consoleUrl = () => (owner.level() === 0 ? publicUrl() : publicUrl().replace("//127.0.0.1:", "//localhost:"));
  /** What the console can do too. */
  const answers = [...approvalActions({ approvals, now }), ...killActions({ kills, effects, now })];
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
        forgetLogins: servers.forgetLogins,
        silentSince: (name) => upstreams.silent.since(name, now()),
        now,
        test: createServiceTest({ broker, budget, snapshot, vault, now, look }),
      }),
      ...pinActions({ pins, upstreams, snapshot, now }),
      ...loginActions({
        logins: servers.logins,
        tokens: servers.userTokens,
        snapshot,
        publicUrl: () => (live.address === undefined ? undefined : publicUrl()),
      }),
      ...personActions({ ...people, consoleUrl }),
      ...answers,
      ...tokenActions({ sources: identity.sources, revoke, now }),
      ...drillActions({
        keys,
        kills,
        snapshot,
        overlay: (dress) => rules.setOverlay(dress),
        socket: () => live.socket,
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
          listening: live.address ?? null,
          key_protection: unlocked.protection,
          calls_under_way: active.size,
          mcp_sessions: sessions.size,
          not_ready: notReady(),
        }),
      }),
    ],
    (proof, needed) => proveOwner(owner, proof, needed, now()),
  );

  const doors: DoorsDeps = {
    home,
    uid,
    rules,
    audit,
    identity,
    oauth,
    people,
    servers,
    broker,
    approvals,
    metrics,
    throttle,
    mcp: { dispatch, serves, sessions, subscriptions, sse, refused },
    active,
    administer,
    act: runAction(answers),
    level: () => owner.level(),
    publicUrl,
    publicBase,
    notReady,
    live,
    now,
    fault,
    log,
  };
  const application: Application = {
    administer,
    made: unlocked.made,
    protection: unlocked.protection,
    loaded,
    level: () => owner.level(),
    reload: (by) => rules.load(by),
    ownerKey: async () => (await readFile(home.ownerKey, "utf8")).trim(),
    serve: (listen) => openDoors(doors, listen),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return application;
}
