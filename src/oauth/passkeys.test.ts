import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { softwareAuthenticator, type Twist } from "./authenticator.testing.ts";
import { createPasskeyStore } from "./passkey-store.ts";
import { createPasskeys } from "./passkeys.ts";
import { START, testPeople } from "./people.testing.ts";
import type { Person } from "./person.ts";

const SITE = { origin: "http://localhost:7420", rpId: "localhost" };
const OWNER: Person = {
  id: "owner",
  name: "owner",
  roles: ["owner"],
  how: "link",
  session: "ses_1",
  since: START,
  expiresAt: START,
};

async function stage(context: Parameters<typeof testPeople>[0]) {
  const people = testPeople(context);
  const { keyring, audit, now } = people;
  const passkeys = createPasskeys({
    store: createPasskeyStore(people.store.db, keyring),
    keyring,
    audit: audit.log,
    now,
  });
  const device = softwareAuthenticator();
  const create = async (person: Person = OWNER, twist: Twist = {}) => {
    const { challenge } = await passkeys.creation(person, SITE);
    return wire(device.create(String(challenge), SITE, twist));
  };
  const assertion = async (action: string, twist: Twist = {}) => {
    const { challenge } = await passkeys.request(action, OWNER, SITE);
    return { id: device.id, ...wire(device.get(String(challenge), SITE, twist)) };
  };
  return { ...people, passkeys, device, create, assertion };
}

function wire(answer: { readonly [name: string]: Uint8Array }): JsonObject {
  const texts = Object.entries(answer).map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64url")]);
  return Object.fromEntries(texts) as JsonObject;
}

test("a key is made in a session and proves an action, once", async (context) => {
  const { passkeys, create, assertion, audit } = await stage(context);
  const record = await passkeys.add(OWNER, await create(), SITE);
  assert.deepEqual(record.roles, ["owner"]);
  const answer = await assertion("approve\napr_1");
  assert.equal((await passkeys.prove("approve\napr_1", answer, SITE)).person, "owner");
  await assert.rejects(passkeys.prove("approve\napr_1", answer, SITE), { code: "denied" });
  assert.deepEqual(audit.types(), ["token.issued", "token.refused"]);
});

test("an answer for one action does not prove another", async (context) => {
  const { passkeys, create, assertion } = await stage(context);
  await passkeys.add(OWNER, await create(), SITE);
  const answer = await assertion("approve\napr_1");
  await assert.rejects(passkeys.prove("approve\napr_2", answer, SITE), { code: "denied" });
  await passkeys.prove("approve\napr_1", answer, SITE);
});

for (const signCount of [undefined, 0]) {
  test(`of 100 uses of one answer at once exactly one counts, thrice over; the key ${signCount === 0 ? "never counts" : "counts"}`, async (context) => {
    const { passkeys, create, assertion } = await stage(context);
    const twist = signCount === undefined ? {} : { signCount };
    await passkeys.add(OWNER, await create(OWNER, twist), SITE);
    for (let round = 0; round < 3; round++) {
      const answer = await assertion("approve\napr_1", twist);
      const uses = Array.from({ length: 100 }, () => passkeys.prove("approve\napr_1", answer, SITE));
      const results = await Promise.allSettled(uses);
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    }
  });
}

test("a copy of the key is found by its counter", async (context) => {
  const { passkeys, create, assertion, audit } = await stage(context);
  await passkeys.add(OWNER, await create(), SITE);
  await passkeys.prove("a", await assertion("a", { signCount: 9 }), SITE);
  await assert.rejects(passkeys.prove("a", await assertion("a", { signCount: 9 }), SITE), { code: "denied" });
  assert.equal(audit.events.at(-1)?.data?.["reason"], "counter");
});

test("a key made for one session is not taken in another, nor twice, nor at another site", async (context) => {
  const { passkeys, create, assertion } = await stage(context);
  const answer = await create();
  await assert.rejects(passkeys.add({ ...OWNER, session: "ses_2" }, answer, SITE), { code: "denied" });
  await assert.rejects(passkeys.add({ ...OWNER, id: "user:mallory" }, answer, SITE), { code: "denied" });
  await passkeys.add(OWNER, answer, SITE);
  await assert.rejects(passkeys.add(OWNER, answer, SITE), { code: "denied" });
  await assert.rejects(passkeys.add(OWNER, await create(), SITE), { code: "denied" });
  const other = { origin: "https://broker.example.com", rpId: "broker.example.com" };
  await assert.rejects(passkeys.prove("a", await assertion("a"), other), { code: "denied" });
});

test("a row that somebody else wrote is no key; a revoked one neither", async (context) => {
  const { passkeys, create, assertion, store } = await stage(context);
  await passkeys.add(OWNER, await create({ ...OWNER, roles: ["auditor"] }), SITE);
  await store.db.updateTable("passkeys").set({ roles: '["owner","operator"]' }).execute();
  await assert.rejects(passkeys.prove("a", await assertion("a"), SITE), { code: "denied" });
  await store.db.updateTable("passkeys").set({ roles: '["owner"]' }).execute();
  await passkeys.prove("a", await assertion("a"), SITE);
  assert.equal(await passkeys.revokeOf("owner", "owner"), 1);
  await assert.rejects(passkeys.prove("a", await assertion("a"), SITE), { code: "denied" });
});

for (const answer of [null, {}, { id: 1 }, { id: "x", clientDataJSON: "é" }, []] satisfies JsonValue[]) {
  test(`refused: ${JSON.stringify(answer)}`, async (context) => {
    const { passkeys } = await stage(context);
    await assert.rejects(passkeys.prove("a", answer, SITE), { code: "denied" });
    await assert.rejects(passkeys.add(OWNER, answer, SITE), { code: "denied" });
  });
}
