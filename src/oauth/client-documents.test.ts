import assert from "node:assert/strict";
import { test } from "node:test";
import { documentFetch } from "./document-fetch.ts";
import { browser, consent, pkce, stageOAuth } from "./oauth.testing.ts";

const ID = "https://app.example/client.json";
const REDIRECT = "http://127.0.0.1:8912/callback";
const DOCUMENT = {
  client_id: ID,
  client_name: "An app",
  redirect_uris: [REDIRECT],
  token_endpoint_auth_method: "none",
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
  application_type: "native",
};

function authorizeUrl(address: string, challenge: string, redirect = REDIRECT, id = ID) {
  const query = new URLSearchParams({
    client_id: id,
    response_type: "code",
    redirect_uri: redirect,
    code_challenge: challenge,
    code_challenge_method: "S256",
    resource: `${address}/mcp`,
  });
  return `/oauth/authorize?${query}`;
}

test("a URL is a client where the file says so, pinned as it was first seen, and may do nothing until adopted", async (context) => {
  const stage = await stageOAuth(context, { clientDocuments: true });
  stage.documents.set(ID, DOCUMENT);
  const server = await (await fetch(`${stage.address}/.well-known/oauth-authorization-server`)).json();
  assert.equal((server as Record<string, unknown>)["client_id_metadata_document_supported"], true);
  const { verifier, challenge } = pkce();
  const tab = browser(stage.address);
  const page = await tab.follow(await tab.go(authorizeUrl(stage.address, challenge)));
  const code = new URL(await consent(tab, page, "allow")).searchParams.get("code") ?? "";
  const { body } = await stage.post("/oauth/token", {
    grant_type: "authorization_code",
    code,
    redirect_uri: REDIRECT,
    code_verifier: verifier,
    client_id: ID,
  });
  assert.equal((await stage.call(body.access_token)).body.agent, `client:${ID}`, JSON.stringify(body));
  stage.documents.set(ID, { ...DOCUMENT, redirect_uris: ["https://evil.example/cb"] });
  await stage.restart();
  const moved = await tab.go(authorizeUrl(stage.address, challenge, "https://evil.example/cb"));
  assert.equal(moved.status, 400);
  await stage.server.clients.adopt({ id: ID, agent: "dns-bot", by: "owner" });
  assert.equal((await stage.call(body.access_token)).body.agent, "dns-bot");
  await stage.server.tokens.revoke({ target: ID, by: "owner", now: new Date() });
  assert.equal((await tab.go(authorizeUrl(stage.address, challenge))).status, 400, "it does not come back by itself");
});

test("without the switch nothing is fetched, and with it nothing but a plain document that names itself", async (context) => {
  const off = await stageOAuth(context);
  off.documents.set(ID, DOCUMENT);
  assert.equal((await browser(off.address).go(authorizeUrl(off.address, pkce().challenge))).status, 400);
  const stage = await stageOAuth(context, { clientDocuments: true });
  const wrong: Record<string, object> = {
    "https://app.example/other": DOCUMENT,
    "https://app.example/secret": { ...DOCUMENT, client_id: "https://app.example/secret", client_secret: "x" },
    "https://app.example/none": { client_id: "https://app.example/none" },
    "https://app.example/list": [],
  };
  for (const [id, document] of Object.entries(wrong)) {
    stage.documents.set(id, document);
    const answer = await browser(stage.address).go(authorizeUrl(stage.address, pkce().challenge, REDIRECT, id));
    assert.equal(answer.status, 400, id);
    assert.equal(stage.server.clients.find(id), undefined);
  }
  for (const id of [
    "http://app.example/client.json",
    "https://app.example/../x",
    "https://a@app.example/x",
    `${ID}#x`,
  ]) {
    const answer = await browser(stage.address).go(authorizeUrl(stage.address, pkce().challenge, REDIRECT, id));
    assert.equal(answer.status, 400, id);
  }
});

test("what oidc-provider may fetch is a plain https URL", async () => {
  const asked: string[] = [];
  const fetch = documentFetch(async ({ origin, basePath }) => {
    asked.push(origin + basePath);
    return Buffer.from("{}");
  });
  assert.equal((await fetch("https://app.example/client.json")).status, 200);
  for (const url of [
    "http://app.example/client.json",
    "https://app.example/client.json?x=1",
    "https://u:p@app.example/client.json",
    "file:///etc/passwd",
    "https://app.example/a/../b",
  ]) {
    await assert.rejects(fetch(url), Error, url);
  }
  assert.deepEqual(asked, ["https://app.example/client.json"]);
});
