/** A person signs in, with a browser, at an MCP server elsewhere; the agent's calls go with that person's token, which nobody else sees. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { browse, startLoginProvider, startLoginResource } from "../../src/upstreams/login-provider.testing.ts";
import { AGENT, openServerStage, type ServerStage, textOf } from "./stage.testing.ts";

interface Begun {
  readonly login: string;
  readonly url: string;
}

async function staged(t: TestContext) {
  const provider = await startLoginProvider(t);
  const resource = await startLoginResource(t, provider);
  const stage = await openServerStage({
    services: () => `  notes:
    mcp: { url: "${resource.origin}/mcp" }
    private: true
    credential: { kind: oauth2 }
    operations: { all: { effect: read, tools: ["*"] } }
`,
  });
  t.after(() => stage[Symbol.asyncDispose]());
  return { provider, resource, stage };
}

const begin = ({ home }: ServerStage) => home.json<Begun>(["service", "login", "notes", "--no-wait"]);

/** Opens the link and answers over there. @returns Where that sends the browser, and the cookie that it has from here. */
async function goThere(stage: ServerStage, url: string) {
  const opened = await fetch(url, { redirect: "manual" });
  assert.equal(opened.status, 303);
  const [cookie = ""] = (opened.headers.getSetCookie()[0] ?? "").split(";");
  const answer = await browse(opened.headers.get("location") ?? "", `${stage.daemon().url}/oauth/upstream/callback`);
  return { answer, cookie };
}

/** Opens the link, signs in over there, and comes back. */
async function signIn(stage: ServerStage): Promise<Response> {
  const { url } = await begin(stage);
  const { answer, cookie } = await goThere(stage, url);
  const strange = await fetch(answer);
  assert.equal(strange.status, 400, "another browser finishes the sign-in");
  const done = await fetch(answer, { headers: { cookie } });
  assert.equal((await fetch(answer, { headers: { cookie } })).status, 400, "an answer counts twice");
  return done;
}

test("a person signs in once; calls work, after a restart too, until the service is killed", async (t) => {
  const { provider, resource, stage } = await staged(t);
  await assert.rejects(stage.connect("/mcp/notes"), /secret_unavailable: .*doorward service login notes/);
  assert.deepEqual(resource.callers, []);

  const done = await signIn(stage);
  assert.equal(done.status, 200);
  assert.match(done.headers.get("content-security-policy") ?? "", /frame-ancestors 'none'/);
  const page = await done.text();
  assert.match(page, /Signed in/);
  assert.doesNotMatch(page, /code=|state=/);

  const signedIn = await stage.connect("/mcp/notes");
  assert.equal(await textOf(signedIn, "echo", { a: "b" }), '{"a":"b"}');
  const [login] = await stage.home.json<readonly Record<string, unknown>[]>(["service", "logins"]);
  assert.equal(login?.["service"], "notes");
  assert.equal(login?.["renewable"], true);

  await stage.restart();
  assert.equal(await textOf(await stage.connect("/mcp/notes"), "echo", { c: "d" }), '{"c":"d"}');
  assert.deepEqual([...new Set(resource.callers)], ["ada"]);
  assert.ok(resource.seen.every(({ headers }) => !JSON.stringify(headers).includes(stage.home.key(AGENT))));

  const tokens = resource.seen.flatMap(({ headers }) => headers.authorization?.replace(/^Bearer /, "") ?? []);
  const evidence = JSON.stringify(stage.evidence());
  assert.ok(tokens.length > 0 && tokens.every((token) => !evidence.includes(token)));
  assert.ok(!stage.daemon().said().includes(tokens[0]!));

  const killed = await stage.home.json<{ readonly tokens_revoked: number }>(["kill", "service:notes", "--why", "test"]);
  assert.equal(killed.tokens_revoked, 1);
  assert.deepEqual(await stage.home.json(["service", "logins"]), []);
  const refused = await stage.home.cli(["service", "login", "notes", "--no-wait"]);
  assert.notEqual(refused.status, 0);
  assert.equal(stage.evidence().filter(({ type }) => type === "token.revoked").length, 1);
  assert.ok(provider.seen.some(({ path }) => path.startsWith("/token/revocation")));
});

test("the command waits for the person, and says what went wrong", async (t) => {
  const { provider, stage } = await staged(t);
  provider.facts.refuses = true;
  const { login, url } = await begin(stage);
  assert.match(login, /^lgn_/);
  const { answer, cookie } = await goThere(stage, url);
  const page = await fetch(answer, { headers: { cookie } });
  assert.equal(page.status, 400);
  assert.match(await page.text(), /did not succeed/);
  assert.equal(stage.evidence().filter(({ type }) => type === "token.refused").length, 1);
  const head = await fetch(url, { method: "HEAD" });
  assert.equal(head.status, 405);
  const used = await fetch(url);
  assert.equal(used.status, 400);
});
