import { generateKeyPairSync } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** What the untyped package is to a test. */
// biome-ignore lint/suspicious/noExplicitAny: the package has no types of its own, and the test uses little of it.
type Foreign = any;

export const CLIENT = { id: "doorward", secret: "provider-secret-8d1f" } as const;

/** A company's OpenID provider: another oidc-provider, where `login.as` is who sits at the browser. */
export async function foreignProvider(context: TestContext, callback: string) {
  const login = {
    as: "alice",
    groups: ["admins"] as unknown,
    name: "Alice Liddell",
    /** Bends what is sent. */
    bend: undefined as ((path: string, body: string) => string) | undefined,
    refuse: false,
  };
  const seen: { readonly path: string; readonly authorization: string | undefined; readonly body: string }[] = [];
  let provider: Foreign;
  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { Provider } = (await import("oidc-provider")) as Foreign;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  provider = new Provider(issuer, {
    clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [callback] }],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: "one" }] },
    cookies: { keys: ["test"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
    scopes: ["openid", "profile", "groups"],
    pkce: { required: () => true },
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, name: login.name, groups: login.groups }),
    }),
    async loadExistingGrant(ctx: Foreign) {
      const grant = new provider.Grant({ clientId: CLIENT.id, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid profile groups");
      await grant.save();
      return grant;
    },
  });
  const callbackOf = provider.callback();

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const path = request.url ?? "";
    if (path.startsWith("/interaction/")) {
      const answer = login.refuse ? { error: "access_denied" } : { login: { accountId: login.as } };
      await provider.interactionFinished(request, response, answer, { mergeWithLastSubmission: false });
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString("utf8");
    seen.push({ path, authorization: request.headers.authorization, body });
    (request as { body?: unknown }).body = Object.fromEntries(new URLSearchParams(body));
    const { bend } = login;
    if (bend !== undefined) {
      const end = response.end.bind(response);
      response.end = ((chunk?: unknown) => {
        const text = bend(path.split("?", 1)[0]!, chunk === undefined ? "" : String(chunk));
        if (!response.headersSent) response.setHeader("content-length", Buffer.byteLength(text));
        return end(text);
      }) as typeof response.end;
    }
    callbackOf(request, response);
  }
  return { issuer, login, seen };
}
