import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { OAuth2CredentialConfig } from "../config/schema.ts";
import { testEgress } from "../egress/egress.testing.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { makeServer } from "./dual-era-server.testing.ts";
import { serve } from "./http-server.testing.ts";
import { createUpstreamTokens } from "./upstream-tokens.ts";
import { callOf, compiled, sendCall, stage, textOf } from "./upstreams.testing.ts";

// A secret that both ways of proving a client must encode.
const CLIENT = { id: "doorward client", secret: "s3cret:with+sign & more/0123456789" };

/** An authorization server: oidc-provider, which knows one client. */
async function startProvider(t: TestContext) {
  const seen: { readonly path: string; readonly headers: NodeJS.Dict<string | string[]>; readonly body: string }[] = [];
  const given: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: only a part of the package has types.
  let provider: any;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ path: request.url ?? "", headers: request.headers, body });
    });
    provider.callback()(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  const { Provider } = (await import("oidc-provider")) as any;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  provider = new Provider(origin, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: "one" }] },
    scopes: ["tools"],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_: unknown, audience: string) => ({
          scope: "tools",
          audience,
          accessTokenFormat: "opaque",
          accessTokenTTL: 120,
        }),
      },
    },
  });
  provider.on("client_credentials.saved", (token: { jti: string }) => given.push(token.jti));
  return { origin, seen, given };
}

/** A protected MCP server with the metadata that it should have. */
async function startResource(
  t: TestContext,
  issuer: string,
  bend: { resource?: string; hidden?: boolean; elsewhere?: string } = {},
) {
  const valid = new Set<string>();
  const handler = createMcpHandler(makeServer, { legacy: "reject" });
  let origin = "";
  const { origin: at, seen } = await serve(t, async (request) => {
    const { pathname } = new URL(request.url);
    const place = bend.hidden === true ? "/elsewhere" : "/.well-known/oauth-protected-resource/mcp";
    if (pathname === place) {
      const resource = bend.resource ?? `${origin}/mcp`;
      return Response.json({ resource, authorization_servers: [issuer], scopes_supported: ["tools"] });
    }
    if (pathname !== "/mcp") return new Response("no", { status: 404 });
    const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    if (valid.has(token)) return handler.fetch(request);
    const challenge = `Bearer resource_metadata="${bend.elsewhere ?? origin}/elsewhere"`;
    return new Response("{}", { status: 401, headers: { "www-authenticate": challenge } });
  });
  origin = at;
  return { origin, seen, valid };
}

function remote(origin: string, parts: Partial<OAuth2CredentialConfig> = {}): CompiledMcpService {
  const { protocol, hostname: host, port } = new URL(origin);
  const url = { origin, protocol: protocol as "http:", host, port: Number(port), basePath: "/mcp" };
  return compiled({
    private: true,
    server: { transport: "http", url, legacySse: false },
    credential: {
      kind: "oauth2",
      secret: "local:client",
      clientId: CLIENT.id,
      grant: "client_credentials",
      scopes: [],
      tokenEndpoint: undefined,
      ...parts,
    },
  });
}

function tokensOf(t: TestContext) {
  const leases: string[] = [];
  const facts = { version: "1", now: new Date() };
  const tokens = createUpstreamTokens({
    egress: testEgress(t),
    vault: {
      async lease(_, { origin }) {
        leases.push(origin);
        return { secret: new Secret(CLIENT.secret), version: facts.version, expiresAt: new Date(8e15), short: false };
      },
    },
    now: () => facts.now,
  });
  return { tokens, leases, facts };
}

test("a protected server is called with a token for it alone; one that it refuses is renewed once", async (t) => {
  const provider = await startProvider(t);
  const resource = await startResource(t, provider.origin);
  const { tokens, leases } = tokensOf(t);
  const { upstreams } = stage(t, {
    egress: testEgress(t),
    authorise: async (service) => {
      const leased = await tokens.get(service);
      // The first token was taken back before it was used.
      if (provider.given.length > 1) resource.valid.add(provider.given.at(-1)!);
      return leased;
    },
  });
  const service = remote(resource.origin, { tokenEndpoint: `${provider.origin}/token` });
  const outcome = await sendCall(upstreams, callOf(service, "echo", { a: "b" }));
  assert.equal(textOf(outcome), '{"a":"b"}');
  assert.equal(provider.given.length, 2);
  const asked = provider.seen.filter(({ path }) => path === "/token");
  assert.equal(new URLSearchParams(asked[0]?.body).get("resource"), `${resource.origin}/mcp`);
  assert.equal(new URLSearchParams(asked[0]?.body).get("scope"), "tools");
  assert.deepEqual([...new Set(leases)], [provider.origin]);
  assert.ok(resource.seen.every(({ headers, body }) => !JSON.stringify([headers, body]).includes(CLIENT.secret)));
});

test("the token endpoint is found by metadata, also those that a challenge names, but gets the secret at the server's own origin alone", async (t) => {
  const provider = await startProvider(t);
  for (const hidden of [false, true]) {
    const resource = await startResource(t, provider.origin, { hidden });
    const { tokens, leases } = tokensOf(t);
    const refused = await tokens.get(remote(resource.origin)).catch((error: unknown) => error);
    assert.ok(refused instanceof Problem);
    assert.equal(refused.code, "secret_unavailable");
    assert.match(refused.remedy, new RegExp(`token_endpoint: ${provider.origin}/token`));
    assert.deepEqual(leases, []);
  }
  assert.equal(provider.given.length, 0);
});

test("metadata of another resource are not followed", async (t) => {
  const provider = await startProvider(t);
  const resource = await startResource(t, provider.origin, { resource: "https://elsewhere.example/mcp" });
  const { tokens } = tokensOf(t);
  await assert.rejects(tokens.get(remote(resource.origin)), { code: "upstream_invalid" });
});

test("a challenge that names metadata at another origin is not followed", async (t) => {
  const provider = await startProvider(t);
  const other = await serve(t, async () => Response.json({}));
  const resource = await startResource(t, provider.origin, { hidden: true, elsewhere: other.origin });
  const { tokens } = tokensOf(t);
  await assert.rejects(tokens.get(remote(resource.origin)), { code: "upstream_invalid" });
  assert.equal(other.seen.length, 0);
});

test("one token serves parallel calls, until it ends or the secret is another", async (t) => {
  const provider = await startProvider(t);
  const resource = await startResource(t, provider.origin);
  const { tokens, facts } = tokensOf(t);
  const service = remote(resource.origin, { tokenEndpoint: `${provider.origin}/token` });
  const [one, other] = await Promise.all([tokens.get(service), tokens.get(service)]);
  assert.equal(one, other);
  assert.equal(await tokens.get(service), one);
  facts.now = new Date(facts.now.getTime() + 119_000);
  const second = await tokens.get(service);
  assert.notEqual(second, one);
  assert.equal(second.lease.version, one!.lease.version);
  facts.version = "2";
  const third = await tokens.get(service);
  assert.notEqual(third.lease.version, second.lease.version);
  assert.equal(provider.given.length, 3);
});

test("a client that is refused is told so without its secret", async (t) => {
  const provider = await startProvider(t);
  const resource = await startResource(t, provider.origin);
  const { tokens } = tokensOf(t);
  const tokenEndpoint = `${provider.origin}/token`;
  const wrong = await tokens
    .get(remote(resource.origin, { tokenEndpoint, clientId: "another" }))
    .catch((e: unknown) => e);
  assert.ok(wrong instanceof Problem);
  assert.match(wrong.message, /`invalid_client`/);
});
