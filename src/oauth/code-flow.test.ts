import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { ADA, basic, browser, consent, pkce, stageOAuth } from "./oauth.testing.ts";

type Stage = Awaited<ReturnType<typeof stageOAuth>>;
const REDIRECT = "http://127.0.0.1:8912/callback";

async function register(stage: Stage, metadata: object = {}) {
  const response = await fetch(`${stage.address}/oauth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      client_name: "Agent tool",
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      ...metadata,
    }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what came.
  return { status: response.status, body: (await response.json()) as any };
}

function authorizeUrl(stage: Stage, clientId: string, challenge: string, more: Record<string, string> = {}) {
  const query = new URLSearchParams({
    client_id: clientId,
    response_type: "code",
    redirect_uri: REDIRECT,
    code_challenge: challenge,
    code_challenge_method: "S256",
    state: "s1",
    resource: `${stage.address}/mcp`,
    ...more,
  });
  return `/oauth/authorize?${query}`;
}

/** Logs a client in. @returns The code. */
async function login(stage: Stage, clientId: string, challenge: string, more: Record<string, string> = {}) {
  const tab = browser(stage.address);
  const page = await tab.follow(await tab.go(authorizeUrl(stage, clientId, challenge, more)));
  const location = new URL(await consent(tab, page, "allow"));
  const code = location.searchParams.get("code");
  assert.ok(code, location.href);
  assert.equal(location.searchParams.get("iss"), stage.address, "RFC 9207");
  assert.equal(location.searchParams.get("state"), "s1");
  return code;
}

function redeem(stage: Stage, clientId: string, code: string, verifier: string, more: Record<string, string> = {}) {
  return stage.post("/oauth/token", {
    grant_type: "authorization_code",
    code,
    redirect_uri: REDIRECT,
    code_verifier: verifier,
    client_id: clientId,
    ...more,
  });
}

const refresh = (stage: Stage, clientId: string, token: string, more: Record<string, string> = {}) =>
  stage.post("/oauth/token", { grant_type: "refresh_token", refresh_token: token, client_id: clientId, ...more });

test("a stranger registers, a person lets it in, and it may do nothing until it is adopted", async (context) => {
  const stage = await stageOAuth(context);
  const { status, body: client } = await register(stage);
  assert.equal(status, 201, JSON.stringify(client));
  const { verifier, challenge } = pkce();
  const { body } = await redeem(stage, client.client_id, await login(stage, client.client_id, challenge), verifier);
  assert.match(body.access_token, /^dwt_/, JSON.stringify(body));
  assert.match(body.refresh_token, /^dwr_/);
  const before = await stage.call(body.access_token);
  assert.equal(before.body.agent, `client:${client.client_id}`);
  assert.equal(before.body.user, "user:ada");
  assert.equal(before.body.tenant, undefined);
  await stage.server.clients.adopt({ id: client.client_id, agent: "dns-bot", by: "owner" });
  assert.equal((await stage.call(body.access_token)).body.agent, "dns-bot");
  await assert.rejects(stage.server.clients.adopt({ id: client.client_id, agent: "other-bot", by: "owner" }));
  await stage.restart();
  assert.equal((await stage.call(body.access_token)).body.agent, "dns-bot");
});

test("the page says who asks, where the answer goes and what for, and cannot be framed or forged", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage, { client_name: 'Evil <script>"\u202egnp' });
  const { challenge } = pkce();
  const tab = browser(stage.address);
  const page = await tab.follow(
    await tab.go(authorizeUrl(stage, client.client_id, challenge, { scope: "dns:zones a:b" })),
  );
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(page.headers.get("x-frame-options"), "DENY");
  const text = await page.text();
  for (const part of ["127.0.0.1:8912", client.client_id, "dns:zones", "a:b", "agent adopt"])
    assert.ok(text.includes(part), part);
  assert.doesNotMatch(text, /<script|\u202e|<b>/);
  for (const token of ["", "x".repeat(43)]) {
    const forged = await tab.go(page.url, { method: "POST", body: new URLSearchParams({ token, answer: "allow" }) });
    assert.equal(forged.status, 400);
  }
  const elsewhere = browser(stage.address);
  assert.equal((await elsewhere.go(page.url)).status, 400, "another browser has another cookie");
  stage.state.person = { ...ADA, id: "user:eve", session: "ses_eve" };
  const token = /name="token" value="([^"]+)"/.exec(text)?.[1] ?? "";
  const other = await tab.go(page.url, { method: "POST", body: new URLSearchParams({ token, answer: "allow" }) });
  assert.equal(other.status, 400, "the form is of the person who saw it");
  assert.equal(stage.audit.types().includes("grant.issued"), false);
});

test("who is not signed in goes to the login; who only audits may not let anything in; no means no", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const { challenge } = pkce();
  const tab = browser(stage.address);
  stage.state.person = undefined;
  const out = await tab.follow(await tab.go(authorizeUrl(stage, client.client_id, challenge)));
  assert.match(out.headers.get("location") ?? "", /^\/console\/login\?return=%2Foauth%2Finteraction%2F/);
  stage.state.person = { ...ADA, roles: ["auditor"] };
  const back = decodeURIComponent(/return=(.*)$/.exec(out.headers.get("location") ?? "")?.[1] ?? "");
  assert.match(await consent(tab, await tab.go(back), "allow"), /^403/);
  stage.state.person = ADA;
  const denied = new URL(await consent(tab, await tab.go(back), "deny"));
  assert.equal(denied.searchParams.get("error"), "access_denied");
  assert.equal(denied.searchParams.get("code"), null);
});

test("each login asks again: no consent is reused", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const tab = browser(stage.address);
  for (let round = 0; round < 2; round++) {
    const page = await tab.follow(await tab.go(authorizeUrl(stage, client.client_id, pkce().challenge)));
    assert.match(await consent(tab, page, "allow"), /[?&]code=/);
  }
  const silent = await tab.go(authorizeUrl(stage, client.client_id, pkce().challenge, { prompt: "none" }));
  assert.match(silent.headers.get("location") ?? "", /error=(login|consent|interaction)_required/);
});

test("redirect tricks and missing or weak PKCE get no code, and no redirect to a stranger", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage, { redirect_uris: ["https://app.example/cb", REDIRECT] });
  const { challenge } = pkce();
  const tab = browser(stage.address);
  for (const redirect_uri of [
    "https://app.example/cb/",
    "https://app.example/cb?x=1",
    "https://app.example/CB",
    "https://app.example.evil.example/cb",
    "https://app.example@evil.example/cb",
    "https://app.example/cb#x",
    "http://app.example/cb",
    "https://app.example/cb/../../evil",
    "http://127.0.0.2:8912/callback",
    "http://127.0.0.1:8912/callback/other",
    "http://127.0.0.1:80@evil.example/callback",
    "javascript:alert(1)",
    "",
  ]) {
    const answer = await tab.go(authorizeUrl(stage, client.client_id, challenge, { redirect_uri }));
    assert.equal(answer.status, 400, redirect_uri);
    assert.equal(answer.headers.get("location"), null, redirect_uri);
  }
  const otherPort = await tab.go(
    authorizeUrl(stage, client.client_id, challenge, { redirect_uri: "http://127.0.0.1:9999/callback" }),
  );
  assert.equal(otherPort.status, 303, "a native client's port on loopback may differ (RFC 8252 §7.3)");
  for (const more of [{ code_challenge_method: "plain" }, { code_challenge: "" }, { response_type: "token" }]) {
    const answer = await tab.go(authorizeUrl(stage, client.client_id, challenge, more));
    const where = answer.headers.get("location") ?? "";
    assert.match(where, /error=/, JSON.stringify(more));
  }
  const bare = new URL(authorizeUrl(stage, client.client_id, challenge), stage.address);
  for (const name of ["code_challenge", "code_challenge_method"]) bare.searchParams.delete(name);
  const without = await tab.go(bare.pathname + bare.search);
  assert.match(without.headers.get("location") ?? "", /error=invalid_request/, "PKCE is for every client");
  const target = await tab.go(
    authorizeUrl(stage, client.client_id, challenge, { resource: "https://evil.example/mcp" }),
  );
  assert.match(target.headers.get("location") ?? "", /error=invalid_target/);
});

test("a code is good once, for its verifier, client and redirect; a replay ends what it gave", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const { body: other } = await register(stage);
  const { verifier, challenge } = pkce();
  const code = await login(stage, client.client_id, challenge);
  assert.equal((await redeem(stage, client.client_id, code, pkce().verifier)).body.error, "invalid_grant");
  assert.equal((await redeem(stage, other.client_id, code, verifier)).body.error, "invalid_grant");
  const elsewhere = { redirect_uri: "http://127.0.0.1:1/callback" };
  assert.equal((await redeem(stage, client.client_id, code, verifier, elsewhere)).body.error, "invalid_grant");
  const { body } = await redeem(stage, client.client_id, code, verifier);
  assert.equal((await stage.call(body.access_token)).status, 200, JSON.stringify(body));
  assert.equal((await redeem(stage, client.client_id, code, verifier)).body.error, "invalid_grant");
  assert.equal((await stage.call(body.access_token)).body.reason, "revoked");
  assert.equal((await refresh(stage, client.client_id, body.refresh_token)).body.error, "invalid_grant");
});

test("a refresh token gives another, once; its reuse ends the whole line", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const { verifier, challenge } = pkce();
  const scope = "dns:zones dns:poke";
  const { body: first } = await redeem(
    stage,
    client.client_id,
    await login(stage, client.client_id, challenge, { scope }),
    verifier,
  );
  const { body: second } = await refresh(stage, client.client_id, first.refresh_token, { scope: "dns:zones" });
  assert.deepEqual((await stage.call(second.access_token)).body.scopes, ["dns:zones"]);
  const wider = await refresh(stage, client.client_id, second.refresh_token, { scope: "dns:zones dns:wipe" });
  assert.equal(wider.body.error, "invalid_scope");
  const everything = await refresh(stage, client.client_id, second.refresh_token, { scope: "*" });
  assert.equal(everything.body.error, "invalid_scope");
  const { body: third } = await refresh(stage, client.client_id, second.refresh_token);
  assert.deepEqual((await stage.call(third.access_token)).body.scopes, ["dns:zones", "dns:poke"]);
  assert.equal((await refresh(stage, client.client_id, second.refresh_token)).body.error, "invalid_grant");
  for (const { access_token } of [first, second, third]) {
    assert.equal((await stage.call(access_token)).body.reason, "revoked");
  }
  assert.equal((await refresh(stage, client.client_id, third.refresh_token)).body.error, "invalid_grant");
});

test("of many parallel uses of one code or refresh token exactly one succeeds", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  for (let round = 0; round < 3; round++) {
    const { verifier, challenge } = pkce();
    const codes = await login(stage, client.client_id, challenge).then((code) =>
      Promise.all(Array.from({ length: 50 }, () => redeem(stage, client.client_id, code, verifier))),
    );
    assert.equal(codes.filter(({ status }) => status === 200).length, 1);
    const again = pkce();
    const code = await login(stage, client.client_id, again.challenge);
    const { body } = await redeem(stage, client.client_id, code, again.verifier);
    const used = await Promise.all(
      Array.from({ length: 50 }, () => refresh(stage, client.client_id, body.refresh_token)),
    );
    assert.equal(used.filter(({ status }) => status === 200).length, 1);
  }
  assert.deepEqual(stage.faults, []);
});

test("revoking a refresh token ends the access tokens of its grant", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const { verifier, challenge } = pkce();
  const { body } = await redeem(stage, client.client_id, await login(stage, client.client_id, challenge), verifier);
  const answer = await stage.post("/oauth/revoke", { token: body.refresh_token, client_id: client.client_id });
  assert.equal(answer.status, 200);
  assert.equal((await stage.call(body.access_token)).status, 401);
  assert.equal((await refresh(stage, client.client_id, body.refresh_token)).body.error, "invalid_grant");
});

test("a request that was pushed is used by its client, once", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage);
  const { challenge } = pkce();
  const query = Object.fromEntries(new URLSearchParams(authorizeUrl(stage, client.client_id, challenge).split("?")[1]));
  const { status, body } = await stage.post("/oauth/par", query as Record<string, string>);
  assert.equal(status, 201, JSON.stringify(body));
  const tab = browser(stage.address);
  const short = `/oauth/authorize?${new URLSearchParams({ client_id: client.client_id, request_uri: body.request_uri })}`;
  assert.match(await consent(tab, await tab.follow(await tab.go(short)), "allow"), /[?&]code=/);
  assert.equal((await tab.go(short)).status, 400);
});

test("a device gets its token when a person typed its code", async (context) => {
  const stage = await stageOAuth(context);
  const { body: client } = await register(stage, {
    redirect_uris: [],
    response_types: [],
    grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
  });
  const { body: device, status } = await stage.post("/oauth/device_authorization", {
    client_id: client.client_id,
    resource: `${stage.address}/mcp`,
  });
  assert.equal(status, 200, JSON.stringify(device));
  const poll = () =>
    stage.post("/oauth/token", {
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      device_code: device.device_code,
      client_id: client.client_id,
    });
  assert.equal((await poll()).body.error, "authorization_pending");
  const tab = browser(stage.address);
  const submit = async (page: Response, more: Record<string, string> = {}) => {
    const text = await page.text();
    const fields = [...text.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [name!, value!]);
    return tab.go("/oauth/device", {
      method: "POST",
      body: new URLSearchParams({ ...Object.fromEntries(fields), ...more }),
    });
  };
  const typed = await submit(await tab.go("/oauth/device"), { user_code: device.user_code });
  const confirmed = await tab.follow(await submit(typed));
  const result = await consent(tab, confirmed, "allow");
  assert.match(result, /Done/);
  const { body } = await poll();
  assert.equal((await stage.call(body.access_token)).body.user, "user:ada", JSON.stringify(body));
  assert.equal((await poll()).body.error, "invalid_grant");
});

test("clients register within limits, and only as what cannot harm", async (context) => {
  const stage = await stageOAuth(context);
  const refused: Record<string, object> = {
    "a script": { redirect_uris: ["javascript:alert(1)"] },
    "plain http elsewhere": { redirect_uris: ["http://app.example/cb"] },
    "a user in it": { redirect_uris: ["https://a@app.example/cb"] },
    "a fragment": { redirect_uris: ["https://app.example/cb#x"] },
    "a data page": { redirect_uris: ["data:text/html,x"] },
    "a backslash": { redirect_uris: ["https://app.example\\@evil.example/cb"] },
    "no list": { redirect_uris: "https://app.example/cb" },
    "too many": { redirect_uris: Array.from({ length: 11 }, (_, i) => `https://app.example/${i}`) },
    "keys to fetch": { jwks_uri: "https://169.254.169.254/", token_endpoint_auth_method: "private_key_jwt" },
    "a symmetric key": { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [{ kty: "oct", k: "eA" }] } },
    "a secret as signature": { token_endpoint_auth_method: "client_secret_jwt" },
  };
  for (const [what, metadata] of Object.entries(refused)) {
    assert.equal((await register(stage, metadata)).status, 400, what);
  }
  const { body } = await register(stage, {
    scope: "openid mcp:everything",
    grant_types: ["authorization_code", "implicit", "client_credentials", "urn:x"],
    response_types: ["code", "token"],
    logo_uri: "http://169.254.169.254/logo",
    contacts: ["x"],
    redirect_uris: ["cursor://anysphere.cursor-retrieval/oauth/callback", "http://localhost:1/cb"],
  });
  assert.deepEqual(body.grant_types, ["authorization_code"]);
  assert.deepEqual(body.response_types, ["code"]);
  for (const field of ["scope", "logo_uri", "contacts", "registration_access_token"])
    assert.equal(body[field], undefined);
});

