import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { makeServer } from "./dual-era-server.testing.ts";
import { serve } from "./http-server.testing.ts";

// biome-ignore lint/suspicious/noExplicitAny: the package has no types of its own, and the test uses little of it.
type Foreign = any;

/** What came to the authorization server's endpoints. */
export interface SeenToken {
  readonly path: string;
  readonly form: URLSearchParams;
}

/** An authorization server elsewhere: oidc-provider, where clients register themselves and `facts.as` sits at the browser. */
export async function startLoginProvider(t: TestContext) {
  const facts = {
    as: "ada",
    refuses: false,
    hidesPkce: false,
    /** What it says of itself instead of what is so. */
    metadata: {} as Record<string, unknown>,
    /** Awaited before a token request is looked at. */
    beforeToken: async () => {},
  };
  const seen: SeenToken[] = [];
  let provider: Foreign;
  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { Provider } = (await import("oidc-provider")) as Foreign;
  provider = new Provider(origin, configuration());
  const callback = provider.callback();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?", 1)[0]!;
    if (path.startsWith("/interaction/")) return interact(request, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const isJson = request.headers["content-type"] === "application/json";
    if (request.method === "POST") seen.push({ path, form: new URLSearchParams(isJson ? "" : body) });
    if (body !== "") {
      (request as { body?: unknown }).body = isJson ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body));
    }
    if (path.startsWith("/.well-known/")) bendMetadata(response);
    if (path === "/token") await facts.beforeToken();
    callback(request, response);
  }

  /** Says something else of itself than is so. */
  function bendMetadata(response: ServerResponse): void {
    const end = response.end.bind(response);
    response.end = ((chunk?: unknown) => {
      const metadata = { ...JSON.parse(String(chunk ?? "{}")), ...facts.metadata } as Record<string, unknown>;
      if (facts.hidesPkce) delete metadata["code_challenge_methods_supported"];
      const text = JSON.stringify(metadata);
      if (!response.headersSent) response.setHeader("content-length", Buffer.byteLength(text));
      return end(text);
    }) as typeof response.end;
  }

  async function interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt, session, params } = await provider.interactionDetails(request, response);
    const answer = facts.refuses
      ? { error: "access_denied" }
      : prompt.name === "login"
        ? { login: { accountId: facts.as } }
        : { consent: { grantId: await grantOf(provider, params, session.accountId) } };
    await provider.interactionFinished(request, response, answer, { mergeWithLastSubmission: true });
  }

  return {
    origin,
    facts,
    seen,
    /** Whom a token stands for, and for which resource; `undefined` for one that is none. */
    async whose(token: string): Promise<{ readonly account: string; readonly resource: string } | undefined> {
      const found = await provider.AccessToken.find(token);
      return found && { account: found.accountId, resource: String(found.aud) };
    },
    /** Ends everything that came of the sign-ins of a person. */
    async revokeAll(): Promise<void> {
      for (const id of grants.splice(0)) {
        for (const model of ["AccessToken", "RefreshToken"]) await provider[model].revokeByGrantId(id);
        await (await provider.Grant.find(id))?.destroy();
      }
    },
    tokens: (grant: string) => seen.filter(({ path, form }) => path === "/token" && form.get("grant_type") === grant),
  };
}

const grants: string[] = [];

async function grantOf(provider: Foreign, params: Foreign, accountId: string): Promise<string> {
  const grant = new provider.Grant({ clientId: params.client_id, accountId });
  grant.addOIDCScope("offline_access tools");
  grant.addResourceScope(params.resource, "tools");
  const id = await grant.save();
  grants.push(id);
  return id;
}

function configuration(): object {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: "one" }] },
    cookies: { keys: ["test"] },
    scopes: ["openid", "offline_access", "tools"],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, RefreshToken: 3_600, Grant: 3_600, Session: 3_600, Interaction: 600 },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_: unknown, audience: string) => ({
          scope: "tools",
          audience,
          accessTokenFormat: "opaque",
          accessTokenTTL: 600,
        }),
      },
    },
  };
}

/** An MCP server that wants a token of a person. */
export async function startLoginResource(t: TestContext, provider: Awaited<ReturnType<typeof startLoginProvider>>) {
  const handler = createMcpHandler(makeServer, { legacy: "reject" });
  const facts = { resource: undefined as string | undefined, issuer: undefined as string | undefined };
  const callers: string[] = [];
  let origin = "";
  const served = await serve(t, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/.well-known/oauth-protected-resource/mcp") {
      return Response.json({
        resource: facts.resource ?? `${origin}/mcp`,
        authorization_servers: [facts.issuer ?? provider.origin],
        scopes_supported: ["tools"],
      });
    }
    if (pathname !== "/mcp") return new Response("no", { status: 404 });
    const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    const whose = await provider.whose(token);
    if (whose?.resource !== `${origin}/mcp`) return new Response("{}", { status: 401 });
    callers.push(whose.account);
    return handler.fetch(request);
  });
  origin = served.origin;
  return { origin, facts, callers, seen: served.seen };
}

/** A browser: follows redirects, and keeps cookies by host and path. @returns The first URL that begins with `until`, not fetched. */
export async function browse(url: string, until: string): Promise<URL> {
  const jar = new Map<string, { readonly host: string; readonly path: string; readonly pair: string }>();
  let at = new URL(url);
  for (let hops = 0; hops < 20; hops++) {
    if (at.href.startsWith(until)) return at;
    const cookie = [...jar.values()].filter(({ host, path }) => host === at.host && at.pathname.startsWith(path));
    const answer = await fetch(at, {
      redirect: "manual",
      headers: { cookie: cookie.map(({ pair }) => pair).join("; ") },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [pair = "", ...attributes] = line.split("; ");
      const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? "/";
      const key = `${at.host}${path} ${pair.split("=", 1)[0]}`;
      if (pair.endsWith("=")) jar.delete(key);
      else jar.set(key, { host: at.host, path, pair });
    }
    const next = answer.headers.get("location");
    if (next === null) throw new Error(`no way on from ${at.href}: ${answer.status} ${await answer.text()}`);
    at = new URL(next, at);
  }
  throw new Error("too many redirects");
}
