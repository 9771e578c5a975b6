import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { AuditEvent } from "../audit/event.ts";
import type { OAuth2CredentialConfig } from "../config/schema.ts";
import { testEgress } from "../egress/egress.testing.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { createKeyring } from "../vault/keyring.ts";
import { browse, startLoginProvider, startLoginResource } from "./login-provider.testing.ts";
import { createLoginRecords } from "./login-records.ts";
import { createLoginStore } from "./login-store.ts";
import { createUpstreamLogins } from "./upstream-logins.ts";
import { callOf, compiled, sendCall, stage, textOf } from "./upstreams.testing.ts";
import { createUserTokens } from "./user-tokens.ts";

const PUBLIC = "http://127.0.0.1:7420";
const CALLBACK = `${PUBLIC}/oauth/upstream/callback`;

function remote(origin: string, parts: Partial<OAuth2CredentialConfig> = {}): CompiledMcpService {
  const { protocol, hostname: host, port } = new URL(origin);
  const url = { origin, protocol: protocol as "http:", host, port: Number(port), basePath: "/mcp" };
  const credential: OAuth2CredentialConfig = {
    kind: "oauth2",
    secret: undefined,
    clientId: undefined,
    grant: "authorization_code",
    scopes: [],
    tokenEndpoint: undefined,
    ...parts,
  };
  return compiled({ private: true, server: { transport: "http", url, legacySse: false }, credential });
}

async function staged(t: TestContext) {
  const provider = await startLoginProvider(t);
  const resource = await startLoginResource(t, provider);
  const store = tempStore(t);
  const keyring = createKeyring({ homeId: "home", homeKey: randomBytes(32) });
  const audit = recordingAudit();
  const facts = {
    now: new Date(),
    service: remote(resource.origin),
    /** Awaited before something is put on record. */
    recording: async (_: AuditEvent) => {},
  };
  const deps = {
    egress: testEgress(t),
    vault: { lease: () => assert.fail("no secret is configured") },
    store: createLoginStore(store.db),
    records: createLoginRecords(keyring),
    audit: {
      async append(event: AuditEvent) {
        await facts.recording(event);
        await audit.log.append(event);
      },
    },
    find: () => facts.service,
    now: () => facts.now,
    publicUrl: () => PUBLIC,
  };
  const open = () => createUserTokens(deps);
  const tokens = open();
  const signedIn: string[] = [];
  const logins = createUpstreamLogins({ ...deps, tokens, signedIn: (service) => void signedIn.push(service) });
  /** Begins, and goes with a browser to the answer. */
  const begin = async (owner = "") => {
    const begun = await logins.begin(facts.service, owner, "owner");
    const opened = logins.open(begun.ticket) ?? assert.fail("the link is refused");
    const answer = await browse(opened.url, CALLBACK);
    return { ...begun, ...opened, answer: answer.searchParams };
  };
  const login = async (owner = "") => {
    const { answer, tie } = await begin(owner);
    assert.deepEqual(await logins.finish(answer, tie), { state: "done" });
  };
  return { provider, resource, store, audit, facts, signedIn, deps, open, tokens, logins, begin, login };
}

const needsLogin = { code: "secret_unavailable", remedy: /doorward service login srv/ };

test("after a person signed in, calls go with a token for that server alone, and the inbound one goes nowhere", async (t) => {
  const { provider, resource, facts, tokens, login, audit, signedIn } = await staged(t);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  await login();
  assert.deepEqual(signedIn, ["srv"]);
  const { upstreams } = stage(t, {
    egress: testEgress(t),
    authorise: (service, { user }) => tokens.get(service, user),
  });
  const outcome = await sendCall(upstreams, callOf(facts.service, "echo", { a: "b" }));
  assert.equal(textOf(outcome), '{"a":"b"}');
  assert.deepEqual([...new Set(resource.callers)], ["ada"]);
  const [redeemed] = provider.tokens("authorization_code");
  assert.equal(redeemed?.form.get("resource"), `${resource.origin}/mcp`);
  assert.match(redeemed?.form.get("code_verifier") ?? "", /^[\w-]{43}$/);
  assert.deepEqual(audit.types(), ["token.issued", "secret.read"]);
});

test("each person has tokens and connections of their own; who has none is refused", async (t) => {
  const { provider, facts, tokens, login } = await staged(t);
  await login("user:ada");
  provider.facts.as = "bob";
  await login("user:bob");
  const [ada, bob] = await Promise.all([tokens.get(facts.service, "user:ada"), tokens.get(facts.service, "user:bob")]);
  assert.notEqual(ada?.lease.version, bob?.lease.version);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  await assert.rejects(tokens.get(facts.service, "user:eve"), { ...needsLogin, remedy: /--user user:eve/ });
});

