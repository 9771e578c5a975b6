import assert from "node:assert/strict";
import { test } from "node:test";
import { testPeople } from "./people.testing.ts";

test("of 100 uses at once exactly one succeeds, ten times over", async (context) => {
  const people = testPeople(context);
  for (let round = 0; round < 10; round++) {
    const links = people.links();
    const { token } = await links.make({ role: "approver", name: undefined, ttlSeconds: 60, by: "owner" });
    const results = await Promise.all(Array.from({ length: 100 }, () => links.use(token)));
    assert.equal(results.filter((result) => typeof result === "object").length, 1);
    assert.equal(await links.use(token), "used");
  }
});

test("a link expires, and is spent by being late", async (context) => {
  const people = testPeople(context);
  const links = people.links();
  const { token } = await links.make({ role: "auditor", name: "alice", ttlSeconds: 60, by: "owner" });
  people.later(60);
  assert.equal(await links.use(token), "expired");
  assert.equal(await links.use(token), "used");
});

test("who a link signs in: the owner, a named person, or a person of its own", async (context) => {
  const links = testPeople(context).links();
  const person = async (role: "owner" | "approver", name?: string) => {
    const { token } = await links.make({ role, name, ttlSeconds: undefined, by: "owner" });
    const used = await links.use(token);
    assert.ok(typeof used === "object");
    assert.equal(used.role, role);
    return used.person;
  };
  assert.equal(await person("owner"), "owner");
  assert.equal(await person("owner", "alice"), "user:alice");
  assert.match(await person("approver"), /^link:lnk_/);
  assert.notEqual(await person("approver"), await person("approver"));
});

test("the token is nowhere at rest, and an edited row signs nobody in", async (context) => {
  const people = testPeople(context);
  const links = people.links();
  const { token } = await links.make({ role: "auditor", name: undefined, ttlSeconds: 60, by: "owner" });
  const rows = JSON.stringify(await people.store.db.selectFrom("person_links").selectAll().execute());
  assert.ok(!rows.includes(token) && !JSON.stringify(people.audit.events).includes(token));
  await people.store.db.updateTable("person_links").set({ role: "owner" }).execute();
  assert.equal(await links.use(token), "used");
});

test("a link that cannot be recorded is not made", async (context) => {
  const people = testPeople(context);
  people.audit.fail(() => true);
  const making = people.links().make({ role: "owner", name: undefined, ttlSeconds: 60, by: "owner" });
  await assert.rejects(making, { code: "audit_unavailable" });
  assert.deepEqual(await people.store.db.selectFrom("person_links").selectAll().execute(), []);
});

for (const [what, order] of Object.entries({
  "a name with markup": { name: "<b>" },
  "an empty name": { name: "" },
  "no time": { ttlSeconds: 0 },
  "half a second": { ttlSeconds: 0.5 },
  "more than a day": { ttlSeconds: 86_401 },
})) {
  test(`refused: ${what}`, async (context) => {
    const links = testPeople(context).links();
    const making = links.make({ role: "auditor", name: undefined, ttlSeconds: 60, by: "owner", ...order });
    await assert.rejects(making, { code: "invalid_request" });
  });
}

test("links that are not used do not pile up", async (context) => {
  const people = testPeople(context);
  const links = people.links();
  const make = () => links.make({ role: "auditor", name: undefined, ttlSeconds: 60, by: "owner" });
  for (let i = 0; i < 100; i++) await make();
  await assert.rejects(make(), { code: "rate_limited" });
  people.later(61);
  await make();
});
