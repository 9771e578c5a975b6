/** The console and the consent page in a real browser: with mouse, keyboard and passkey, and without script. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { NO_TERMINAL, typeInto } from "../harness/terminal.testing.ts";
import { type Chromium, type ChromiumPage, findChromium, startChromium } from "./chromium.testing.ts";

const PROGRAM = await findChromium();
if (PROGRAM === undefined && process.env["CI"] !== undefined) throw new Error("there is no Chromium");
const skip = PROGRAM === undefined ? "there is no Chromium: THE CONSOLE WAS NOT SEEN IN A BROWSER" : false;
const PASSPHRASE = "correct horse battery staple";
/** Pixels. */
const NARROW = 390;
const WIDE = 1_280;

const configOf = (upstream: string) => `version: 1
services:
  registrar:
    url: ${upstream}
    private: true
    operations:
      records:delete:
        effect: destructive
        allow: ["DELETE /domains/{domain}/records"]
        approval: { message: "Delete the records of {path.domain}" }
roles: { dns: { allow: ["registrar:*"] } }
agents: { dns-bot: { roles: [dns] } }
`;

interface Stage extends AsyncDisposable {
  readonly vendor: Double;
  readonly home: TestHome;
  readonly daemon: TestDaemon;
  readonly chromium: Chromium;
  /** The same server, by a name that can have passkeys. */
  readonly localhost: string;
  /** What an agent does: deletes the records of a domain. */
  drop(domain: string): Promise<{ status: number; code: string | null; approval: string }>;
}

