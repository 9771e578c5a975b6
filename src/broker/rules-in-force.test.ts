import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../base/problem.ts";
import type { Finding } from "../config/schema.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { agent, NOON, operation, role, service, snapshotOf } from "../policy/policy.testing.ts";
import type { CheckedConfig } from "./check-config.ts";
import { createRules, type RulesState } from "./rules-in-force.ts";

const FINDING: Finding = { line: 3, column: 1, path: "services", problem: "x", remedy: "y", severity: "error" };
const BAD: CheckedConfig = { ok: false, findings: [FINDING] };
const KILL = { target: "all", why: "a test", setBy: "owner", setAt: NOON };

function holding(name: string): CheckedConfig {
  const snapshot = snapshotOf({
    services: [service(name, [operation("zones")])],
    roles: [role("r", [`${name}:*`])],
    agents: [agent("bot", ["r"])],
  });
  return { ok: true, snapshot, authorities: new Map(), bytes: Buffer.from(name), warnings: [] };
}

function stage(options: { readonly guarded?: boolean } = {}) {
  const audit = recordingAudit();
  const bound: string[][] = [];
  const told: RulesState[] = [];
  const failing = new Set<string>();
  let file: () => CheckedConfig | Promise<CheckedConfig> = () => holding("one");
  let accepted: string | undefined;
  const rules = createRules({
    check: async () => await file(),
    vault: {
      async bindServices(pairings) {
        if (failing.has("bind")) throw new Problem("store_unavailable");
        bound.push(pairings.map(({ service: name }) => name));
        return [];
      },
    },
    audit: audit.log,
    now: () => NOON,
    guarded: () => options.guarded === true,
    accepted: {
      get: async () => accepted,
      async put(digest) {
        accepted = digest;
      },
    },
    changed: (state) => void told.push(state),
  });
  const services = () => [...rules.snapshot().services.keys()];
  return {
    rules,
    audit,
    bound,
    told,
    failing,
    services,
    write: (next: CheckedConfig | (() => Promise<CheckedConfig>)) => {
      file = typeof next === "function" ? next : () => next;
    },
  };
}

test("a file that holds comes into force, with its evidence and its bindings first", async () => {
  const { rules, audit, bound, services, told } = stage();
  assert.deepEqual(await rules.load("start"), { ok: true, changed: true, warnings: [] });
  assert.deepEqual([services(), bound, audit.types()], [["one"], [["one"]], ["config.loaded"]]);
  assert.equal(told.length, 1);
});

test("a bad file keeps the last good one, says why, and is evidence once", async () => {
  const { rules, audit, services, write } = stage();
  await rules.load("start");
  write(BAD);
  for (let i = 0; i < 3; i++) assert.deepEqual(await rules.load("file"), { ok: false, findings: [FINDING] });
  assert.deepEqual(services(), ["one"]);
  assert.deepEqual(rules.state().findings, [FINDING]);
  assert.deepEqual(audit.types(), ["config.loaded", "config.refused"]);
  write(holding("one"));
  assert.equal((await rules.load("file")).ok, true);
  assert.deepEqual(rules.state().findings, []);
});

test("before any file held there are no rules, and asking for them says what is wrong", async () => {
  const { rules, write } = stage();
  write(BAD);
  await rules.load("start");
  assert.throws(
    () => rules.snapshot(),
    (error) => error instanceof Problem && /3:1 services: x/.test(error.message),
  );
  assert.equal(rules.state().snapshot, undefined);
});

test("rules whose loading cannot be recorded, or whose secrets cannot be bound, do not come into force", async () => {
  for (const broken of ["audit", "bind"]) {
    const { rules, audit, failing, services, write } = stage();
    await rules.load("start");
    write(holding("two"));
    if (broken === "audit") audit.fail(({ type }) => type === "config.loaded");
    else failing.add("bind");
    await assert.rejects(rules.load("file"), Problem);
    assert.deepEqual(services(), ["one"]);
    audit.fail(undefined);
    failing.clear();
    assert.equal((await rules.load("file")).ok, true);
    assert.deepEqual(services(), ["two"]);
  }
});

test("at level 1 a changed file waits for the owner, binds nothing, and is remembered once accepted", async () => {
  const { rules, services, bound, write } = stage({ guarded: true });
  const first = await rules.load("start");
  assert.equal(first.ok, false);
  assert.equal((await rules.load("owner")).ok, true);
  write(holding("two"));
  for (const by of ["file", "signal", "start"] as const) assert.equal((await rules.load(by)).ok, false);
  assert.deepEqual([services(), bound], [["one"], [["one"]]]);
  write(holding("one"));
  assert.equal((await rules.load("file")).ok, true, "the accepted bytes are accepted still");
  write(holding("two"));
  assert.equal((await rules.load("owner")).ok, true);
  assert.equal((await rules.load("file")).ok, true);
  assert.deepEqual(services(), ["two"]);
});

test("kills survive a reload, and count at once without one", async () => {
  const { rules, write } = stage();
  rules.setKills([KILL]);
  await rules.load("start");
  assert.ok(rules.snapshot().kills.has("all"));
  write(holding("two"));
  await rules.load("file");
  assert.ok(rules.snapshot().kills.has("all"));
  rules.setKills([]);
  assert.equal(rules.snapshot().kills.size, 0);
});

test("a kill that comes while a file is being read is in force when it is", async () => {
  const { rules, write } = stage();
  await rules.load("start");
  const { promise, resolve } = Promise.withResolvers<CheckedConfig>();
  write(() => promise);
  const loading = rules.load("file");
  rules.setKills([KILL]);
  resolve(holding("two"));
  await loading;
  assert.ok(rules.snapshot().kills.has("all"));
});

test("loads come one after the other: the last file read is the one in force", async () => {
  const { rules, services, write } = stage();
  await rules.load("start");
  const slow = Promise.withResolvers<CheckedConfig>();
  write(() => slow.promise);
  const first = rules.load("file");
  await Promise.resolve();
  await Promise.resolve();
  write(holding("three"));
  const second = rules.load("file");
  slow.resolve(holding("two"));
  await Promise.all([first, second]);
  assert.deepEqual(services(), ["three"]);
});

test("a load that throws does not keep the next from loading", async () => {
  const { rules, services, write } = stage();
  write(() => Promise.reject(new Error("no memory")));
  await assert.rejects(rules.load("start"), /no memory/);
  write(holding("one"));
  await rules.load("file");
  assert.deepEqual(services(), ["one"]);
});
