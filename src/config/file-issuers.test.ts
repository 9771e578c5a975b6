import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./parse-config.ts";

const AGENTS = "agents: { bot: {}, other: {} }";

function faults(...lines: readonly string[]): readonly string[] {
  const result = parseConfig(["version: 1", AGENTS, ...lines].join("\n"), { path: "/etc/doorward/doorward.yaml" });
  return result.ok ? [] : result.findings.map(({ path, problem }) => `${path}: ${problem}`);
}

const issuer = (entry: string) => [
  "trusted_issuers:",
  `  ci: { issuer: "https://ci.example", audience: doorward, agents: [{ agent: bot, claims: { sub: a } }], ${entry} }`,
];

test("an issuer, its keys at an url or in a file beside doorward.yaml", () => {
  const load = (entry: string) => {
    const text = ["version: 1", AGENTS, ...issuer(entry)].join("\n");
    const result = parseConfig(text, { path: "/etc/doorward/doorward.yaml" });
    assert.ok(result.ok, JSON.stringify(result));
    return result.config.trustedIssuers?.get("ci");
  };
  const file = load("jwks: file:ci.json");
  assert.deepEqual(file?.jwks, { kind: "file", path: "/etc/doorward/ci.json" });
  assert.deepEqual(file?.audience, ["doorward"]);
  assert.deepEqual(file?.agents, [{ agent: "bot", claims: new Map([["sub", ["a"]]]) }]);
  const url = load("jwks: https://ci.example/.well-known/jwks");
  assert.ok(url?.jwks.kind === "url" && url.jwks.url.basePath === "/.well-known/jwks");
});

test("keys of who signs identity assertions lie beside doorward.yaml too", () => {
  const text = `version: 1
oauth: { identity_assertion: { issuers: { company: { issuer: "https://login.example", jwks: "file:keys.json" } } } }`;
  const result = parseConfig(text, { path: "/etc/doorward/doorward.yaml" });
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.config.oauth.assertionIssuers?.get("company")?.jwks, {
    kind: "file",
    path: "/etc/doorward/keys.json",
  });
});

const bad: Readonly<Record<string, readonly [readonly string[], RegExp]>> = {
  "keys over plain http": [issuer("jwks: http://ci.example/jwks"), /jwks: the keys would come over plain http/],
  "keys from nowhere": [issuer("jwks: ci.json"), /jwks: `ci\.json` is not an http url/],
  "an unknown agent": [
    issuer("jwks: file:k").map((line) => line.replace("agent: bot", "agent: bto")),
    /agents\[0\]\.agent: there is no agent `bto`/,
  ],
  "no claim at all": [issuer("jwks: file:k").map((line) => line.replace("sub: a", "")), /claims: a mapping names 1/],
  "an issuer that is none": [issuer("jwks: file:k").map((line) => line.replace("https://ci", "ci")), /issuer: /],
  "one issuer twice": [
    [...issuer("jwks: file:k"), `  again: ${issuer("jwks: file:k")[1]?.slice("  ci: ".length)}`],
    /again\.issuer: `ci` is the same issuer already/,
  ],
};
for (const [what, [lines, expected]] of Object.entries(bad)) {
  test(`${what} is a fault`, () => {
    const found = faults(...lines);
    assert.equal(found.length, 1, found.join("; "));
    assert.match(found[0] ?? "", expected);
  });
}

function certificateFindings(agents: string, server = "server: {}"): readonly string[] {
  const result = parseConfig(`version: 1\n${server}\nagents: ${agents}`);
  const findings = result.ok ? result.warnings : result.findings;
  return findings.map(({ path, problem, severity }) => `${severity} ${path}: ${problem}`);
}

const TLS = "server: { tls: { cert: file:c, key: file:k, client_ca: file:ca } }";

test("certificates of agents: URIs and whole subjects, each of one agent", () => {
  const names = ['"spiffe://acme.example/a-b/c.d"', '"CN=bot, O=Acme\\\\, Inc"', '"https://acme.example/bot"'];
  assert.deepEqual(certificateFindings(`{ bot: { certificates: [${names.join(", ")}] } }`, TLS), []);
  for (const name of ["spiffe://Acme/x", "spiffe://acme/../x", "spiffe://acme//x", "bot", "CN", "http:/x"])
    assert.match(
      certificateFindings(`{ bot: { certificates: ["${name}"] } }`, TLS)[0] ?? "",
      /is not a SPIFFE ID|names no/,
    );
  assert.deepEqual(certificateFindings('{ a: { certificates: ["CN=x"] }, b: { certificates: ["CN=x"] } }', TLS), [
    "error agents.b.certificates[0]: `CN=x` proves the agent `a` already",
  ]);
});

test("certificates that nobody asks for are warned of; a header that nobody may write is a fault", () => {
  assert.deepEqual(certificateFindings('{ bot: { certificates: ["CN=x"] } }'), [
    "warning agents.bot.certificates: no certificates of clients are asked for",
  ]);
  assert.deepEqual(certificateFindings("{ bot: {} }", "server: { client_certificate_header: X-Client-Cert }"), [
    "error server.client_certificate_header: nobody is trusted to write that header",
  ]);
  const behind = "server: { client_certificate_header: X-Client-Cert, trusted_proxies: [10.0.0.1] }";
  assert.deepEqual(certificateFindings('{ bot: { certificates: ["CN=x"] } }', behind), []);
  assert.deepEqual(
    certificateFindings("{ bot: {} }", "server: { tls: { cert: file:c, key: file:k, client_crl: file:r } }"),
    ["error server.tls.client_crl: no certificates of clients are asked for"],
  );
});