async function openStage(prepare: (home: TestHome) => Promise<void> = async () => {}): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const vendor = stack.use(await startDouble((_, response) => replyJson(response, 200, { deleted: 3 })));
  const home = stack.use(await makeHome({ config: configOf(vendor.url), agents: ["dns-bot"] }));
  await prepare(home);
  const daemon = stack.use(await startDaemon(home));
  const chromium = stack.use(await startChromium(PROGRAM!));
  const key = home.key("dns-bot");
  const opened = stack.move();
  return {
    vendor,
    home,
    daemon,
    chromium,
    localhost: daemon.url.replace("127.0.0.1", "localhost"),
    async drop(domain) {
      const headers = { authorization: `Bearer ${key}` };
      const answer = await fetch(`${daemon.url}/api/registrar/domains/${domain}/records`, {
        method: "DELETE",
        headers,
      });
      const body = (await answer.json()) as { approval_id?: string };
      return { status: answer.status, code: answer.headers.get("doorward-error"), approval: body.approval_id ?? "" };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Looks at a page as a person would on a screen and on a telephone, and keeps the pictures where one is asked for them. */
async function look(page: ChromiumPage, name: string): Promise<void> {
  for (const width of [NARROW, WIDE]) {
    const png = await page.picture(width);
    const folder = process.env["DOORWARD_PICTURES"];
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}-${width}.png`), png);
    }
    const [needs, has] = await page.evaluate<[number, number]>("[document.documentElement.scrollWidth, innerWidth]");
    assert.ok(needs <= has, `${name} is ${needs} pixels wide on a screen of ${has}`);
  }
  const unlabelled = await page.evaluate<string[]>(
    `[...document.querySelectorAll("input:not([type=hidden]), select")].filter((one) => one.labels.length === 0).map((one) => one.outerHTML)`,
  );
  assert.deepEqual(unlabelled, []);
  assert.deepEqual(await page.evaluate(`(${faint})()`), [], `${name}: text that is hard to read`);
}

/** In the page: texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3). */
const faint = `() => {
  const lightness = (rgb) => rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const base = rgba(getComputedStyle(Object.assign(document.documentElement.appendChild(document.createElement("i")), { id: "probe" })).color);
  document.getElementById("probe").remove();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const behind = (one) => { for (; one !== null; one = one.parentElement) { const c = rgba(getComputedStyle(one).backgroundColor); if (c[3] === 255) return c; } return dark ? [18, 18, 18] : [255, 255, 255]; };
  const texts = [...document.querySelectorAll("body *")].filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "") && one.checkVisibility() && one.localName !== "script");
  return texts.flatMap((one) => {
    const [a, b] = [rgba(getComputedStyle(one).color), behind(one)].map((c) => lightness(c.slice(0, 3)) + 0.05).sort((x, y) => y - x);
    return a / b < 4.5 ? [one.outerHTML.slice(0, 100) + " " + (a / b).toFixed(2)] : [];
  });
}`;

describe("the console in Chromium", { skip }, () => {
  const stack = new AsyncDisposableStack();
  let stage: Stage;
  before(async () => {
    stage = stack.use(await openStage());
  });
  after(() => stack.disposeAsync());

  const signedIn = async (role: string): Promise<ChromiumPage> => {
    const { url } = await stage.home.json<{ url: string }>(["person", "link", "--role", role]);
    const page = await stage.chromium.newPage();
    await page.open(url);
    await page.see("Sign out");
    return page;
  };

  test("a link signs in; a held call is approved by a click, and its repetition runs; another is denied", async () => {
    const first = await stage.drop("one.example");
    assert.equal(first.code, "approval_required");
    const page = await signedIn("approver");
    assert.match(await page.see("Waiting (1)"), /dns-bot/);
    await look(page, "approvals");
    await page.click("Delete the records of one.example");
    await page.see("What will be sent");
    await look(page, "approval");
    await page.fill("Why", "is fine");
    await page.click("Approve");
    await page.see("granted by");
    await look(page, "granted");
    assert.equal((await stage.drop("one.example")).status, 200);
    assert.equal(stage.vendor.last().url, "/domains/one.example/records");

    const second = await stage.drop("two.example");
    await page.open(`${stage.daemon.url}/console/approvals/${second.approval}`);
    await page.fill("Why not (the agent is told)", "not today");
    await page.click("Deny");
    await page.see("denied by");
    assert.equal((await stage.drop("two.example")).code, "approval_denied");
    await page.click("Approvals");
    assert.match(await page.see("Nothing waits"), /not today/);
    await look(page, "answered");
    await page.click("You");
    await page.see("Assurance");
    await look(page, "me");
    await page.click("Sign out");
    await page.see("With a one-time link");
    await look(page, "sign-in");
    assert.deepEqual(page.faults, []);
  });

  test("a kill stops an agent, and it goes on again", async () => {
    const page = await signedIn("operator");
    await page.click("Kills");
    await page.see("Nothing is stopped");
    await page.click("Stop it now");
    assert.match(await page.evaluate("document.activeElement.name"), /target/, "the browser asks for what is missing");
    await page.fill("What to stop", "agent:dns-bot");
    await page.fill("Why", "too much");
    await page.click("Stop it now");
    await page.see("too much");
    await look(page, "kills");
    assert.equal((await stage.drop("three.example")).code, "killed");
    await page.fill("Why it may go on", "fixed");
    await page.click("Let it go on");
    await page.see("Nothing is stopped");
    assert.equal((await stage.drop("three.example")).code, "approval_required");
    assert.deepEqual(page.faults, []);
  });

  test("the keyboard is enough", async () => {
    const { approval } = await stage.drop("keys.example");
    const page = await signedIn("approver");
    const tabTo = async (label: string) => {
      for (let steps = 0; steps < 40; steps++) {
        await page.key("Tab");
        const at = "document.activeElement";
        if ((await page.evaluate(`${at}.labels?.[0]?.textContent.trim() || ${at}.textContent.trim()`)) === label)
          return;
      }
      assert.fail(`Tab does not lead to ${label}`);
    };
    await tabTo("Delete the records of keys.example");
    const ring = await page.evaluate<string>("getComputedStyle(document.activeElement).outlineStyle");
    assert.notEqual(ring, "none", "where one is can be seen");
    await page.key("Enter");
    await page.see(approval === "" ? "?" : "Your answer");
    await tabTo("Why");
    await page.type("typed");
    await tabTo("Approve");
    await page.key("Enter");
    await page.see("granted by");
    assert.deepEqual(page.faults, []);
  });

  test("without script one signs in, approves, kills and signs out", async () => {
    const { approval } = await stage.drop("plain.example");
    const { url } = await stage.home.json<{ url: string }>(["person", "link", "--role", "owner"]);
    const page = await stage.chromium.newPage();
    await page.send("Emulation.setScriptExecutionDisabled", { value: true });
    await page.open(url);
    await page.see("Sign out");
    await page.open(`${stage.daemon.url}/console/approvals/${approval}`);
    await page.click("Approve");
    await page.see("granted by");
    await page.click("Kills");
    await page.fill("What to stop", "agent:nobody");
    await page.fill("Why", "a try");
    await page.click("Stop it now");
    await page.see("a try");
    await page.fill("Why it may go on", "tried");
    await page.click("Let it go on");
    await page.see("Nothing is stopped");
    await page.click("Sign out");
    await page.see("With a one-time link");
    assert.deepEqual(page.faults, []);
  });

  test("in the dark, all is readable", async () => {
    const page = await signedIn("owner");
    const features = [{ name: "prefers-color-scheme", value: "dark" }];
    await page.send("Emulation.setEmulatedMedia", { features });
    for (const path of ["approvals", "kills", "me", "nothing"]) {
      await page.open(`${stage.daemon.url}/console/${path}`);
      await look(page, `dark-${path}`);
    }
  });

  test("the page where a device's code is typed", async () => {
    const page = await signedIn("approver");
    await page.open(`${stage.daemon.url}/oauth/device`);
    await page.see("Connect a device");
    await look(page, "device");
    await page.fill("Code", "BCDF-GHJK");
    await page.click("Continue");
    await page.see("not valid");
    await look(page, "device-wrong");
    assert.deepEqual(
      page.faults.filter((fault) => !/status of 4/.test(fault)),
      [],
    );
  });

  test("another site's page cannot frame it, nor send its forms", async () => {
    const page = await signedIn("owner");
    const html = `<!doctype html><iframe></iframe>
<form method="post" action="${stage.daemon.url}/console/act"><input name="action" value="kill.set"><input name="target" value="all"><input name="why" value="x"><button>Win</button></form>`;
    const evil = createServer((_, response) => response.setHeader("content-type", "text/html").end(html));
    await new Promise<void>((done) => void evil.listen(0, "127.0.0.1", done));
    try {
      await page.open(`http://localhost:${(evil.address() as AddressInfo).port}/`);
      // Of one frame after the other: what Chromium says of it names the site alone.
      for (const path of ["/console/kills", "/console/login", "/oauth/device"]) {
        const before = page.faults.length;
        await page.evaluate(`document.querySelector("iframe").src = ${JSON.stringify(stage.daemon.url + path)}`);
        await until(
          () => page.faults.slice(before),
          (faults) => faults.length > 0,
        );
        assert.match(page.faults.slice(before).join(), /frame-ancestors/, path);
        await page.evaluate(`document.querySelector("iframe").replaceWith(document.createElement("iframe"))`);
      }
      await page.click("Win");
      await page.see("another site");
      const { kills } = await stage.home.json<{ kills: unknown[] }>(["status"]);
      assert.deepEqual(kills, []);
    } finally {
      evil.closeAllConnections();
      evil.close();
    }
  });

  test("from a program of another site one comes to the question whether it may act, and says yes", async () => {
    const came = Promise.withResolvers<URL>();
    let asking = "";
    const program = createServer((request, response) => {
      const back = request.url?.startsWith("/cb");
      if (back) came.resolve(new URL(request.url!, "http://127.0.0.1"));
      response
        .setHeader("content-type", "text/html")
        .end(`<!doctype html><p>${back ? "Back in the program" : `<a href="${asking}">Connect</a>`}</p>`);
    });
    await new Promise<void>((done) => void program.listen(0, "127.0.0.1", done));
    try {
      const redirect = `http://127.0.0.1:${(program.address() as AddressInfo).port}/cb`;
      const registered = await fetch(`${stage.daemon.url}/oauth/register`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          client_name: "A program",
          redirect_uris: [redirect],
          token_endpoint_auth_method: "none",
        }),
      });
      const { client_id } = (await registered.json()) as { client_id: string };
      const url = new URL(`${stage.daemon.url}/oauth/authorize`);
      url.search = new URLSearchParams({
        client_id,
        response_type: "code",
        redirect_uri: redirect,
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method: "S256",
        state: "s1",
        resource: `${stage.daemon.url}/mcp`,
        scope: "registrar:records:delete",
      }).toString();
      const page = await signedIn("approver");
      asking = url.href.replaceAll("&", "&amp;");
      // To a browser, `localhost` is another site than 127.0.0.1.
      await page.open(redirect.replace("127.0.0.1", "localhost").replace("/cb", "/"));
      await page.click("Connect");
      assert.match(await page.see("Let a program act for you?"), /registered itself/);
      await look(page, "consent");
      await page.click("Let it act");
      await page.see("Back in the program");
      const { searchParams } = await came.promise;
      assert.equal(searchParams.get("state"), "s1");
      assert.ok(searchParams.has("code"));
      assert.deepEqual(
        page.faults.filter((fault) => !fault.includes("favicon")),
        [],
      );
    } finally {
      program.closeAllConnections();
      program.close();
    }
  });
});

