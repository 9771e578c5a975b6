import assert from "node:assert/strict";
import { test } from "node:test";
import { holdRequest, testPrincipal } from "../approvals/hold-request.testing.ts";
import { softwareAuthenticator } from "../oauth/authenticator.testing.ts";
import { formOf, type Seen, testBrowser, testConsole } from "./console.testing.ts";

test("an approver signs in with a link, sees the whole call and approves it, by name", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  const { browser, page } = await stage.signedIn("approver", "alice");
  assert.match(page.text, /Waiting \(1\)/);
  assert.match(page.text, /alice \(approver\)/);
  const shown = await browser.get(`/console/approvals/${approval.id}`);
  for (const part of ["DELETE", "registrar.example", "total", approval.digest, "level 0"])
    assert.ok(shown.text.includes(part), part);
  const done = await browser.press(shown, "Approve", { why: "is fine" });
  assert.match(done.text, /granted by user:alice: is fine/);
  const event = stage.audit.events.findLast(({ type }) => type === "approval.granted");
  assert.equal(event?.data?.["by"], "user:alice");
  assert.equal((await stage.approvals.get(approval.id, stage.clock.now))?.status, "granted");
});

test("what an agent wrote is text on the page, whatever it is", async (context) => {
  const stage = await testConsole(context);
  const evil = `<script>alert(1)</script>"><img src=x onerror=y>\u202egnp`;
  const request = { method: "POST", url: `https://api.example/${evil}`, headers: [`x: ${evil}`], body: evil };
  const { approval } = await stage.approvals.hold(
    holdRequest({ message: evil, request, preview: { [evil]: evil }, service: evil, operation: evil }),
  );
  const { browser, page } = await stage.signedIn("owner");
  for (const seen of [page, await browser.get(`/console/approvals/${approval.id}`)]) {
    assert.ok(!seen.text.includes("<script>alert"));
    assert.ok(!seen.text.includes("<img"));
    assert.ok(!seen.text.includes("\u202e"));
    assert.equal(seen.text.match(/<script/g)?.length, 1);
  }
});

test("every page is frame-proof, without inline script, and not kept", async (context) => {
  const stage = await testConsole(context);
  const { browser } = await stage.signedIn("owner");
  for (const path of [
    "/console/",
    "/console/kills",
    "/console/me",
    "/console/nothing",
    "/console/style.css",
    "/console/console.js",
  ]) {
    const { headers, text } = await browser.get(path);
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!policy.includes("unsafe"));
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("cache-control"), "no-store");
    if (path !== "/console/console.js")
      assert.ok(!/<script(?! src="\/console\/console\.js")|\son\w+=|style="/.test(text), path);
  }
});

for (const [role, may] of Object.entries({
  owner: { approve: true, kill: true },
  approver: { approve: true, kill: false },
  operator: { approve: false, kill: true },
  auditor: { approve: false, kill: false },
} as const)) {
  test(`${role}: what may be done, also with a form that was never shown`, async (context) => {
    const stage = await testConsole(context);
    const { approval } = await stage.approvals.hold(holdRequest());
    const { browser } = await stage.signedIn(role as "owner", "alice");
    const seen = await browser.get(`/console/approvals/${approval.id}`);
    const kills = await browser.get("/console/kills");
    assert.equal(/>Approve</.test(seen.text), may.approve);
    assert.equal(/>Stop it now</.test(kills.text), may.kill);
    const form = formOf(seen, "Sign out").fields["form"]!;
    const kill = await browser.post("/console/act", { form, action: "kill.set", target: "agent:dns-bot", why: "test" });
    assert.equal(kill.status, may.kill ? 200 : 403);
    assert.equal(stage.kills.list().length, may.kill ? 1 : 0);
    const fields = { form, action: "approvals.approve", id: approval.id, digest: approval.digest };
    const approved = await browser.post("/console/act", fields);
    assert.equal(approved.status, may.approve ? 200 : 403);
    assert.equal(
      (await stage.approvals.get(approval.id, stage.clock.now))?.status,
      may.approve ? "granted" : "pending",
    );
    const refusals = stage.audit.events.filter(({ data }) => data?.["reason"] === "role");
    assert.deepEqual(
      refusals.map(({ user }) => user),
      Array(Number(!may.approve) + Number(!may.kill)).fill("user:alice"),
    );
  });
}