test("twenty parallel calls renew a token once; what was rotated is durable, and a restart goes on with it", async (t) => {
  const { provider, facts, tokens, open, login } = await staged(t);
  await login();
  const first = await tokens.get(facts.service, undefined);
  facts.now = new Date(facts.now.getTime() + 590_000);
  const renewed = await Promise.all(Array.from({ length: 20 }, () => tokens.get(facts.service, undefined)));
  assert.equal(new Set(renewed).size, 1);
  assert.notEqual(renewed[0], first);
  assert.equal(renewed[0]?.lease.version, first.lease.version);
  assert.equal(provider.tokens("refresh_token").length, 1);
  facts.now = new Date(facts.now.getTime() + 590_000);
  await open().get(facts.service, undefined);
  assert.equal(provider.tokens("refresh_token").length, 2);
});

test("a token that the server refuses is renewed once", async (t) => {
  const { provider, facts, tokens, login } = await staged(t);
  await login();
  const first = await tokens.get(facts.service, undefined);
  first.refused?.();
  const second = await tokens.get(facts.service, undefined);
  first.refused?.();
  assert.equal(await tokens.get(facts.service, undefined), second);
  assert.equal(provider.tokens("refresh_token").length, 1);
});

test("a refresh token that was taken back ends the sign-in, which says how to begin anew", async (t) => {
  const { provider, facts, tokens, login, audit } = await staged(t);
  await login();
  await provider.revokeAll();
  facts.now = new Date(facts.now.getTime() + 3_000_000);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.deepEqual(await tokens.list(), []);
  assert.equal(audit.types().at(-1), "token.revoked");
  assert.equal(provider.tokens("refresh_token").length, 1);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.equal(provider.tokens("refresh_token").length, 1);
});

test("an answer of another issuer is refused, and so is one that does not say whose it is", async (t) => {
  for (const bend of [
    (answer: URLSearchParams) => answer.set("iss", "https://evil.example"),
    (answer: URLSearchParams) => answer.delete("iss"),
    (answer: URLSearchParams) => answer.append("iss", answer.get("iss")!),
  ]) {
    const { provider, begin, logins, tokens } = await staged(t);
    const { answer, tie } = await begin();
    bend(answer);
    const outcome = await logins.finish(answer, tie);
    assert.equal(outcome?.state, "failed");
    assert.equal(provider.tokens("authorization_code").length, 0);
    assert.deepEqual(await tokens.list(), []);
  }
});

test("an answer counts once, in time, and in the browser that opened the link, which opens once", async (t) => {
  const { facts, begin, logins, tokens } = await staged(t);
  const one = await begin();
  assert.equal(logins.open(one.ticket), undefined);
  assert.equal(await logins.finish(one.answer, undefined), undefined);
  assert.equal(await logins.finish(one.answer, one.tie.replace(/^./, "_")), undefined);
  const other = await begin();
  assert.equal(await logins.finish(one.answer, other.tie), undefined);
  const both = await Promise.all([logins.finish(one.answer, one.tie), logins.finish(one.answer, one.tie)]);
  assert.deepEqual(both, [{ state: "done" }, undefined]);
  assert.equal(await logins.finish(one.answer, one.tie), undefined);
  facts.now = new Date(facts.now.getTime() + 600_000);
  assert.equal(await logins.finish(other.answer, other.tie), undefined);
  assert.equal(logins.state(other.id), undefined);
  assert.equal((await tokens.list()).length, 1);
});

test("a person who says no, or a server without PKCE, gives nothing", async (t) => {
  const { provider, facts, begin, logins } = await staged(t);
  provider.facts.refuses = true;
  const { answer, tie } = await begin();
  assert.deepEqual(await logins.finish(answer, tie), {
    state: "failed",
    why: "the authorization server answered `access_denied`",
  });
  provider.facts.hidesPkce = true;
  await assert.rejects(logins.begin(facts.service, "", "owner"), { code: "upstream_invalid", message: /PKCE/ });
});

test("metadata of another resource are refused at the sign-in, and hold a renewal", async (t) => {
  const { provider, resource, facts, tokens, login, logins } = await staged(t);
  await login();
  resource.facts.resource = resource.origin;
  facts.now = new Date(facts.now.getTime() + 590_000);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  resource.facts.resource = "https://elsewhere.example/mcp";
  await assert.rejects(tokens.get(facts.service, undefined), { code: "upstream_invalid" });
  await assert.rejects(logins.begin(facts.service, "", "owner"), { code: "upstream_invalid" });
  resource.facts.resource = undefined;
  provider.facts.metadata = { token_endpoint: `${provider.origin}/other` };
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  provider.facts.metadata = {};
  const evil = await startLoginProvider(t);
  evil.facts.metadata = { token_endpoint: `${provider.origin}/token` };
  resource.facts.issuer = evil.origin;
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.deepEqual([...provider.tokens("refresh_token"), ...evil.seen], []);
});

test("a file that names another server, client or token endpoint since gets no token", async (t) => {
  const { resource, facts, tokens, login } = await staged(t);
  await login();
  await tokens.get(facts.service, undefined);
  const other = await startLoginResource(t, await startLoginProvider(t));
  for (const changed of [
    remote(other.origin),
    remote(resource.origin, { clientId: "another" }),
    remote(resource.origin, { tokenEndpoint: `${other.origin}/token` }),
  ]) {
    await assert.rejects(tokens.get(changed, undefined), needsLogin);
  }
  assert.equal(other.seen.length, 0);
});