describe("the console in Chromium, at assurance level 1", { skip: skip || NO_TERMINAL }, () => {
  const stack = new AsyncDisposableStack();
  let stage: Stage;
  before(async () => {
    stage = stack.use(
      await openStage(async (home) => {
        const raised = await typeInto(home, ["init"], [PASSPHRASE, PASSPHRASE]);
        assert.equal(raised.status, 0, raised.stdout);
      }),
    );
  });
  after(() => stack.disposeAsync());

  test("a passkey is made, proves an answer, signs in again, and without it nothing is answered", async () => {
    const { stdout } = await typeInto(stage.home, ["person", "link", "--role", "owner"], [PASSPHRASE]);
    const url = /http:\/\/\S+\/console\/link\/\S+/.exec(stdout)?.[0];
    assert.ok(url !== undefined, stdout);
    const page = await stage.chromium.newPage();
    await page.open(url);
    await page.see("Sign out");
    assert.match(await page.evaluate("location.origin"), /^http:\/\/localhost:/);
    const { approval } = await stage.drop("one.example");
    const question = `${stage.localhost}/console/approvals/${approval}`;
    const status = async () => {
      const { stdout } = await stage.home.cli(["approvals", "show", approval, "--json"]);
      return (JSON.parse(stdout) as { status: string }).status;
    };

    await page.send("WebAuthn.enable");
    const { authenticatorId } = await page.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await page.open(question);
    await page.click("Approve");
    await page.see("The passkey was not used");
    assert.equal(await status(), "pending");

    await page.open(`${stage.localhost}/console/me`);
    await page.click("Add a passkey");
    await page.see("at localhost, since");
    await look(page, "level-one-me");

    await page.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    await page.open(question);
    await page.click("Approve");
    await page.see("The passkey was not used");
    assert.equal(await status(), "pending");
    await page.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    await page.click("Approve");
    await page.see("granted by owner");
    await look(page, "level-one-granted");
    assert.equal((await stage.drop("one.example")).status, 200);

    await page.click("Sign out");
    await page.see("Sign in with a passkey");
    await page.click("Sign in with a passkey");
    await page.see("Sign out");
    await page.open(`${stage.localhost}/console/me`);
    await page.see("by passkey");
    assert.deepEqual(page.faults, []);
  });
});