test("a kill is set and lifted, by name", async (context) => {
  const stage = await testConsole(context);
  const { browser } = await stage.signedIn("operator", "olga");
  const killed = await browser.press(await browser.get("/console/kills"), "Stop it now", {
    target: "agent:dns-bot",
    why: "too much",
  });
  assert.match(killed.text, /Stopped by user:olga .*too much/);
  const lifted = await browser.press(killed, "Let it go on", { why: "fixed" });
  assert.match(lifted.text, /Nothing is stopped/);
});

test("a form of another session, another site or nobody does nothing", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  const { browser } = await stage.signedIn("owner");
  const { browser: other } = await stage.signedIn("owner");
  const { fields } = formOf(await browser.get(`/console/approvals/${approval.id}`), "Approve");
  const foreign = formOf(await other.get(`/console/approvals/${approval.id}`), "Approve").fields;
  const refused: readonly (readonly [Promise<Seen>, number])[] = [
    [browser.post("/console/act", foreign), 403],
    [browser.post("/console/act", { ...fields, form: "" }), 403],
    [browser.post("/console/act", fields, { origin: "https://evil.example" }), 403],
    [browser.post("/console/act", fields, { origin: "null" }), 403],
    [browser.post("/console/act", fields, { "sec-fetch-site": "cross-site" }), 403],
    [testBrowser(stage.url).post("/console/act", fields), 401],
    [browser.post("/console/act", { ...fields, digest: "0".repeat(64) }), 400],
    [browser.post("/console/act", { ...fields, action: "secret.set" }), 400],
    [browser.post("/console/act", { ...fields, for: "1y" }), 400],
    [browser.post("/console/act", fields, { "content-type": "text/plain" }), 400],
  ];
  for (const [answer, status] of refused) assert.equal((await answer).status, status);
  assert.equal((await stage.approvals.get(approval.id, stage.clock.now))?.status, "pending");
});

test("where the rule wants another person, the agent's own user does not count; nobody counts twice", async (context) => {
  const stage = await testConsole(context);
  const principal = testPrincipal({ user: "user:alice" });
  const { approval } = await stage.approvals.hold(holdRequest({ principal, separate: true, quorum: 2 }));
  const path = `/console/approvals/${approval.id}`;
  const { browser: alice } = await stage.signedIn("approver", "alice");
  assert.equal((await alice.press(await alice.get(path), "Approve")).status, 403);
  const { browser: bob } = await stage.signedIn("approver", "bob");
  assert.match((await bob.press(await bob.get(path), "Approve")).text, /1 of 2/);
  assert.equal((await bob.press(await bob.get(path), "Approve")).status, 400);
  const { browser: carol } = await stage.signedIn("approver", "carol");
  assert.match((await carol.press(await carol.get(path), "Approve")).text, /granted/);
});

test("nobody signed in sees only where to sign in; a link leads back", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  const browser = testBrowser(stage.url);
  const page = await browser.get(`/console/approvals/${approval.id}`);
  assert.match(page.url, /\/console\/login\?return=/);
  assert.ok(page.text.includes(`doorward approvals approve ${approval.id}`));
  assert.ok(!page.text.includes(approval.message));
});

test("a link is used once, not by a preview, and its uses are evidence", async (context) => {
  const stage = await testConsole(context);
  const { token } = await stage.people.links.make({ role: "owner", name: undefined, ttlSeconds: 60, by: "owner" });
  const url = `${stage.url}/console/link/${token}`;
  assert.equal((await fetch(url, { method: "HEAD" })).status, 405);
  assert.equal((await fetch(url, { headers: { "sec-purpose": "prefetch" } })).status, 405);
  const answers = await Promise.all(Array.from({ length: 100 }, () => fetch(url, { redirect: "manual" })));
  assert.equal(answers.filter(({ status }) => status === 303).length, 1);
  assert.equal(answers.filter(({ status }) => status === 403).length, 99);
  assert.equal(answers.filter(({ headers }) => headers.has("set-cookie")).length, 1);
  assert.equal(stage.audit.events.filter(({ type }) => type === "token.refused").length, 99);
});

