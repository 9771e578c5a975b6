import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { softwareAuthenticator } from "../oauth/authenticator.testing.ts";
import { SCRIPT } from "./assets.ts";
import { formOf, type Seen, testBrowser, testConsole } from "./console.testing.ts";

type Stage = Awaited<ReturnType<typeof testConsole>>;
type Browser = ReturnType<typeof testBrowser>;
type Bytes = Uint8Array<ArrayBuffer>;

/** Runs the console's script on one form of a page, with an authenticator in place of the browser's. */
async function pressWithScript(
  stage: Stage,
  browser: Browser,
  { page, label, device }: { readonly page: Seen; readonly label: string; readonly device: Authenticator },
): Promise<Seen> {
  const { action, fields, passkey } = formOf(page, label);
  const inputs = { ...fields };
  const note = { textContent: "" };
  const done = Promise.withResolvers<Seen>();
  let submit: (event: { preventDefault(): void }) => Promise<void>;
  const hidden = {
    set value(text: string) {
      inputs["passkey"] = text;
    },
  };
  const form = {
    dataset: { passkey },
    addEventListener: (_: string, listener: typeof submit) => {
      submit = listener;
    },
    querySelector: (selector: string) => (selector === ".answer" ? note : hidden),
    submit: () => void browser.post(action, inputs).then(done.resolve, done.reject),
  };
  const bytes = (answer: object) =>
    Object.fromEntries(
      Object.entries(answer).map(([name, part]) => [name, Uint8Array.from(part as Uint8Array).buffer]),
    );
  const text = (part: Bytes) => Buffer.from(part).toString("base64url");
  runInNewContext(SCRIPT, {
    document: { querySelectorAll: () => [form] },
    FormData: class extends Array {
      constructor() {
        super();
        this.push(...Object.entries(inputs));
      }
    },
    URLSearchParams,
    Uint8Array,
    atob,
    btoa,
    fetch: async (url: string, { body }: { body: URLSearchParams }) => {
      const answer = await browser.post(url, Object.fromEntries(body));
      return { ok: answer.status === 200, json: async () => JSON.parse(answer.text) as unknown };
    },
    navigator: {
      credentials: {
        create: async ({ publicKey }: { publicKey: { challenge: Bytes } }) => ({
          response: bytes(device.create(text(publicKey.challenge), stage.site)),
        }),
        get: async ({ publicKey }: { publicKey: { challenge: Bytes; allowCredentials: { id: Bytes }[] } }) => {
          for (const { id } of publicKey.allowCredentials) assert.equal(text(id), device.id);
          return { id: device.id, response: bytes(device.get(text(publicKey.challenge), stage.site)) };
        },
      },
    },
  });
  await submit!({ preventDefault: () => {} });
  if (note.textContent !== "") throw new Error(note.textContent);
  return done.promise;
}

type Authenticator = ReturnType<typeof softwareAuthenticator>;

test("the script makes a passkey and signs in with it; a refusal is said on the page", async (context) => {
  const stage = await testConsole(context);
  const device = softwareAuthenticator("EdDSA");
  const { browser } = await stage.signedIn("approver", "alice");
  const me = await browser.get("/console/me");
  const added = await pressWithScript(stage, browser, { page: me, label: "Add a passkey", device });
  assert.ok(added.text.includes(device.id.slice(0, 16)));
  const fresh = testBrowser(stage.url);
  const login = await fresh.get("/console/login");
  const page = await pressWithScript(stage, fresh, { page: login, label: "Sign in with a passkey", device });
  assert.match(page.text, /alice \(approver\)/);
  await stage.people.sessions.closeAllOf("user:alice", "test");
  const late = pressWithScript(stage, browser, { page: me, label: "Add a passkey", device });
  await assert.rejects(late, /The passkey was not used: nobody is signed in/);
});