test("registration can need a token, which is good for so many clients of one agent", async (context) => {
  const stage = await stageOAuth(context, { registration: "token" });
  assert.equal((await register(stage)).status, 401);
  const { token } = await stage.server.registrationTokens.issue({
    agent: "dns-bot",
    uses: 2,
    ttlSeconds: 60,
    by: "owner",
    now: new Date(),
  });
  const withToken = async () => {
    const response = await fetch(`${stage.address}/oauth/register`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ redirect_uris: [], grant_types: ["client_credentials"] }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: tests look into what came.
    return { status: response.status, body: (await response.json()) as any };
  };
  const answers = await Promise.all(Array.from({ length: 10 }, withToken));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 2);
  const { client_id, client_secret } = made[0]?.body ?? {};
  const { body } = await stage.post(
    "/oauth/token",
    { grant_type: "client_credentials" },
    basic(client_id, client_secret),
  );
  assert.equal((await stage.call(body.access_token)).body.agent, "dns-bot");
});

test("what the file switches is on or off at the next request", async (context) => {
  const stage = await stageOAuth(context);
  assert.equal((await register(stage)).status, 201);
  stage.state.config = { ...stage.state.config, registration: "off" };
  assert.equal((await register(stage)).status, 403);
  const server = await (await fetch(`${stage.address}/.well-known/oauth-authorization-server`)).json();
  assert.equal((server as Record<string, unknown>)["registration_endpoint"], undefined);
  stage.state.config = { ...stage.state.config, registration: "open" };
  assert.equal((await register(stage)).status, 201);
});