test("coming from another site, the browser is sent on once and its cookie counts", async (context) => {
  const stage = await testConsole(context);
  const page = await testBrowser(stage.url).get("/console/kills", { "sec-fetch-site": "cross-site" });
  assert.match(page.url, /\/console\/login/);
  const { browser } = await stage.signedIn("auditor");
  const seen = await browser.get("/console/kills", { "sec-fetch-site": "cross-site" });
  assert.match(seen.url, /\/console\/kills$/);
});

test("the owner and auditors see who is signed in; others see themselves", async (context) => {
  const stage = await testConsole(context);
  await stage.signedIn("operator", "olga");
  const { browser: auditor } = await stage.signedIn("auditor", "ada");
  const { browser: approver } = await stage.signedIn("approver", "alice");
  assert.match((await auditor.get("/console/me")).text, /user:olga/);
  assert.doesNotMatch((await approver.get("/console/me")).text, /user:olga/);
});

test("signing out ends the session, not only the cookie", async (context) => {
  const stage = await testConsole(context);
  const { browser, page } = await stage.signedIn("owner");
  const kept = new Map(browser.cookies);
  assert.match((await browser.press(page, "Sign out")).url, /\/console\/login$/);
  assert.equal(browser.cookies.size, 0);
  for (const [name, value] of kept) browser.cookies.set(name, value);
  assert.match((await browser.get("/console/me")).url, /\/console\/login/);
});

for (const path of [
  "//evil.example/",
  "/\\evil.example",
  "https://evil.example/",
  "/api/x",
  "/console/../api/x",
  "/console/link/x",
  "/console/%2e%2e/%2e%2e/api",
]) {
  test(`a sign-in does not lead to ${path}`, async (context) => {
    const stage = await testConsole(context);
    const { browser } = await stage.signedIn("auditor");
    const page = await browser.get(`/console/login?return=${encodeURIComponent(path)}`);
    assert.match(page.url, /\/console\/$/);
  });
}

/** What the console's script does with a form that needs a passkey. */
async function pressWithPasskey(
  stage: Awaited<ReturnType<typeof testConsole>>,
  browser: ReturnType<typeof testBrowser>,
  page: Seen,
  label: string,
  device: ReturnType<typeof softwareAuthenticator>,
  filled: { readonly asked?: Record<string, string>; readonly sent?: Record<string, string> } = {},
) {
  const { action, fields, passkey } = formOf(page, label);
  assert.equal(passkey, action.endsWith("/add") ? "create" : "use");
  const step = passkey === "create" ? "creation" : "request";
  const options = await browser.post(`/console/passkey/${step}`, { ...fields, ...filled.asked });
  assert.equal(options.status, 200, options.text);
  const { challenge } = JSON.parse(options.text) as { challenge: string };
  const made = passkey === "create" ? device.create(challenge, stage.site) : device.get(challenge, stage.site);
  const texts = Object.entries(made).map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64url")]);
  const answer = JSON.stringify({ id: device.id, ...Object.fromEntries(texts) });
  const sent = { ...fields, ...filled.asked, ...filled.sent, passkey: answer };
  return { page: await browser.post(action, sent), sent };
}

test("at level 1 an answer needs the passkey, made after a link, for exactly this answer, once", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  const { approval: second } = await stage.approvals.hold(holdRequest({ digest: "e".repeat(64) }));
  stage.clock.level = 1;
  const device = softwareAuthenticator();
  const { browser } = await stage.signedIn("owner");
  await pressWithPasskey(stage, browser, await browser.get("/console/me"), "Add a passkey", device);
  const page = await browser.get(`/console/approvals/${approval.id}`);
  const { fields } = formOf(page, "Approve");
  assert.equal((await browser.post("/console/act", fields)).status, 403);
  const other = await pressWithPasskey(stage, browser, page, "Approve", device, {
    sent: { id: second.id, digest: second.digest },
  });
  assert.equal(other.page.status, 403);
  const longer = await pressWithPasskey(stage, browser, page, "Approve", device, { sent: { for: "8h" } });
  assert.equal(longer.page.status, 403);
  assert.equal((await stage.approvals.get(approval.id, stage.clock.now))?.status, "pending");
  const done = await pressWithPasskey(stage, browser, page, "Approve", device);
  assert.match(done.page.text, /granted by owner/);
  assert.equal((await browser.post("/console/act", done.sent)).status, 403);
  assert.equal((await stage.approvals.get(second.id, stage.clock.now))?.status, "pending");
});

