/** Who asks: client certificates, tokens of trusted issuers, narrowed keys; and taking each of them back. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  inDays,
  issueCertificate,
  issueClientCertificate,
  makeAuthority,
  type TestCertificate,
} from "../../src/egress/certificates.testing.ts";
import { makeSigner, signToken } from "../../src/identity/workload.testing.ts";
import { makeHome, startDaemon, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { makeMutualTls } from "../harness/mutual-tls.testing.ts";
import { readEvidence } from "../laws/stage.testing.ts";

const BOT = "spiffe://acme.example/agents/bot";
const { servers, clients, bot, dial } = makeMutualTls(BOT);
const signer = await makeSigner("one");

const CONFIG = `version: 1
server: { tls: { cert: file:cert.pem, key: file:key.pem, client_ca: file:clients.pem } }
services:
  shop:
    url: UPSTREAM/v1
    private: true
    operations:
      items:read: { effect: read, allow: [GET /items, GET /stream] }
      items:write: { effect: write, allow: [POST /items] }
roles: { clerk: { allow: ["shop:*"] }, looker: { allow: ["shop:items:read"] } }
agents:
  bot: { roles: [clerk, looker], environment: production, tenant: acme, certificates: ["${BOT}"] }
  job: { roles: [clerk] }
  plain: { roles: [clerk] }
trusted_issuers:
  ci:
    issuer: https://ci.example
    jwks: file:jwks.json
    audience: https://broker.example
    agents: [{ agent: job, claims: { sub: "job:1" } }]
`;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: documents of the wire, judged field by field.
  readonly json: any;
}

interface Ask {
  readonly method?: string;
  readonly token?: string;
  readonly certificate?: TestCertificate;
  readonly agent?: Agent;
  readonly headers?: Readonly<Record<string, string>>;
}

describe("identities", () => {
  let double: Double;
  let home: TestHome;
  let daemon: TestDaemon;

  before(async () => {
    double = await startDouble((request, response) => {
      if (request.url !== "/v1/stream") return replyJson(response, 200, { ok: true });
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
    });
    home = await makeHome({ config: CONFIG.replace("UPSTREAM", double.url) });
    const server = issueCertificate(servers, "localhost");
    const files = {
      "cert.pem": server.cert,
      "key.pem": server.key,
      "clients.pem": clients.cert,
      "jwks.json": JSON.stringify({ keys: [signer.jwk] }),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(home.home, name), text);
    daemon = await startDaemon(home);
  });
  after(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await double?.[Symbol.asyncDispose]();
    home?.[Symbol.dispose]();
  });

  function send(path: string, { method = "GET", token, certificate, agent, headers: more = {} }: Ask = {}) {
    const options = { ...dial(Number(new URL(daemon.url).port), certificate), agent: agent ?? false };
    const headers = { ...more, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    return httpsRequest({ ...options, method, path, headers });
  }

  function call(path: string, ask: Ask = {}): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const request = send(path, ask);
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, json: JSON.parse(text) }),
      );
    });
    request.end();
    return promise;
  }

  const refusals = () => readEvidence(home.home).filter(({ type }) => type === "token.refused");
  const codeOf = ({ status, json }: Answer) => `${status} ${json.code ?? "ok"}`;

  test("a client certificate is an identity: in the call, in the evidence, in the list of tokens", async () => {
    const answer = await call("/api/shop/items", { certificate: bot });
    assert.equal(codeOf(answer), "200 ok");
    const id = answer.headers["doorward-request-id"];
    const [decided] = readEvidence(home.home).filter(({ request_id }) => request_id === id);
    assert.deepEqual([decided?.agent, decided?.["client"]], ["bot", `mtls:${BOT}`]);
    const listed = await home.json<{ kind: string; client: string; live: boolean }[]>(["token", "list"]);
    assert.ok(listed.some(({ kind, client, live }) => kind === "certificate" && client === `mtls:${BOT}` && live));
    assert.equal(codeOf(await call("/api/shop/items")), "401 invalid_token");
    assert.equal(codeOf(await call("/api/shop/items", { certificate: bot, token: "sk-dummy" })), "200 ok");
    assert.equal(codeOf(await call("/api/shop/items", { certificate: bot, token: "dw_wrong" })), "401 invalid_token");
  });

  test("a handshake with a certificate that does not hold ends there, and is evidence", async () => {
    const before = refusals().length;
    const expired = issueClientCertificate(clients, "bot", { uris: [BOT], expires: inDays(-1) });
    const foreign = issueClientCertificate(makeAuthority("client authority"), "bot", { uris: [BOT] });
    for (const certificate of [expired, foreign]) await assert.rejects(call("/api/shop/items", { certificate }));
    const told = await until(refusals, (events) => events.length === before + 2);
    assert.deepEqual(
      told.slice(before).map((event) => event["reason"]),
      [
        "the client certificate is refused (CERT_HAS_EXPIRED)",
        "the client certificate is refused (CERT_SIGNATURE_FAILURE)",
      ],
    );
  });

  test("a certificate of ours that no agent lists: invalid_token, its reason in the evidence alone", async () => {
    const stranger = issueClientCertificate(clients, "stranger", { uris: ["spiffe://acme.example/stranger"] });
    assert.equal(codeOf(await call("/api/shop/items", { certificate: stranger })), "401 invalid_token");
    assert.equal(refusals().at(-1)?.["reason"], "unknown_certificate");
  });

  test("a revoked certificate is refused at the next request of its open connection", async () => {
    const second = issueClientCertificate(clients, "bot", { uris: [BOT] });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () => call("/api/shop/items", { certificate: second, agent });
    assert.equal(codeOf(await ask()), "200 ok");
    const known = await home.json<{ id: string; kind: string; last_used_at: string }[]>(["token", "list"]);
    const id = known.filter(({ kind }) => kind === "certificate").at(-1)?.id ?? "";
    assert.deepEqual((await home.json(["token", "revoke", id]))["revoked"], [id]);
    assert.equal(codeOf(await ask()), "401 invalid_token");
    agent.destroy();
    assert.equal(codeOf(await call("/api/shop/items", { certificate: bot })), "200 ok", "the other one still holds");
  });

  test("a workload token; a kill takes it back for good, and a new one works after resume", async () => {
    const token = await signToken(signer, new Date());
    assert.equal(codeOf(await call("/api/shop/items", { token })), "200 ok");
    const killed = await home.json(["kill", "agent:job", "--why", "test"]);
    assert.equal(killed["tokens_revoked"], 1);
    const during = await call("/api/shop/items", { token });
    assert.equal(codeOf(during), "403 killed");
    assert.equal(during.json.rule, "kill:agent:job");
    await home.json(["resume", "agent:job", "--why", "test"]);
    assert.equal(codeOf(await call("/api/shop/items", { token })), "401 invalid_token");
    const next = await signToken(signer, new Date(), { claims: { jti: "2" } });
    assert.equal(codeOf(await call("/api/shop/items", { token: next })), "200 ok");
  });

  test("all failed tokens get the same words, and one event each", async () => {
    const now = new Date();
    const before = refusals().length;
    const tokens = [
      await signToken(signer, now, { exp: -120 }),
      await signToken(signer, now, { claims: { aud: "https://other.example" } }),
      await signToken(await makeSigner("one"), now),
      await signToken(signer, now, { header: { jku: "https://evil.example" } }),
      "dw_default_wrong",
      "nonsense",
    ];
    const words = new Set<string>();
    for (const token of tokens) {
      const { status, json, headers } = await call("/api/shop/items", { token });
      const { request_id: _, error: __, ...same } = json;
      words.add(JSON.stringify([status, same, headers["www-authenticate"]]));
    }
    assert.equal(words.size, 1);
    assert.deepEqual(
      refusals()
        .slice(before)
        .map((event) => event["reason"]),
      ["expired", "claim_aud", "err_jws_signature_verification_failed", "header_not_allowed", "mistyped", "malformed"],
    );
  });

  test("a narrowed key: what is outside its scope is insufficient_scope with the scope, and is not listed", async () => {
    const { key, key_id } = await home.json<{ key: string; key_id: string }>([
      ...["agent", "key", "plain", "--scope", "shop:items:read", "--print-only"],
    ]);
    assert.equal(codeOf(await call("/api/shop/items", { token: key })), "200 ok");
    const refused = await call("/api/shop/items", { token: key, method: "POST" });
    assert.equal(codeOf(refused), "403 insufficient_scope");
    assert.equal(refused.json.scope, "shop:items:write");
    assert.match(
      String(refused.headers["www-authenticate"]),
      /^Bearer .*error="insufficient_scope".*scope="shop:items:write"/,
    );
    const whole = await home.json<{ key: string }>(["agent", "key", "plain", "--print-only"]);
    assert.equal(codeOf(await call("/api/shop/items", { token: whole.key, method: "POST" })), "200 ok");
    assert.deepEqual((await home.json(["agent", "revoke", key_id]))["revoked"], [key_id]);
    assert.equal(codeOf(await call("/api/shop/items", { token: key })), "401 invalid_token");
    const bad = await home.cli(["agent", "key", "plain", "--scope", "Shop:*"]);
    assert.notEqual(bad.status, 0);
  });

  test("rotation: the old key works for the overlap, and the new one is narrowed alike", async () => {
    await home.json(["agent", "revoke", "plain"]);
    const first = await home.json<{ key: string; key_id: string }>([
      ...["agent", "key", "plain", "--scope", "shop:items:read"],
    ]);
    const next = await home.json<{ key: string; scopes: string[]; still_valid_until: Record<string, string> }>([
      ...["agent", "rotate", "plain", "--overlap", "2s"],
    ]);
    assert.deepEqual(next.scopes, ["shop:items:read"]);
    assert.ok(Date.parse(next.still_valid_until[first.key_id] ?? "") < Date.now() + 3_000);
    assert.equal(codeOf(await call("/api/shop/items", { token: next.key })), "200 ok");
    const ended = await until(
      () => call("/api/shop/items", { token: first.key }),
      ({ status }) => status !== 200,
    );
    assert.equal(codeOf(ended), "401 invalid_token");
    assert.equal(codeOf(await call("/api/shop/items", { token: next.key })), "200 ok");
  });

  test("a key is for the environment of its agent", async () => {
    const refused = await home.cli(["agent", "key", "bot", "--environment", "staging"]);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /`bot` runs in `production`/);
    const key = await home.json(["agent", "key", "bot", "--environment", "production", "--print-only"]);
    assert.match(String(key["key"]), /^dw_production_/);
  });

  test("revoking a key cuts what it has under way", async () => {
    const { key, key_id } = await home.json<{ key: string; key_id: string }>(["agent", "key", "plain", "--print-only"]);
    const cut = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const request = send("/api/shop/stream", { token: key });
    request.on("response", (response) => {
      response.once("data", () => begun.resolve());
      response.on("error", () => {});
      response.on("close", () => cut.resolve());
    });
    request.on("error", cut.reject).end();
    await begun.promise;
    const revoked = await home.json(["token", "revoke", key_id]);
    assert.equal(revoked["streams_cut"], 1);
    await cut.promise;
    assert.equal(codeOf(await call("/api/shop/items", { token: key })), "401 invalid_token");
  });

  test("a call may state its role and tenant: that narrows it, and what is not the agent's is denied and recorded", async () => {
    const ask = (method: string, headers: Readonly<Record<string, string>>) =>
      call("/api/shop/items", { certificate: bot, method, headers });
    assert.equal(codeOf(await ask("POST", { "Doorward-Role": "clerk", "Doorward-Tenant": "acme" })), "200 ok");
    assert.equal(codeOf(await ask("GET", { "Doorward-Role": "looker" })), "200 ok");
    const narrowed = await ask("POST", { "Doorward-Role": "looker" });
    assert.equal(codeOf(narrowed), "403 denied");
    const foreign = await ask("GET", { "Doorward-Tenant": "globex" });
    assert.equal(codeOf(foreign), "403 denied");
    assert.match(foreign.json.detail, /stated tenant/);
    const [event] = readEvidence(home.home).filter(({ request_id }) => request_id === narrowed.json.request_id);
    assert.deepEqual([event?.decision, event?.["role"]], ["deny", "looker"]);
    assert.equal(codeOf(await ask("GET", { "Doorward-Role": "x".repeat(200) })), "400 invalid_request");
  });

  test("a token that nobody knows cannot be revoked", async () => {
    assert.equal((await home.cli(["token", "revoke", "key_nobody"])).status, 1);
  });
});
