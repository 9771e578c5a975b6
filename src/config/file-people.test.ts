import assert from "node:assert/strict";
import { test } from "node:test";
import { PEOPLE_PAIRING, peoplePairings } from "./credential-pairings.ts";
import { parseConfig } from "./parse-config.ts";

const parse = (people: string) => parseConfig(`version: 1\npeople: ${people}\n`);
const GOOD = "issuer: https://login.example, client_id: doorward";

test("a provider, its client and what its groups may do", () => {
  const result = parse(`{ ${GOOD}, secret: "local:oidc", roles: { Platform Admins: owner, oncall: approver } }`);
  assert.ok(result.ok, JSON.stringify(result));
  const { people } = result.config;
  assert.deepEqual(people && { ...people, roles: [...people.roles], url: people.url.origin }, {
    issuer: "https://login.example",
    url: "https://login.example",
    clientId: "doorward",
    secret: "local:oidc",
    tokenOrigin: "https://login.example",
    private: false,
    scopes: ["openid", "profile", "email"],
    groupsClaim: "groups",
    roles: [
      ["Platform Admins", "owner"],
      ["oncall", "approver"],
    ],
  });
  assert.deepEqual(peoplePairings(people), [
    { ref: "local:oidc", service: PEOPLE_PAIRING, origin: "https://login.example" },
  ]);
});

test("the secret goes to the token endpoint's origin where that is named; without a secret nothing is bound", () => {
  const result = parse(`{ ${GOOD}, secret: "local:o", token_endpoint: https://tokens.example/t, roles: { a: owner } }`);
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(
    peoplePairings(result.config.people).map(({ origin }) => origin),
    ["https://tokens.example"],
  );
  const open = parse(`{ ${GOOD}, scopes: [groups], roles: { a: owner } }`);
  assert.ok(open.ok);
  assert.deepEqual(open.config.people?.scopes, ["openid", "groups"]);
  assert.deepEqual(peoplePairings(open.config.people), []);
});

for (const [what, [people, expected]] of Object.entries({
  "a role that there is not": [`{ ${GOOD}, roles: { a: king } }`, /^people\.roles\.a: /],
  "nobody gets in": [`{ ${GOOD}, roles: {} }`, /^people\.roles: it names 1 to/],
  "plain http": [
    "{ issuer: http://login.example, client_id: d, roles: { a: owner } }",
    /^people\.issuer: people would/,
  ],
  "a token endpoint over plain http": [
    `{ ${GOOD}, token_endpoint: http://t.example/t, roles: { a: owner } }`,
    /^people\.token_endpoint: people would/,
  ],
  "the secret itself": [`{ ${GOOD}, secret: kX93jd83hdkwo29dj3, roles: { a: owner } }`, /^people\.secret: /],
  "an unknown key": [`{ ${GOOD}, role: { a: owner }, roles: { a: owner } }`, /^people\.role: /],
} as const)) {
  test(`${what} is a fault`, () => {
    const result = parse(people);
    assert.ok(!result.ok);
    const found = result.findings.map(({ path, problem }) => `${path}: ${problem}`);
    assert.ok(
      found.some((one) => expected.test(one)),
      found.join("; "),
    );
  });
}
