/**
 * The law of what is good once: of 100 parallel uses of one code, refresh token, approval, console link, registration token
 * or proof exactly one succeeds, a hundred rounds of each, and the evidence has exactly one success per round too.
 */
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { after, before, describe, test } from "node:test";
import { dpopProof, signer } from "../../src/oauth/jwt.testing.ts";
import { pkce } from "../../src/oauth/oauth.testing.ts";
import { type Browser, signIn } from "../clients/browser.testing.ts";
import { makeHome, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { administer, type EvidenceLine, readEvidence, startStage } from "./stage.testing.ts";

const ROUNDS = 100;
const USES = 100;

/** The tests say whose address each round comes from: what an address may do in a minute is another law. */
const config = (url: string) => `version: 1
server: { trusted_proxies: ["127.0.0.1/32"] }
services:
  api:
    url: ${url}
    private: true
    operations:
      items:read: { effect: read, allow: ["GET /items/{id}"] }
      items:delete: { effect: destructive, allow: ["DELETE /items/{id}"], approval: { message: "Delete {path.id}" } }
roles: { editor: { allow: ["api:*"] } }
agents: { bot: { roles: [editor] } }
`;

interface Answer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents of the wire, judged field by field.
  readonly json: any;
}

interface Ask {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly form?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const stack = new AsyncDisposableStack();
const agent = new Agent({ keepAlive: true, maxSockets: USES });
let home: TestHome;
let daemon: TestDaemon;
let upstream: Double;
let browser: Browser;
let address = 0;

before(async () => {
  upstream = stack.use(await startDouble((_, response) => replyJson(response, 200, { deleted: true })));
  home = stack.use(await makeHome({ config: config(upstream.url), agents: ["bot"] }));
  daemon = stack.use(await startStage(home));
  browser = await signIn(home);
});
after(async () => {
  agent.destroy();
  await stack.disposeAsync();
});

/** One request, over one of the sockets that all of them share. */
function send({ path, method = "POST", headers = {}, form, body }: Ask): Promise<Answer> {
  const sent = form === undefined ? body : new URLSearchParams(form).toString();
  const type = form === undefined ? "application/json" : "application/x-www-form-urlencoded";
  const from = `10.1.${address >> 8}.${address & 255}`;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asked = request(
    daemon.url + path,
    {
      agent,
      method,
      headers: {
        "x-forwarded-for": from,
        ...(sent === undefined ? {} : { "content-type": type, "content-length": Buffer.byteLength(sent) }),
        ...headers,
      },
    },
    (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject).on("end", () => {
        const isJson = response.headers["content-type"]?.includes("json") === true;
        resolve({ status: response.statusCode ?? 0, text, json: isJson ? JSON.parse(text) : {} });
      });
    },
  );
  asked.on("error", reject).end(sent);
  return promise;
}

/** Makes a thing and uses it {@link USES} times at once, {@link ROUNDS} times over. */
async function rounds<T>(law: {
  readonly make: () => Promise<T>;
  readonly use: (thing: T) => Ask;
  readonly succeeded: (answer: Answer) => boolean;
  readonly refused: (answer: Answer) => boolean;
  /** What holds after each round. */
  readonly afterwards?: (thing: T, winner: Answer) => Promise<void>;
}): Promise<void> {
  for (let round = 1; round <= ROUNDS; round++) {
    address += 1;
    const thing = await law.make();
    const answers = await Promise.all(Array.from({ length: USES }, () => send(law.use(thing))));
    const winners = answers.filter(law.succeeded);
    assert.equal(winners.length, 1, `round ${round}: ${JSON.stringify(tally(answers))}`);
    const odd = answers.filter((answer) => !law.succeeded(answer) && !law.refused(answer));
    assert.equal(odd.length, 0, `round ${round}: ${JSON.stringify(odd[0])}`);
    await law.afterwards?.(thing, winners[0]!);
  }
}

function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, json } of answers) {
    const what = `${status} ${json?.error ?? json?.code ?? ""}`;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
}

const REDIRECT = "/cb";

async function registerPublic(): Promise<string> {
  const metadata = { redirect_uris: [upstream.url + REDIRECT], token_endpoint_auth_method: "none" };
  const { status, json } = await send({ path: "/oauth/register", body: JSON.stringify(metadata) });
  assert.equal(status, 201, JSON.stringify(json));
  return json.client_id;
}

/** A code that a person just allowed. @returns The form that redeems it. */
async function codeFor(client: string): Promise<Record<string, string>> {
  const { verifier, challenge } = pkce();
  const query = new URLSearchParams({
    client_id: client,
    response_type: "code",
    redirect_uri: upstream.url + REDIRECT,
    code_challenge: challenge,
    code_challenge_method: "S256",
  });
  await (await browser.consent(`${daemon.url}/oauth/authorize?${query}`)).text();
  const code = new URLSearchParams(upstream.received.at(-1)?.url.split("?")[1]).get("code");
  assert.ok(code !== null);
  return {
    grant_type: "authorization_code",
    code,
    redirect_uri: upstream.url + REDIRECT,
    code_verifier: verifier,
    client_id: client,
  };
}

const tokenRequest = (form: Record<string, string>): Ask => ({ path: "/oauth/token", form });
const isIssued = ({ status, json }: Answer) => status === 200 && typeof json.access_token === "string";
const isInvalidGrant = ({ status, json }: Answer) => status === 400 && json.error === "invalid_grant";