test("a renewal that was begun for another entry of the file gives a later entry no token", async (t) => {
  const { provider, facts, tokens, login } = await staged(t);
  await login();
  facts.now = new Date(facts.now.getTime() + 590_000);
  const { promise: asked, resolve: begun } = Promise.withResolvers<void>();
  const { promise: may, resolve: goOn } = Promise.withResolvers<void>();
  provider.facts.beforeToken = () => {
    begun();
    return may;
  };
  const former = tokens.get(facts.service, undefined);
  await asked;
  const moved = assert.rejects(tokens.get(remote("http://127.0.0.1:9"), undefined), needsLogin);
  goOn();
  await Promise.all([former, moved]);
  assert.equal(provider.tokens("refresh_token").length, 1);
});

test("a token endpoint that is not the file's is refused at the sign-in", async (t) => {
  const { resource, logins } = await staged(t);
  const service = remote(resource.origin, { tokenEndpoint: "https://elsewhere.example/token" });
  await assert.rejects(logins.begin(service, "", "owner"), { code: "upstream_invalid" });
});

test("a token that cannot be renewed says so when it is refused, and is tried again by the next call", async (t) => {
  const { facts, deps, tokens } = await staged(t);
  const at = { endpoint: `${(facts.service.config.server as { url: { origin: string } }).url.origin}/mcp` };
  const times = { grantedAtMs: 0, issuedAtMs: 0 };
  const client = { clientId: "one", method: "client_secret_basic" } as const;
  const issuer = { issuer: "i", resource: "r", tokenEndpoint: "https://as.example/token" };
  const record = { id: "grt_1", ...at, ...times, ...client, ...issuer, accessToken: "only-one-0123456789" };
  await deps.store.put(deps.records.sealGrant({ service: "srv", owner: "" }, 1, record));
  const leased = await tokens.get(facts.service, undefined);
  leased.refused?.();
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.equal((await tokens.get(facts.service, undefined)).lease.version, leased.lease.version);
});

test("a sign-in is over when the service was changed or killed meanwhile", async (t) => {
  const { provider, resource, facts, begin, logins, tokens } = await staged(t);
  const one = await begin();
  facts.service = remote(resource.origin, { scopes: ["tools"] });
  assert.equal((await logins.finish(one.answer, one.tie))?.state, "failed");
  const other = await begin();
  logins.drop(() => true);
  assert.equal(await logins.finish(other.answer, other.tie), undefined);
  assert.deepEqual(await tokens.list(), []);
  assert.equal(provider.tokens("authorization_code").length, 0);
});

test("what is dropped is gone here and at the authorization server", async (t) => {
  const { provider, facts, tokens, login } = await staged(t);
  await login();
  const { lease } = await tokens.get(facts.service, undefined);
  const token = lease.secret.reveal();
  assert.equal((await provider.whose(token))?.account, "ada");
  const { dropped, revoked } = await tokens.drop(() => true, "owner");
  assert.deepEqual([dropped, await revoked], [1, 1]);
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.equal(await provider.whose(token), undefined);
});

test("a token dropped during its renewal, or its reading, is not handed out", async (t) => {
  const { provider, facts, tokens, login } = await staged(t);
  await login();
  facts.now = new Date(facts.now.getTime() + 590_000);
  provider.facts.beforeToken = async () => void (await tokens.drop(() => true, "owner"));
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
  assert.deepEqual(await tokens.list(), []);
  await login();
  facts.now = new Date(facts.now.getTime() + 1);
  facts.recording = async ({ type }) => {
    if (type === "secret.read") await tokens.drop(() => true, "owner");
  };
  await assert.rejects(tokens.get(facts.service, undefined), needsLogin);
});

test("what lies in the database tells no token, cannot be moved to another person, and one registration serves all", async (t) => {
  const { provider, store, facts, tokens, open, login } = await staged(t);
  await login("user:ada");
  const { lease } = await tokens.get(facts.service, "user:ada");
  const rows = await store.db.selectFrom("upstream_logins").selectAll().execute();
  assert.ok(rows.every(({ sealed }) => !Buffer.from(sealed).includes(lease.secret.reveal())));
  await store.db.updateTable("upstream_logins").set({ owner: "user:eve" }).where("kind", "=", "grant").execute();
  await assert.rejects(open().get(facts.service, "user:eve"), needsLogin);
  await login("user:bob");
  assert.equal(provider.seen.filter(({ path }) => path === "/reg").length, 1);
});

test("a token is not handed out when its reading cannot be put on record", async (t) => {
  const { facts, tokens, login, audit } = await staged(t);
  await login();
  audit.fail(({ type }) => type === "secret.read");
  await assert.rejects(tokens.get(facts.service, undefined), { code: "audit_unavailable" });
});