test("at level 1 another person's passkey proves nothing, nor one of a lesser role", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  stage.clock.level = 1;
  const mine = softwareAuthenticator();
  const { browser: mallory } = await stage.signedIn("approver", "mallory");
  await pressWithPasskey(stage, mallory, await mallory.get("/console/me"), "Add a passkey", mine);
  const { browser: alice } = await stage.signedIn("approver", "alice");
  const page = await alice.get(`/console/approvals/${approval.id}`);
  assert.equal((await pressWithPasskey(stage, alice, page, "Approve", mine)).page.status, 403);
  const auditors = softwareAuthenticator();
  const { browser: auditor } = await stage.signedIn("auditor", "alice");
  await pressWithPasskey(stage, auditor, await auditor.get("/console/me"), "Add a passkey", auditors);
  assert.equal((await pressWithPasskey(stage, alice, page, "Approve", auditors)).page.status, 403);
  assert.equal((await stage.approvals.get(approval.id, stage.clock.now))?.status, "pending");
});

test("a person signs in with a passkey, with the role that it was made in", async (context) => {
  const stage = await testConsole(context);
  const device = softwareAuthenticator();
  const { browser } = await stage.signedIn("approver", "alice");
  await pressWithPasskey(stage, browser, await browser.get("/console/me"), "Add a passkey", device);
  const fresh = testBrowser(stage.url);
  const signedIn = await pressWithPasskey(
    stage,
    fresh,
    await fresh.get("/console/kills"),
    "Sign in with a passkey",
    device,
  );
  assert.match(signedIn.page.text, /alice \(approver\)/);
  assert.match(signedIn.page.url, /\/console\/kills$/);
});

test("a session that is not fresh makes no passkey", async (context) => {
  const stage = await testConsole(context);
  const { browser } = await stage.signedIn("owner");
  const { fields } = formOf(await browser.get("/console/me"), "Add a passkey");
  stage.clock.now = new Date(stage.clock.now.getTime() + 600_000);
  assert.equal((await browser.post("/console/passkey/creation", fields)).status, 403);
  assert.doesNotMatch((await browser.get("/console/me")).text, /Add a passkey/);
});

test("at an IP address the page says where passkeys work", async (context) => {
  const stage = await testConsole(context);
  const { approval } = await stage.approvals.hold(holdRequest());
  stage.clock.level = 1;
  const { token } = await stage.people.links.make({ role: "owner", name: undefined, ttlSeconds: 60, by: "owner" });
  const browser = testBrowser(stage.url.replace("localhost", "127.0.0.1"));
  await browser.get(`/console/link/${token}`);
  const page = await browser.get(`/console/approvals/${approval.id}`);
  assert.ok(page.text.includes(`${stage.url}/console/approvals/${approval.id}`));
  assert.doesNotMatch(page.text, />Approve</);
});

test("at 127.0.0.1 the sign-in leads to localhost for a passkey, unless a program's question waits here", async (context) => {
  const stage = await testConsole(context);
  const browser = testBrowser(stage.url.replace("localhost", "127.0.0.1"));
  const link = /<a href="http:\/\/localhost:\d+\/console\/login\?return=%2Fconsole%2Fme">Sign in with a passkey/;
  assert.match((await browser.get("/console/login?return=%2Fconsole%2Fme")).text, link);
  const asked = await browser.get("/console/login?return=%2Foauth%2Finteraction%2Fx");
  assert.ok(!asked.text.includes("http://localhost"), asked.text);
});
