/** Ordinary clients log in over OAuth against a fresh install: nothing is set up for them, and nobody types. */
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  Client,
  type OAuthClientInformationMixed,
  type OAuthClientProvider,
  type OAuthTokens,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { modern } from "../../src/mcp/http-endpoint.testing.ts";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { freePort } from "../harness/free-port.testing.ts";
import { signIn } from "./browser.testing.ts";
import { logInHeadless } from "./log-in-headless.testing.ts";

const CONFIG = `version: 1
services:
  registrar:
    url: http://127.0.0.1:9
    private: true
    operations:
      domains:read: { effect: read, allow: [GET /domains] }
      domains:drop: { effect: destructive, allow: [DELETE /domains] }
roles: { reader: { allow: ["registrar:*"] } }
agents: { bot: { roles: [reader] } }
oauth: { identity_assertion: { issuers: { company: { issuer: "https://login.example", jwks: "file:company.json" } } } }
`;

/** What an SDK's client keeps of its login. */
class Login implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly scope: string | undefined;
  client: OAuthClientInformationMixed | undefined;
  given: OAuthTokens | undefined;
  verifier = "";
  asked: URL | undefined;

  constructor(redirectUrl: string, scope?: string) {
    this.redirectUrl = redirectUrl;
    this.scope = scope;
  }

  get clientMetadata() {
    return {
      client_name: "SDK test",
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
      ...(this.scope === undefined ? {} : { scope: this.scope }),
    };
  }

  clientInformation = () => this.client;
  saveClientInformation(client: OAuthClientInformationMixed) {
    this.client = client;
  }
  tokens = () => this.given;
  saveTokens(tokens: OAuthTokens) {
    this.given = tokens;
  }
  redirectToAuthorization(url: URL) {
    this.asked = url;
  }
  saveCodeVerifier(verifier: string) {
    this.verifier = verifier;
  }
  codeVerifier = () => this.verifier;
}

