import assert from "node:assert/strict";
import { test } from "node:test";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";
import { quote } from "./quote.ts";
import { parseSecretReference } from "./secret-reference.ts";

const SECRETS = [
  "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
  "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
  "sk-ant-api03-abcdefghijklmnopqrst",
  "-----BEGIN RSA PRIVATE KEY-----",
  "postgres://u:hunter2@db/x",
];
const HONEST = [
  "Domains and DNS",
  "application/vnd.github.v3+json",
  "my-company-integration-v2-prod",
  "2024-06-20-preview",
  "Delete {preview.total} {query.type} records on {path.domain}",
  "https://api.example:8443/v1",
  "risk-assessment",
  "task_list_of_the_production_team",
];

test("known shapes are found, honest texts are not", () => {
  for (const text of SECRETS) assert.equal(looksLikeSecret(`a ${text}`), true, text);
  for (const text of HONEST) assert.equal(looksLikeSecret(text) || looksRandom(text), false, text);
});

test("runs drawn at random are found; UUIDs are names", () => {
  for (const text of ["d41d8cd98f00b204e9800998ecf8427e", "rXy7Kp2mQv9LwTz4BnHs6Dc3", "a9B8c7D6e5F4g3H2i1J0"])
    assert.equal(looksRandom(text), true, text);
  assert.equal(looksRandom("3f2504e0-4f89-11d3-9a0c-0305e82c3301"), false);
});

test("a message never quotes what looks like a secret, and never breaks its line", () => {
  for (const text of SECRETS) assert.equal(quote(text), "`[withheld: looks like a secret]`");
  assert.equal(quote("a\n\u202e`b"), "`a\\u{a}\\u{202e}\\u{60}b`");
  assert.ok(quote("x".repeat(1_000)).length < 100);
});

test("a reference is one of the known forms", () => {
  for (const text of [
    "local:stripe",
    "keychain:my-key-2",
    "env:STRIPE_KEY",
    "env:_x1",
    "file:/run/secrets/a b",
    "file:secrets/x",
  ])
    assert.equal(parseSecretReference(text).ok, true, text);
  for (const text of [
    "",
    "local:",
    "local:A",
    "local:a_b",
    "env:",
    "env:1A",
    "env:A-B",
    "file:",
    "file: ",
    "file:a\nb",
    "LOCAL:a",
    "vault:a#b",
    "local:../x",
    `local:${"a".repeat(65)}`,
    ...SECRETS,
    ...SECRETS.map((secret) => `env:${secret}`),
  ]) {
    const result = parseSecretReference(text);
    assert.equal(result.ok, false, text);
    if (!result.ok && text.length > 12) assert.ok(!`${result.problem}${result.remedy}`.includes(text.slice(-10)), text);
  }
});
