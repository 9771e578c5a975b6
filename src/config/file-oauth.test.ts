import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_OAUTH, oauthEntry } from "./file-oauth.ts";

test("what the file says of the OAuth server, and what holds where it says nothing", () => {
  assert.deepEqual(oauthEntry.parse({}), DEFAULT_OAUTH);
  const { accessTtlSeconds, refreshTtlSeconds } = DEFAULT_OAUTH;
  assert.deepEqual([accessTtlSeconds, refreshTtlSeconds], [600, 30 * 86_400]);
  assert.deepEqual(
    oauthEntry.parse({ access_ttl: "5m", refresh_ttl: "1d", registration: "token", client_documents: true }),
    { accessTtlSeconds: 300, refreshTtlSeconds: 86_400, registration: "token", clientDocuments: true },
  );
});

test("an access token cannot live long, and unknown keys are none", () => {
  for (const wrong of [
    { access_ttl: "1h" },
    { access_ttl: "10s" },
    { refresh_ttl: "365d" },
    { registration: "yes" },
    { ttl: "1m" },
  ]) {
    assert.equal(oauthEntry.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});

test("who may sign identity assertions: at least one, each once, with keys that nobody else can send", () => {
  const company = { issuer: "https://login.example", jwks: "https://login.example/jwks" };
  const { assertionIssuers } = oauthEntry.parse({ identity_assertion: { issuers: { company } } });
  assert.equal(assertionIssuers?.get("company")?.issuer, company.issuer);
  assert.equal(oauthEntry.parse({}).assertionIssuers, undefined);
  for (const issuers of [
    {},
    { company, again: company },
    { company: { ...company, jwks: "http://login.example/jwks" } },
    { company: { ...company, audience: "x" } },
    { company: { issuer: company.issuer } },
    { "a b": company },
  ]) {
    assert.equal(oauthEntry.safeParse({ identity_assertion: { issuers } }).success, false, JSON.stringify(issuers));
  }
});