describe("clients that log in", () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  let daemon: TestDaemon;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG }));
    daemon = stack.use(await startDaemon(home));
  });
  after(() => stack.disposeAsync());

  const connect = async (login: Login) => {
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${daemon.url}/mcp`), { authProvider: login }));
    return client;
  };
  /** Logs in with whatever the SDK finds by itself, from a 401 on. */
  const logIn = async (login: Login) => {
    await assert.rejects(connect(login), UnauthorizedError);
    assert.ok(login.asked !== undefined);
    const browser = await signIn(home);
    const there = createServer((request, response) => response.end(request.url));
    await new Promise<void>((done) => void there.listen(0, "127.0.0.1", done));
    try {
      const port = (there.address() as AddressInfo).port;
      // The port of a loopback redirect may differ from the one that was registered (RFC 8252 §7.3).
      login.asked.searchParams.set("redirect_uri", `http://127.0.0.1:${port}/cb`);
      const home = new URL(await (await browser.consent(login.asked.href)).text(), "http://x");
      const redirectUrl = `http://127.0.0.1:${port}/cb`;
      const transport = new StreamableHTTPClientTransport(new URL(`${daemon.url}/mcp`), {
        authProvider: Object.assign(login, { redirectUrl }),
      });
      await transport.finishAuth(home.searchParams);
    } finally {
      there.close();
    }
  };

  test("the SDK's client finds all by itself, lists nothing, and is adopted", async () => {
    const login = new Login("http://127.0.0.1:1/cb");
    await logIn(login);
    const client = await connect(login);
    assert.deepEqual((await client.listTools()).tools, []);
    const { client_id } = login.client ?? {};
    await home.json(["agent", "adopt", client_id!, "--as", "laptop", "--role", "reader"]);
    await client.close();
    const again = await connect(login);
    const { tools } = await again.listTools();
    assert.ok(tools.some(({ name }) => name === "doorward_request"));
    const who = await again.callTool({ name: "doorward_whoami", arguments: {} });
    const { agent, client: through, user } = who.structuredContent as Record<string, string>;
    assert.equal(agent, "laptop");
    assert.equal(through, client_id);
    assert.match(user ?? "", /^link:/);
    await home.json(["agent", "revoke", "laptop"]);
    await assert.rejects(again.listTools());
    await again.close();
  });

  test("a token without the scope is answered with a step-up challenge on both planes, and a key with a result", async () => {
    const made = await home.json<{ client_id: string; client_secret: string; token_endpoint: string }>([
      "agent",
      "client",
      "bot",
    ]);
    const tokenFor = async (resource: string) => {
      const form = {
        grant_type: "client_credentials",
        scope: "registrar:domains:read",
        resource: daemon.url + resource,
      };
      const authorization = `Basic ${Buffer.from(`${made.client_id}:${made.client_secret}`).toString("base64")}`;
      const answer = await fetch(made.token_endpoint, {
        method: "POST",
        body: new URLSearchParams(form),
        headers: { authorization },
      });
      return ((await answer.json()) as { access_token: string }).access_token;
    };
    const challenge = /^Bearer .*error="insufficient_scope", scope="registrar:domains:drop"/;
    const direct = await fetch(`${daemon.url}/api/registrar/domains`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${await tokenFor("/api")}` },
    });
    assert.equal(direct.status, 403);
    assert.match(direct.headers.get("www-authenticate") ?? "", challenge);

    const dropped = { service: "registrar", method: "DELETE", path: "/domains" };
    const { message, headers } = modern("tools/call", { name: "doorward_request", arguments: dropped });
    const call = (token: string) =>
      fetch(`${daemon.url}/mcp`, {
        method: "POST",
        headers: { ...headers, authorization: `Bearer ${token}` },
        body: JSON.stringify({ jsonrpc: "2.0", ...message }),
      });
    const over = await call(await tokenFor("/mcp"));
    assert.equal(over.status, 403, await over.clone().text());
    assert.match(over.headers.get("www-authenticate") ?? "", challenge);
    const { key } = await home.json<{ key: string }>(["agent", "key", "bot", "--scope", "registrar:domains:read"]);
    const kept = await call(key);
    assert.equal(kept.status, 200);
    assert.match(await kept.text(), /insufficient_scope/);
    const events = await home.cli(["audit", "search", "--agent", "bot", "--type", "call.decided", "--json"]);
    assert.equal(events.stdout.trim().split("\n").length, 3, "one event for each");
  });

  test("the company's issuer vouches for a person, and the agent's calls are in their name", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const keys = [{ ...publicKey.export({ format: "jwk" }), kid: "k1" }];
    writeFileSync(join(home.home, "company.json"), JSON.stringify({ keys }));
    const made = await home.json<{ client_id: string; client_secret: string; token_endpoint: string }>([
      "agent",
      "client",
      "bot",
    ]);
    const { client_id } = made;
    const at = Math.floor(Date.now() / 1_000);
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const claims = { iss: "https://login.example", sub: "alice", aud: daemon.url, client_id, iat: at, exp: at + 300 };
    const head = encode({ alg: "EdDSA", kid: "k1", typ: "oauth-id-jag+jwt" });
    const signed = `${head}.${encode({ ...claims, jti: "once", resource: `${daemon.url}/mcp` })}`;
    const assertion = `${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}`;
    const present = () =>
      fetch(made.token_endpoint, {
        method: "POST",
        body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion }),
        headers: { authorization: `Basic ${btoa(`${client_id}:${made.client_secret}`)}` },
      });
    const { access_token } = (await (await present()).json()) as { access_token: string };
    const client = new Client({ name: "test", version: "1" });
    const requestInit = { headers: { authorization: `Bearer ${access_token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${daemon.url}/mcp`), { requestInit }));
    const who = await client.callTool({ name: "doorward_whoami", arguments: {} });
    const { agent, user } = who.structuredContent as Record<string, string>;
    assert.deepEqual([agent, user], ["bot", "issuer:company/alice"]);
    await home.json(["kill", "user:issuer:company/alice", "--why", "a test"]);
    await assert.rejects(client.callTool({ name: "doorward_whoami", arguments: {} }));
    await client.close();
    await home.json(["resume", "user:issuer:company/alice", "--why", "it was one"]);
    assert.equal((await present()).status, 400, "it is used once");
  });

  test("mcp-remote logs in, headless", async () => {
    const command = fileURLToPath(import.meta.resolve("mcp-remote/dist/proxy.js"));
    const port = await freePort();
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [command, `${daemon.url}/mcp`, String(port), "--allow-http"],
      env: {
        ...(home.env as Record<string, string>),
        BROWSER: "true",
        MCP_REMOTE_CONFIG_DIR: join(home.folder, "mcp-remote"),
      },
      stderr: "pipe",
    });
    const client = new Client({ name: "test", version: "1" });
    let said = "";
    let opened = false;
    const browser = await signIn(home);
    transport.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
      const url = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?\S+/.exec(said)?.[0];
      if (url === undefined || opened || !said.includes("\n", said.indexOf(url))) return;
      opened = true;
      browser.consent(url).catch((error: unknown) => {
        said += String(error);
      });
    });
    try {
      await client.connect(transport);
      assert.deepEqual((await client.listTools()).tools, [], "nobody adopted it yet");
      const clients = await home.json<{ client_id: string; name: string; agent: string | null }[]>([
        "agent",
        "clients",
      ]);
      const mine = clients.find(({ name, agent }) => /mcp-remote|MCP CLI/i.test(name ?? "") && agent === null);
      await home.json(["agent", "adopt", mine!.client_id, "--as", "remote", "--role", "reader"]);
      assert.ok((await client.listTools()).tools.length > 0);
    } catch (error) {
      throw new Error(`${String(error)}\n${said}`, { cause: error });
    } finally {
      await client.close();
    }
  });

  test("mcporter logs in, headless", async () => {
    const command = join(dirname(fileURLToPath(import.meta.resolve("mcporter"))), "cli.js");
    const words = ["auth", "--http-url", `${daemon.url}/mcp`, "--allow-http", "--no-browser", "--name", "doorward"];
    const { status, said } = await logInHeadless(home, [process.execPath, command, ...words], home.env);
    assert.equal(status, 0, said);
    const clients = await home.json<{ name: string }[]>(["agent", "clients"]);
    assert.ok(
      clients.some(({ name }) => /mcporter/i.test(name)),
      said,
    );
  });

  test("the conformance suite's authorization mode passes", async () => {
    const port = await freePort();
    const registered = await fetch(`${daemon.url}/oauth/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        client_name: "suite",
        redirect_uris: [`http://127.0.0.1:${port}/callback`],
        token_endpoint_auth_method: "none",
      }),
    });
    const { client_id } = (await registered.json()) as { client_id: string };
    const suite = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));
    const words = ["authorization", "--url", daemon.url, "--client-id", client_id, "--resource", `${daemon.url}/mcp`];
    const command = [process.execPath, suite, ...words, "-p", String(port)] as const;
    const { status, said } = await logInHeadless(home, command, home.env);
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /[1-9]\d* failed|FAILURE/, said);
  });
});
