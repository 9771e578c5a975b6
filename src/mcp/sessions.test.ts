import assert from "node:assert/strict";
import { test } from "node:test";
import { principal } from "../policy/policy.testing.ts";
import { RunningCalls } from "./running-calls.ts";
import { createSessions } from "./sessions.ts";

const DAY_MS = 86_400_000;

test("a session is found by whose it is, and by nobody else", () => {
  const sessions = createSessions();
  const { id } = sessions.create(principal(), 0);
  assert.equal(sessions.find(id, principal(), 1)?.id, id);
  assert.equal(sessions.find(id, principal({ agent: "other" }), 1), undefined);
  assert.equal(sessions.find(id, principal({ client: "key_2" }), 1), undefined);
  assert.equal(sessions.find(id, principal({ user: "ann" }), 1), undefined);
  assert.equal(sessions.find(id, principal({ tenant: "globex" }), 1), undefined);
  assert.equal(sessions.find("ses_none", principal(), 1), undefined);
});

test("a session unused for a day is forgotten; each use begins the day anew", () => {
  const sessions = createSessions();
  const { id } = sessions.create(principal(), 0);
  assert.ok(sessions.find(id, principal(), DAY_MS));
  assert.ok(sessions.find(id, principal(), 2 * DAY_MS));
  assert.equal(sessions.find(id, principal(), 3 * DAY_MS + 1), undefined);
  assert.equal(sessions.size, 0);
});

test("ending a session cancels what runs in it and closes its stream, once", () => {
  const sessions = createSessions();
  const session = sessions.create(principal(), 0);
  const running = new AbortController();
  let closed = 0;
  session.running = new RunningCalls();
  session.running.set(1, running);
  session.closeStream = () => void closed++;
  sessions.end(session);
  sessions.end(session);
  assert.equal(running.signal.aborted, true);
  assert.equal(closed, 1);
  assert.equal(sessions.size, 0);
});

test("one agent cannot push the others out: beyond its share its own oldest goes", () => {
  const sessions = createSessions();
  const other = sessions.create(principal({ agent: "other" }), 0);
  const first = sessions.create(principal(), 1);
  const second = sessions.create(principal(), 2);
  sessions.find(first.id, principal(), 3);
  for (let i = 0; i < 10_000 - 1; i++) sessions.create(principal(), 4);
  assert.equal(sessions.size, 10_001);
  assert.ok(sessions.find(other.id, principal({ agent: "other" }), 5));
  assert.ok(sessions.find(first.id, principal(), 5), "it was used since");
  assert.equal(sessions.find(second.id, principal(), 5), undefined);
});

test("of all sessions there is a limit too", () => {
  const sessions = createSessions();
  const first = sessions.create(principal({ agent: "a" }), 0);
  for (const name of ["b", "c", "d"]) for (let i = 0; i < 7_000; i++) sessions.create(principal({ agent: name }), 1);
  assert.equal(sessions.size, 20_000);
  assert.equal(sessions.find(first.id, principal({ agent: "a" }), 2), undefined);
});

test("an agent that was stopped listens to nothing any more, and keeps its session", () => {
  const sessions = createSessions();
  const closed: string[] = [];
  for (const agent of ["bot", "other"]) {
    const session = sessions.create(principal({ agent }), 0);
    session.closeStream = () => void closed.push(agent);
  }
  assert.equal(
    sessions.silence(({ agent }) => agent === "bot"),
    1,
  );
  assert.deepEqual([closed, sessions.size], [["bot"], 2]);
  sessions.silence();
  assert.deepEqual(closed, ["bot", "bot", "other"]);
});

test("all sessions can be ended", () => {
  const sessions = createSessions();
  sessions.create(principal(), 0);
  sessions.create(principal({ agent: "other" }), 0);
  sessions.endAll();
  assert.equal(sessions.size, 0);
});