test("discovery says where everything is, and nothing of what there is", async (context) => {
  const stage = await stageOAuth(context);
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what came.
  const get = async (path: string) => (await (await fetch(stage.address + path)).json()) as any;
  const server = await get("/.well-known/oauth-authorization-server");
  assert.equal(server.issuer, stage.address);
  assert.equal(server.token_endpoint, `${stage.address}/oauth/token`);
  assert.deepEqual(server.code_challenge_methods_supported, ["S256"]);
  assert.equal(server.authorization_response_iss_parameter_supported, true);
  assert.equal(server.scopes_supported, undefined);
  assert.equal(server.client_id_metadata_document_supported, undefined);
  const told = await new Promise<string>((done) => {
    const headers = { host: "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" };
    request(`${stage.address}/.well-known/oauth-authorization-server`, { headers }, (response) => {
      response.setEncoding("utf8").on("data", done);
    }).end();
  });
  assert.deepEqual(JSON.parse(told), server, "whatever name it was asked by");
  for (const path of ["/mcp", "/mcp/anything", "/api"]) {
    const resource = await get(`/.well-known/oauth-protected-resource${path}`);
    assert.equal(resource.resource, stage.address + path);
    assert.deepEqual(resource.authorization_servers, [stage.address]);
    assert.equal(resource.scopes_supported, undefined);
  }
});
