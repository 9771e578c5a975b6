import assert from "node:assert/strict";
import { test } from "node:test";
import { requestWith, testPeople } from "./people.testing.ts";
import type { NewSession } from "./person-sessions.ts";

const OWNER: NewSession = {
  person: "owner",
  name: "owner",
  how: "link",
  roles: ["owner"],
  issuer: undefined,
  groups: [],
};

test("a cookie proves the person until they sign out, and that is evidence", async (context) => {
  const people = testPeople(context);
  const sessions = await people.sessions();
  const { person, cookie } = await sessions.open(OWNER);
  assert.match(cookie, /^doorward-session-7420=[\w-]{43}; Path=\/; .*HttpOnly; SameSite=Strict$/);
  const request = requestWith(cookie);
  assert.deepEqual(sessions.current(request), person);
  assert.match(await sessions.close(person), /Max-Age=0/);
  assert.equal(sessions.current(request), undefined);
  assert.deepEqual(people.audit.types(), ["token.issued", "token.revoked"]);
  const stored = await people.store.db.selectFrom("person_sessions").selectAll().execute();
  assert.deepEqual(stored, []);
});

test("a session outlives a restart; the store has no cookie in it", async (context) => {
  const people = testPeople(context);
  const { cookie, person } = await (await people.sessions()).open(OWNER);
  await people.store.reopen();
  assert.deepEqual((await people.sessions()).current(requestWith(cookie)), person);
  const rows = JSON.stringify(await people.store.db.selectFrom("person_sessions").selectAll().execute());
  assert.ok(!rows.includes(cookie.slice(cookie.indexOf("=") + 1, cookie.indexOf(";"))));
});

test("a row that somebody else wrote signs nobody in", async (context) => {
  const people = testPeople(context);
  const { cookie } = await (await people.sessions()).open({ ...OWNER, roles: ["auditor"] });
  const { db } = people.store;
  const row = await db.selectFrom("person_sessions").selectAll().executeTakeFirstOrThrow();
  await db
    .updateTable("person_sessions")
    .set({ facts: row.facts.replace("auditor", "owner") })
    .execute();
  assert.equal((await people.sessions()).current(requestWith(cookie)), undefined);
});

test("a session ends after an hour without a request, and after eight in any case", async (context) => {
  const people = testPeople(context);
  const sessions = await people.sessions();
  const idle = requestWith((await sessions.open(OWNER)).cookie);
  people.later(3_601);
  assert.equal(sessions.current(idle), undefined);
  const busy = requestWith((await sessions.open(OWNER)).cookie);
  for (let hour = 0; hour < 7; hour++) {
    people.later(3_599);
    assert.ok(sessions.current(busy));
  }
  people.later(3_599);
  assert.ok(sessions.current(busy));
  people.later(8);
  assert.equal(sessions.current(busy), undefined);
});

test("the roles of a provider's person are those that their groups have now", async (context) => {
  const people = testPeople(context);
  const sessions = await people.sessions();
  const who: NewSession = {
    person: "user:alice",
    name: "Alice",
    how: "oidc",
    roles: [],
    issuer: "https://login.example",
    groups: ["admins"],
  };
  const request = requestWith((await sessions.open(who)).cookie);
  assert.deepEqual(sessions.current(request)?.roles, ["owner"]);
  people.groups.set("admins", "auditor");
  assert.deepEqual(sessions.current(request)?.roles, ["auditor"]);
  people.groups.delete("admins");
  assert.equal(sessions.current(request), undefined);
  await assert.rejects(sessions.open({ ...who, issuer: "https://other.example" }));
});

test("revoking a person ends all their sessions and nobody else's", async (context) => {
  const people = testPeople(context);
  const sessions = await people.sessions();
  const [one, two, other] = [
    await sessions.open(OWNER),
    await sessions.open(OWNER),
    await sessions.open({ ...OWNER, person: "user:bob" }),
  ];
  assert.equal(await sessions.closeAllOf("owner", "owner"), 2);
  assert.equal(sessions.current(requestWith(one.cookie)), undefined);
  assert.equal(sessions.current(requestWith(two.cookie)), undefined);
  assert.ok(sessions.current(requestWith(other.cookie)));
});

test("without evidence nobody is signed in", async (context) => {
  const people = testPeople(context);
  const sessions = await people.sessions();
  people.audit.fail(() => true);
  await assert.rejects(sessions.open(OWNER), { code: "audit_unavailable" });
  assert.deepEqual(sessions.list(), []);
  assert.deepEqual(await people.store.db.selectFrom("person_sessions").selectAll().execute(), []);
});

test("a form's token is of one session", async (context) => {
  const sessions = await testPeople(context).sessions();
  const { person: one } = await sessions.open(OWNER);
  const { person: two } = await sessions.open(OWNER);
  assert.ok(sessions.isFormToken(one, sessions.formToken(one)));
  assert.ok(!sessions.isFormToken(two, sessions.formToken(one)));
  assert.ok(!sessions.isFormToken(one, ""));
});

test("a cookie that is doubled, cut or another listener's proves nothing", async (context) => {
  const sessions = await testPeople(context).sessions();
  const cookie = (await sessions.open(OWNER)).cookie.split(";", 1)[0]!;
  const headers = [`${cookie}; ${cookie}`, cookie.slice(0, -1), cookie.replace("7420", "7421"), ""];
  for (const header of headers) {
    const request = { headers: { cookie: header } } as Parameters<typeof sessions.current>[0];
    assert.equal(sessions.current(request), undefined);
  }
});
