/** People: a one-time link from the command line, the console in a browser, the call that was held, and the evidence. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { formOf, type Seen, testBrowser } from "../../src/console/console.testing.ts";
import { type ContractStage, startContract } from "../contract/contract.testing.ts";
import { makeHome, startDaemon } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    operations:
      orders:delete: { effect: destructive, allow: ["DELETE /orders/{id}"], approval: { message: "Delete order {path.id}" } }
roles: { seller: { allow: ["shop:*"] } }
agents: { clerk: { roles: [seller] } }
policies: [{ id: ask-first, effect: ask, on: "*" }]
`;

interface Link {
  readonly url: string;
  readonly person: string;
}

describe("the console", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["clerk"] });
  });
  after(() => stage[Symbol.asyncDispose]());

  const link = (...words: readonly string[]) => stage.home.json<Link>(["person", "link", ...words]);
  const signIn = async (...words: readonly string[]) => {
    const { url } = await link(...words);
    const browser = testBrowser(stage.daemon.url);
    return { browser, page: await browser.get(url), url };
  };

  test("a held call is approved by a person whom a link signed in, runs once, and the evidence names them", async () => {
    const held = await stage.call("/api/shop/orders/7", { method: "DELETE" });
    assert.equal(held.json.code, "approval_required");
    const unknown = await testBrowser(stage.daemon.url).get(held.json.approval_url);
    assert.match(unknown.url, /\/console\/login\?return=/);
    const { browser, page } = await signIn("--role", "approver", "--name", "alice", "--ttl", "10m");
    assert.match(page.text, /Delete order 7/);
    const shown = await browser.get(held.json.approval_url);
    assert.match(shown.text, /DELETE http:\/\/127\.0\.0\.1:\d+\/orders\/7/);
    assert.match((await browser.press(shown, "Approve")).text, /granted by user:alice/);
    assert.equal((await stage.call("/api/shop/orders/7", { method: "DELETE" })).status, 200);
    assert.equal((await stage.call("/api/shop/orders/7", { method: "DELETE" })).json.code, "approval_required");
    const granted = stage.evidence().find(({ type }) => type === "approval.granted") as unknown as { by: string };
    assert.equal(granted.by, "user:alice");
  });

  test("a link works once, whoever comes first; a revoked person is out at the next request", async () => {
    const { browser, url } = await signIn("--role", "operator", "--name", "olga");
    assert.equal((await fetch(url, { redirect: "manual" })).status, 403);
    const killed = await browser.press(await browser.get("/console/kills"), "Stop it now", {
      target: "agent:clerk",
      why: "test",
    });
    assert.match(killed.text, /Stopped by user:olga/);
    assert.equal((await stage.call("/api/shop/orders/8", { method: "DELETE" })).json.code, "killed");
    await stage.home.json(["resume", "agent:clerk", "--why", "done"]);
    const people = await stage.home.json<{ sessions: { person: string }[] }>(["person", "list"]);
    assert.ok(people.sessions.some(({ person }) => person === "user:olga"));
    const gone = await stage.home.json<{ sessions: number }>(["person", "revoke", "user:olga"]);
    assert.equal(gone.sessions, 1);
    assert.match((await browser.get("/console/kills")).url, /\/console\/login/);
  });

  test("an agent's key opens nothing in the console, and cannot make a link", async () => {
    for (const path of ["/console/", "/console/approvals", "/console/me"]) {
      const answer = await stage.call(path);
      assert.equal(answer.status, 303, path);
    }
    const act = await stage.call("/console/act", {
      method: "POST",
      headers: [["Content-Type", "application/x-www-form-urlencoded"]],
      body: "action=kill.lift&target=all&why=x",
    });
    assert.equal(act.status, 401);
    assert.equal((await stage.call("/admin/v1/person.link", { method: "POST", body: "{}" })).status, 404);
  });

  test("a foreign page's form is refused before anything is looked at", async () => {
    const { browser } = await signIn("--role", "owner");
    const page: Seen = await browser.get("/console/kills");
    const { action, fields } = formOf(page, "Stop it now");
    const forged = { ...fields, target: "all", why: "forged" };
    for (const origin of ["https://evil.example", "null"]) {
      assert.equal((await browser.post(action, forged, { origin })).status, 403);
    }
    assert.deepEqual(await stage.home.json(["status"]).then((status) => (status as { kills: unknown }).kills), []);
  });

  for (const words of [
    ["--role", "king"],
    ["--role", "owner", "--ttl", "0s"],
    ["--role", "owner", "--name", "a b"],
  ]) {
    test(`refused: person link ${words.join(" ")}`, async () => {
      const ran = await stage.home.cli(["person", "link", ...words]);
      assert.notEqual(ran.status, 0);
      assert.doesNotMatch(ran.stdout, /http/);
    });
  }
});

test("the secret of a provider that moved waits for the owner, and login says so", async () => {
  const people = (issuer: string) =>
    `version: 1\npeople: { issuer: "${issuer}", client_id: doorward, secret: "local:login", private: true, roles: { a: owner } }\n`;
  await using stack = new AsyncDisposableStack();
  const provider: Double = stack.use(
    await startDouble((request, response) => {
      const issuer = provider.url;
      const endpoints = {
        authorization_endpoint: `${issuer}/a`,
        token_endpoint: `${issuer}/t`,
        jwks_uri: `${issuer}/k`,
      };
      if (request.url?.startsWith("/.well-known/")) replyJson(response, 200, { issuer, ...endpoints });
      else replyJson(response, 400, { error: "invalid_grant" });
    }),
  );
  const home = stack.use(
    await makeHome({ config: people("http://127.0.0.1:9"), secrets: { login: "provider-secret-1" } }),
  );
  const daemon = stack.use(await startDaemon(home));
  home.writeConfig(people(provider.url));
  await home.json(["policy", "reload"]);
  const login = async () => {
    const begin = await fetch(`${daemon.url}/console/login/oidc`, { redirect: "manual" });
    const cookie = begin.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
    const state = new URL(begin.headers.get("location") ?? "http://none").searchParams.get("state");
    return fetch(`${daemon.url}/console/login/callback?code=x&state=${state}`, { headers: { cookie } });
  };
  const held = await login();
  assert.equal(held.headers.get("doorward-error"), "secret_unavailable");
  assert.match(await held.text(), /doorward service confirm people:login/);
  await home.json(["service", "confirm", "people:login"]);
  const refused = await login();
  assert.equal(refused.status, 403);
  assert.ok(provider.received.some(({ headers }) => JSON.stringify(headers).includes("Basic ")));
});
