import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import type { OAuthConfig } from "../config/schema.ts";
import { createAuthThrottle } from "../identity/auth-throttle.ts";
import type { AgentFacts, Authentication } from "../identity/authenticate.ts";
import type { ClientCertificate } from "../identity/client-certificate.ts";
import { createIssuerKeys } from "../identity/issuer-keys.ts";
import type { Principal } from "../identity/principal.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { createAuthorizationServer } from "./create-authorization-server.ts";
import { createOAuthStore } from "./oauth-store.ts";
import type { Person } from "./person.ts";

/** The person who is signed in, unless a test says otherwise. */
export const ADA: Person = {
  id: "user:ada",
  name: "Ada <b>",
  roles: ["approver"],
  how: "link",
  session: "ses_ada",
  since: new Date(0),
  expiresAt: new Date("2100-01-01T00:00:00Z"),
};

/** An authorization server on loopback, with a resource behind it that tells who came. */
export async function stageOAuth(context: Pick<TestContext, "after">, given: Partial<OAuthConfig> = {}) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const keyring = createKeyring({ homeId: "home", homeKey: randomBytes(32) });
  const agents = new Map<string, AgentFacts>([
    ["dns-bot", { tenant: "acme", environment: "production" }],
    ["other-bot", {}],
  ]);
  const killed = new Set<string>();
  /** What lies at URLs elsewhere. */
  const documents = new Map<string, object>();
  const state: {
    person: Person | undefined;
    config: OAuthConfig;
    skewMs: number;
    certificate: ClientCertificate | "refused" | undefined;
    peopleIssuer: string | undefined;
  } = {
    person: ADA,
    config: {
      accessTtlSeconds: 600,
      refreshTtlSeconds: 86_400,
      registration: "open",
      clientDocuments: false,
      ...given,
    },
    skewMs: 0,
    certificate: undefined,
    peopleIssuer: undefined,
  };
  const faults: unknown[] = [];
  context.after(() => {
    for (const fault of faults) console.error(fault);
  });
  let address = "";
  const now = () => new Date(Date.now() + state.skewMs);
  const open = () =>
    createAuthorizationServer({
      store: createOAuthStore(store.db),
      keyring,
      audit: audit.log,
      throttle: createAuthThrottle(),
      persons: { current: () => state.person, loginUrl: (to) => `/console/login?return=${encodeURIComponent(to)}` },
      publicUrl: () => address,
      oauth: () => state.config,
      agentOf: (name) => agents.get(name),
      killOf: ({ agent }: Principal) => (killed.has(agent) ? { target: `agent:${agent}`, setBy: "owner" } : undefined),
      certificateOf: () => state.certificate,
      fetchDocument: async (url) => {
        const document = documents.get(`${url.origin}${url.basePath}`);
        if (document === undefined) throw new Problem("upstream_unreachable");
        return Buffer.from(JSON.stringify(document));
      },
      assertions: {
        keys: createIssuerKeys(async ({ jwks }) =>
          Buffer.from(JSON.stringify(documents.get(jwks.kind === "file" ? jwks.path : jwks.url.basePath))),
        ),
        peopleIssuer: () => state.peopleIssuer,
      },
      fault: (error) => faults.push(error),
      now,
    });
  let server = await open();

  const prove = (request: IncomingMessage): Authentication | Promise<Authentication> => {
    const token = /^(?:Bearer|DPoP) (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const path = request.url ?? "";
    const resource = path.startsWith("/api/") ? "/api" : path;
    const certificate = state.certificate === "refused" ? undefined : state.certificate;
    const stated = request.headers["doorward-purpose"];
    const purpose = typeof stated === "string" ? stated : undefined;
    const proof = { token, ip: "127.0.0.1", purpose, task: undefined, now: now(), resource, certificate };
    return server.verifier.verify(token, { ...proof, http: request }) ?? FOREIGN;
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const id = newId("req");
      if (await server.endpoint(request, response, { requestId: id, ip: "127.0.0.1" })) return;
      const answer = await prove(request);
      response.writeHead(answer.ok ? 200 : 401, { "content-type": "application/json" });
      response.end(
        JSON.stringify(
          answer.ok ? answer.principal : { reason: answer.reason, proof: answer.proof, kill: answer.kill },
        ),
      );
    } catch (error) {
      const status = error instanceof Problem ? error.status : 500;
      if (!(error instanceof Problem)) faults.push(error);
      response.writeHead(status).end(error instanceof Problem ? error.code : "");
    }
  };
  const http = createServer((request, response) => void serve(request, response));
  await new Promise<void>((done) => void http.listen(0, "127.0.0.1", done));
  context.after(() => {
    http.closeAllConnections();
    http.close();
  });
  address = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  const post = async (path: string, form: Record<string, string>, headers: Record<string, string> = {}) => {
    const response = await fetch(address + path, { method: "POST", body: new URLSearchParams(form), headers });
    const text = await response.text();
    // biome-ignore lint/suspicious/noExplicitAny: tests look into what came.
    return { status: response.status, headers: response.headers, body: (text === "" ? {} : JSON.parse(text)) as any };
  };
  return {
    store,
    audit,
    agents,
    killed,
    documents,
    state,
    faults,
    post,
    address,
    get server() {
      return server;
    },
    async restart() {
      await store.reopen();
      server = await open();
    },
    call: async (token: string, path = "/mcp", headers: Record<string, string> = {}) => {
      const response = await fetch(address + path, { headers: { authorization: `Bearer ${token}`, ...headers } });
      // biome-ignore lint/suspicious/noExplicitAny: tests look into what came.
      return { status: response.status, body: (await response.json()) as any };
    },
    issue: (agent = "dns-bot") =>
      server.clients.issue({
        agent,
        auth: "client_secret_basic",
        jwks: undefined,
        subject: undefined,
        by: "owner",
        now: now(),
      }),
  };
}

