import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob } from "../policy/glob.ts";
import { basic, browser, consent, pkce, stageOAuth } from "./oauth.testing.ts";

type Stage = Awaited<ReturnType<typeof stageOAuth>>;
type Form = Record<string, string>;
const REDIRECT = "http://127.0.0.1:8913/callback";
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

const details = (given: object) => ({ authorization_details: JSON.stringify([{ type: "doorward", ...given }]) });

async function setUp(context: Parameters<typeof stageOAuth>[0]) {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const who = basic(client.id, secret);
  const token = (form: Form) => stage.post("/oauth/token", { grant_type: "client_credentials", ...form }, who);
  const exchange = (subject: string, form: Form = {}) =>
    token({
      grant_type: EXCHANGE,
      subject_token: subject,
      subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
      ...form,
    });
  return { stage, who, token, exchange };
}

async function register(stage: Stage, metadata: object = {}): Promise<string> {
  const response = await fetch(`${stage.address}/oauth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ redirect_uris: [REDIRECT], token_endpoint_auth_method: "none", ...metadata }),
  });
  return ((await response.json()) as { client_id: string }).client_id;
}

function asking(client: string, challenge: string, more: Form): Form {
  return {
    client_id: client,
    response_type: "code",
    redirect_uri: REDIRECT,
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...more,
  };
}

/** Logs in as a person who says yes. @returns What the client then asks tokens with, and the page that the person saw. */
async function login(stage: Stage, more: Form, how: "query" | "pushed" = "query") {
  const client = await register(stage);
  const { verifier, challenge } = pkce();
  const tab = browser(stage.address);
  let query = asking(client, challenge, more);
  if (how === "pushed") {
    const { body, status } = await stage.post("/oauth/par", query);
    assert.equal(status, 201, JSON.stringify(body));
    query = { client_id: client, request_uri: body.request_uri };
  }
  const page = await tab.follow(await tab.go(`/oauth/authorize?${new URLSearchParams(query)}`));
  const seen = await page.clone().text();
  const answered = new URL(await consent(tab, page, "allow"));
  const code = answered.searchParams.get("code") ?? "";
  const redeem = (form: Form = {}) =>
    stage.post("/oauth/token", {
      grant_type: "authorization_code",
      code,
      redirect_uri: REDIRECT,
      code_verifier: verifier,
      client_id: client,
      ...form,
    });
  const refresh = (refresh_token: string, form: Form = {}) =>
    stage.post("/oauth/token", { grant_type: "refresh_token", refresh_token, client_id: client, ...form });
  return { client, seen, redeem, refresh };
}

test("a token is bound to the context that it was issued for, and says so", async (context) => {
  const { stage, who, token } = await setUp(context);
  const given = { purpose: "dns", task: "T-1", tenant: "acme", role: "reader" };
  const { body, status } = await token(details(given));
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(body.authorization_details, [{ type: "doorward", ...given }]);
  for (const restarted of [false, true]) {
    if (restarted) await stage.restart();
    const { body: principal } = await stage.call(body.access_token);
    assert.deepEqual([principal.purpose, principal.task], ["dns", "T-1"]);
    assert.deepEqual(principal.stated, { tenant: "acme", role: "reader" });
    assert.deepEqual(principal.signed, given);
  }
  const told = await stage.call(body.access_token, "/mcp", { "doorward-purpose": "mail" });
  assert.deepEqual([told.body.purpose, told.body.signed.purpose], ["mail", "dns"], "the rules see both");
  const { body: seen } = await stage.post("/oauth/introspect", { token: body.access_token }, who);
  assert.deepEqual(seen.authorization_details, [{ type: "doorward", ...given }]);
  const issued = stage.audit.events.filter(({ type }) => type === "token.issued").at(-1);
  assert.deepEqual(issued?.data?.["authorization_details"], [{ type: "doorward", ...given }]);
});

test("its actions take from the scopes, and its locations from the resources", async (context) => {
  const { stage, token } = await setUp(context);
  const { body } = await token({ scope: "dns:* mail:read", ...details({ actions: ["dns:zones", "web:*"] }) });
  assert.equal(body.scope, "dns:zones");
  assert.deepEqual(body.authorization_details, [{ type: "doorward", actions: ["dns:zones"] }]);
  assert.deepEqual((await stage.call(body.access_token)).body.scopes, ["dns:zones"]);
  const all = await token(details({ actions: ["dns:zones"] }));
  assert.deepEqual((await stage.call(all.body.access_token)).body.scopes, ["dns:zones"]);
  const apart = await token({ scope: "mail:read", ...details({ actions: ["dns:zones"] }) });
  assert.equal(apart.body.error, "invalid_authorization_details");
  const [mcp, api] = [`${stage.address}/mcp`, `${stage.address}/api`];
  assert.equal((await token(details({ locations: [mcp] }))).status, 200);
  assert.equal((await token({ resource: `${mcp}/github`, ...details({ locations: [mcp] }) })).status, 200);
  for (const form of [
    { resource: api, ...details({ locations: [mcp] }) },
    details({ locations: [api] }),
    { resource: mcp, ...details({ locations: [`${mcp}/github`] }) },
  ]) {
    assert.equal((await token(form)).body.error, "invalid_authorization_details", JSON.stringify(form));
  }
});

test("what is not understood is refused with the error of RFC 9396, and is one event", async (context) => {
  const { stage, token } = await setUp(context);
  for (const text of [
    "x",
    "{}",
    '"doorward"',
    '[{"type":"other"}]',
    '[{"type":"__proto__"}]',
    '[{"type":"doorward","limit":5}]',
    '[{"type":"doorward","purpose":"a","purpose":"b"}]',
    '[{"type":"doorward"},{"type":"doorward"}]',
    `[{"type":"doorward","task":"${"x".repeat(129)}"}]`,
    `${"[".repeat(100)}${"]".repeat(100)}`,
  ]) {
    const before = stage.audit.events.length;
    assert.equal((await token({ authorization_details: text })).body.error, "invalid_authorization_details", text);
    assert.equal(stage.audit.events.length, before + 1);
  }
  assert.equal((await token({ authorization_details: "[]" })).status, 200, "nothing is asked");
  const client = await register(stage);
  const query = asking(client, pkce().challenge, { authorization_details: '[{"type":"other"}]', state: "s" });
  const tab = browser(stage.address);
  const sent = await tab.go(`/oauth/authorize?${new URLSearchParams(query)}`);
  assert.match(sent.headers.get("location") ?? "", /error=invalid_authorization_details/);
  assert.equal((await stage.post("/oauth/par", query)).body.error, "invalid_authorization_details");
});

test("the page says the context in plain words, and the token has what the person saw", async (context) => {
  for (const how of ["query", "pushed"] as const) {
    const { stage } = await setUp(context);
    const asked = { purpose: "dns <b>", task: "T-1", role: "reader", actions: ["dns:zones"] };
    const { seen, redeem, refresh } = await login(stage, { scope: "dns:*", ...details(asked) }, how);
    for (const part of ["for the purpose <code>dns &lt;b&gt;", "for the task <code>T-1", "in the role <code>reader"]) {
      assert.ok(seen.includes(part), `${part}: ${seen}`);
    }
    assert.match(seen, /<code>dns:zones<\/code>/);
    assert.doesNotMatch(seen, /dns:\*/);
    const { body } = await redeem();
    assert.deepEqual(body.authorization_details, [{ type: "doorward", ...asked }], JSON.stringify(body));
    assert.equal(body.scope, "dns:zones");
    const { body: next } = await refresh(body.refresh_token);
    assert.deepEqual(
      next.authorization_details,
      [{ type: "doorward", ...asked }],
      "what is not asked stays as granted",
    );
    assert.deepEqual((await stage.call(next.access_token)).body.scopes, ["dns:zones"]);
    const granted = stage.audit.events.find(({ type }) => type === "grant.issued");
    assert.deepEqual(granted?.data?.["authorization_details"], [{ type: "doorward", ...asked }]);
  }
});

test("a code and a refresh token give less when less is asked, never more, and a mistake ends nothing", async (context) => {
  const { stage } = await setUp(context);
  const api = `${stage.address}/api`;
  const asked = { purpose: "dns", actions: ["dns:*"], locations: [api] };
  const { redeem, refresh } = await login(stage, { resource: api, ...details(asked) });
  const wider = [
    { purpose: "mail" },
    { actions: ["dns:*", "mail:read"] },
    { actions: ["*"] },
    { locations: [`${stage.address}/mcp`] },
  ];
  for (const more of wider) {
    assert.equal((await redeem(details(more))).body.error, "invalid_authorization_details", JSON.stringify(more));
  }
  const { body } = await redeem(details({ task: "T-1" }));
  assert.deepEqual(body.authorization_details, [{ type: "doorward", ...asked, task: "T-1" }], JSON.stringify(body));
  assert.equal((await stage.call(body.access_token, "/api")).body.signed.task, "T-1");
  for (const more of wider) {
    const refused = await refresh(body.refresh_token, details(more));
    assert.equal(refused.body.error, "invalid_authorization_details", JSON.stringify(more));
  }
  const { body: next } = await refresh(body.refresh_token, details({ actions: ["dns:zones"], role: "reader" }));
  assert.equal(next.scope, "dns:zones", JSON.stringify(next));
  assert.equal((await stage.call(next.access_token, "/api")).body.signed.role, "reader");
  const { body: last } = await refresh(next.refresh_token);
  assert.deepEqual(last.authorization_details, [{ type: "doorward", ...asked }], "as the person allowed");
});

test("a device's token is bound to what the device asked", async (context) => {
  const { stage } = await setUp(context);
  const client = await register(stage, { redirect_uris: [], response_types: [], grant_types: [DEVICE] });
  const { body: device } = await stage.post("/oauth/device_authorization", {
    client_id: client,
    ...details({ purpose: "dns" }),
  });
  const tab = browser(stage.address);
  const submit = async (page: Response, more: Form = {}) => {
    const fields = [...(await page.text()).matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [
      name,
      value,
    ]);
    const body = new URLSearchParams({ ...Object.fromEntries(fields), ...more });
    return tab.go("/oauth/device", { method: "POST", body });
  };
  const typed = await submit(await tab.go("/oauth/device"), { user_code: device.user_code });
  const page = await tab.follow(await submit(typed));
  assert.match(await page.clone().text(), /for the purpose <code>dns/);
  assert.match(await consent(tab, page, "allow"), /Done/);
  const form = { grant_type: DEVICE, device_code: device.device_code, client_id: client };
  assert.equal(
    (await stage.post("/oauth/token", { ...form, ...details({ purpose: "x" }) })).body.error,
    "invalid_authorization_details",
  );
  const { body } = await stage.post("/oauth/token", form);
  assert.deepEqual(body.authorization_details, [{ type: "doorward", purpose: "dns" }], JSON.stringify(body));
});

test("a sub-agent's token has its parent's context, or a narrower one", async (context) => {
  const { stage, token, exchange } = await setUp(context);
  const api = `${stage.address}/api`;
  const { body: parent } = await token({ resource: api, ...details({ purpose: "dns", actions: ["dns:*"] }) });
  const same = await exchange(parent.access_token);
  assert.deepEqual(same.body.authorization_details, [{ type: "doorward", purpose: "dns", actions: ["dns:*"] }]);
  const narrower = await exchange(parent.access_token, details({ task: "T-1", actions: ["dns:zones"] }));
  assert.equal(narrower.body.scope, "dns:zones", JSON.stringify(narrower.body));
  const child = await stage.call(narrower.body.access_token, "/api");
  assert.deepEqual(child.body.signed, { purpose: "dns", task: "T-1" });
  const by = await exchange(parent.access_token, { scope: "dns:zones" });
  assert.deepEqual(by.body.authorization_details, [{ type: "doorward", purpose: "dns", actions: ["dns:zones"] }]);
  for (const more of [{ purpose: "mail" }, { actions: ["*"] }, { actions: ["mail:read"] }, { locations: ["x"] }]) {
    const refused = await exchange(parent.access_token, details(more));
    assert.equal(refused.body.error, "invalid_authorization_details", JSON.stringify(more));
  }
});

test("no exchange, however many follow each other, yields more than the one before", async (context) => {
  const { stage, token, exchange } = await setUp(context);
  const word = fc.constantFrom("a", "b");
  const asked = fc.record(
    {
      purpose: word,
      task: word,
      actions: fc.array(fc.constantFrom("a:*", "a:a", "b:a", "*"), { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { minLength: 2, maxLength: 4 }), async ([first, ...steps]) => {
      let held = await token(details(first!));
      for (const step of steps) {
        const next = await exchange(held.body.access_token, details(step));
        if (next.status !== 200) continue;
        const [before, after] = await Promise.all(
          [held, next].map(async ({ body }) => (await stage.call(body.access_token)).body),
        );
        for (const part of ["purpose", "task"]) {
          if (before.signed[part] !== undefined) assert.equal(after.signed[part], before.signed[part]);
        }
        const lets = (scopes: readonly string[] | undefined, name: string) =>
          scopes === undefined || scopes.some((glob) => compileGlob(glob).matches(name));
        for (const name of ["a:a", "a:b", "b:a", "b:b"])
          assert.ok(!lets(after.scopes, name) || lets(before.scopes, name));
        held = next;
      }
    }),
    { numRuns: 15 },
  );
});

test("discovery names the type", async (context) => {
  const { stage } = await setUp(context);
  for (const path of ["oauth-authorization-server", "oauth-protected-resource/mcp"]) {
    const found = (await (await fetch(`${stage.address}/.well-known/${path}`)).json()) as Record<string, unknown>;
    assert.deepEqual(found["authorization_details_types_supported"], ["doorward"]);
  }
});