/** A use that comes later is a thief's: it ends what the first one gave. */
async function endsAll(form: Record<string, string>, { json }: Answer): Promise<void> {
  assert.ok(isInvalidGrant(await send(tokenRequest(form))));
  const { client_id = "" } = form;
  const seen = await send({ path: "/oauth/introspect", form: { token: json.access_token, client_id } });
  assert.deepEqual(seen.json, { active: false });
  const next = { grant_type: "refresh_token", refresh_token: json.refresh_token, client_id };
  assert.ok(isInvalidGrant(await send(tokenRequest(next))));
}

function issued(client: string, kind: string): number {
  const fits = (event: EvidenceLine) =>
    event.type === "token.issued" && event["client"] === client && event["kind"] === kind;
  return readEvidence(home.home).filter(fits).length;
}

describe(`of ${USES} parallel uses exactly one succeeds, ${ROUNDS} rounds`, { timeout: 170_000 }, () => {
  test("a code", async () => {
    const client = await registerPublic();
    await rounds({
      make: () => codeFor(client),
      use: tokenRequest,
      succeeded: isIssued,
      refused: isInvalidGrant,
      afterwards: endsAll,
    });
    assert.deepEqual([issued(client, "oauth"), issued(client, "refresh")], [ROUNDS, ROUNDS]);
  });

  test("a refresh token", async () => {
    const client = await registerPublic();
    await rounds({
      async make() {
        const { json } = await send(tokenRequest(await codeFor(client)));
        return { grant_type: "refresh_token", refresh_token: String(json.refresh_token), client_id: client };
      },
      use: tokenRequest,
      succeeded: isIssued,
      refused: isInvalidGrant,
      afterwards: endsAll,
    });
    assert.deepEqual([issued(client, "oauth"), issued(client, "refresh")], [2 * ROUNDS, 2 * ROUNDS]);
  });

  test("an approval", async () => {
    const call: Ask = {
      path: "/api/api/items/1",
      method: "DELETE",
      headers: { authorization: `Bearer ${home.key("bot")}` },
    };
    const ids = new Set<string>();
    const isHeld = ({ status, json }: Answer) => status === 403 && json.code === "approval_required";
    const hits = upstream.received.length;
    await rounds({
      async make() {
        const held = await send(call);
        assert.ok(isHeld(held), held.text);
        await administer(home, "approvals.approve", { id: held.json.approval_id, why: "law" });
        ids.add(held.json.approval_id);
      },
      use: () => call,
      succeeded: ({ status }) => status === 200,
      refused: isHeld,
    });
    assert.equal(ids.size, ROUNDS);
    assert.equal(upstream.received.length - hits, ROUNDS);
    const used = readEvidence(home.home).filter(({ type }) => type === "approval.used");
    assert.deepEqual(new Set(used.map((event) => event["approval_id"])), ids);
    assert.equal(used.length, ROUNDS);
  });

  test("a one-time link to the console", async () => {
    const people: string[] = [];
    await rounds({
      async make() {
        const link = await administer<{ url: string; person: string }>(home, "person.link", { role: "approver" });
        people.push(link.person);
        return new URL(link.url).pathname;
      },
      use: (path) => ({ path, method: "GET" }),
      succeeded: ({ status }) => status === 303,
      refused: ({ status }) => status === 403,
    });
    const sessions = readEvidence(home.home).filter(
      (event) => event.type === "token.issued" && event["kind"] === "session" && people.includes(String(event["user"])),
    );
    assert.equal(sessions.length, ROUNDS);
    assert.equal(new Set(sessions.map((event) => event["user"])).size, ROUNDS);
  });

  test("a registration token with one use", async () => {
    await rounds({
      async make() {
        const order = { name: "ci", roles: ["editor"], uses: 1, ttl_seconds: 600 };
        const made = await administer<{ registration_token: string }>(home, "agent.registration-token", order);
        return made.registration_token;
      },
      use: (token) => ({
        path: "/oauth/register",
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ redirect_uris: [upstream.url + REDIRECT] }),
      }),
      succeeded: ({ status }) => status === 201,
      refused: ({ status, json }) => status === 401 && json.error === "invalid_token",
    });
    const { clients } = await administer<{ clients: readonly { agent: string | null }[] }>(home, "agent.clients");
    assert.equal(clients.filter(({ agent }) => agent === "ci").length, ROUNDS);
  });

  describe("a proof of possession", () => {
    const key = signer();
    let client: { readonly client_id: string; readonly client_secret: string };
    const basic = () => `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString("base64")}`;
    const ask = (proof: string): Ask => ({
      path: "/oauth/token",
      headers: { authorization: basic(), dpop: proof },
      form: { grant_type: "client_credentials", resource: `${daemon.url}/api` },
    });
    const proofFor = async () => dpopProof(key, { method: "POST", url: `${daemon.url}/oauth/token` });
    before(async () => {
      client = await home.json(["agent", "client", "bot"]);
    });

    test("for a token", async () => {
      await rounds({ make: proofFor, use: ask, succeeded: isIssued, refused: isInvalidGrant });
      assert.equal(issued(client.client_id, "oauth"), ROUNDS);
    });

    test("with a call", async () => {
      const { json } = await send(ask(await proofFor()));
      const token = String(json.access_token);
      const hits = upstream.received.length;
      await rounds({
        make: async () => dpopProof(key, { method: "GET", url: `${daemon.url}/api/api/items/1`, token }),
        use: (proof) => ({
          path: "/api/api/items/1",
          method: "GET",
          headers: { authorization: `DPoP ${token}`, dpop: proof },
        }),
        succeeded: ({ status }) => status === 200,
        refused: ({ status, json: { code } }) => status === 401 && code === "invalid_dpop_proof",
      });
      assert.equal(upstream.received.length - hits, ROUNDS);
    });
  });

  test("and the evidence of it all verifies", async () => {
    const { ok } = await home.json<{ ok: boolean }>(["audit", "verify"]);
    assert.equal(ok, true);
  });
});