const FOREIGN: Authentication = { ok: false, reason: "foreign", agent: undefined, keyId: undefined };

export function basic(id: string, secret: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` };
}

/** A PKCE pair (RFC 7636). */
export function pkce() {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

/** A browser that keeps cookies and follows redirects on the server alone. */
export function browser(address: string) {
  const cookies = new Map<string, string>();
  const go = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(new URL(url, address), {
      redirect: "manual",
      ...init,
      headers: {
        accept: "text/html",
        ...(init.headers as Record<string, string>),
        ...(cookie === "" ? {} : { cookie }),
      },
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      const equals = pair.indexOf("=");
      if (/expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(pair.slice(0, equals));
      else cookies.set(pair.slice(0, equals), pair.slice(equals + 1));
    }
    return response;
  };
  const follow = async (response: Response): Promise<Response> => {
    let at = response;
    for (let hops = 0; hops < 10; hops++) {
      const location = at.headers.get("location");
      if (location === null || !new URL(location, address).href.startsWith(address)) return at;
      if (location.includes("/console/login")) return at;
      await at.arrayBuffer();
      at = await go(location);
    }
    throw new Error("too many redirects");
  };
  return { cookies, go, follow };
}

/** Answers the consent page. @returns Where the browser is sent then. */
export async function consent(
  tab: ReturnType<typeof browser>,
  page: Response,
  answer: "allow" | "deny",
): Promise<string> {
  const text = await page.text();
  const token = /name="token" value="([^"]+)"/.exec(text)?.[1];
  if (token === undefined) throw new Error(`no consent page: ${page.status} ${text.slice(0, 500)}`);
  const answered = await tab.go(page.url, { method: "POST", body: new URLSearchParams({ token, answer }) });
  const last = await tab.follow(answered);
  return last.headers.get("location") ?? `${last.status} ${await last.text()}`;
}
