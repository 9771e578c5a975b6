import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import type { Kill } from "../policy/kills.ts";
import { createKills } from "./create-kills.ts";
import { createKillStore } from "./kill-store.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const order = (target: string, why = "leaked", by = "owner") => ({ target, why, by, now: NOW });
const isProblem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;

async function setUp(context: TestContext) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const changes: { inForce: string[]; added: string | undefined }[] = [];
  const onChange = (kills: readonly Kill[], added: Kill | undefined) =>
    void changes.push({ inForce: kills.map(({ target }) => target), added: added?.target });
  const open = () => createKills({ store: createKillStore(store.db), audit: audit.log, onChange });
  return { store, audit, changes, open, kills: await open() };
}

test("a kill is in force before anything is written, survives a restart, and is lifted", async (context) => {
  const { kills, changes, open, store, audit } = await setUp(context);
  const setting = kills.set(order("agent:dns-bot"));
  assert.deepEqual(changes.at(-1), { inForce: ["agent:dns-bot"], added: "agent:dns-bot" }, "at once");
  const kill = { target: "agent:dns-bot", why: "leaked", setBy: "owner", setAt: NOW };
  assert.deepEqual(await setting, { kill, already: false, faults: [] });

  await store.reopen();
  const again = await open();
  assert.deepEqual(again.list(), [kill]);
  assert.deepEqual(changes.at(-1)?.inForce, ["agent:dns-bot"], "in force at the start");
  assert.deepEqual(await again.lift(order("agent:dns-bot", "over")), kill);
  assert.deepEqual(changes.at(-1), { inForce: [], added: undefined });
  await store.reopen();
  assert.deepEqual((await open()).list(), []);
  assert.deepEqual(audit.types(), ["kill.set", "kill.lifted"]);
});

test("a second kill of one target leaves the first in force and is evidence too", async (context) => {
  const { kills, audit } = await setUp(context);
  await kills.set(order("all", "first", "owner"));
  const { kill, already } = await kills.set(order("all", "second", "user:ann"));
  assert.deepEqual([kill.why, kill.setBy, already], ["first", "owner", true]);
  assert.deepEqual(audit.types(), ["kill.set", "kill.set"]);
  assert.equal(kills.list().length, 1);
});

test("a kill holds though neither the store nor the audit can be written, and says so", async (context) => {
  const { kills, changes, store, audit, open } = await setUp(context);
  await store.refuseWrites();
  audit.fail(() => true);
  const { faults } = await kills.set(order("service:registrar"));
  assert.equal(faults.length, 2);
  assert.deepEqual(changes.at(-1)?.inForce, ["service:registrar"]);
  audit.fail(undefined);
  await store.reopen();
  assert.deepEqual((await open()).list(), [], "was not written");
});

test("a repetition writes what an earlier failure kept from the store", async (context) => {
  const { store, audit } = await setUp(context);
  const real = createKillStore(store.db);
  let failing = true;
  const kills = await createKills({
    store: {
      ...real,
      insert: (kill) => (failing ? Promise.reject(new Problem("store_unavailable")) : real.insert(kill)),
    },
    audit: audit.log,
    onChange: () => {},
  });
  assert.equal((await kills.set(order("all"))).faults.length, 1);
  assert.deepEqual(await real.load(), []);
  failing = false;
  assert.deepEqual((await kills.set(order("all"))).faults, []);
  assert.equal((await real.load()).length, 1);
});

test("a kill stays in force when lifting it cannot be recorded or written", async (context) => {
  const { kills, store, audit } = await setUp(context);
  await kills.set(order("all"));
  audit.fail(() => true);
  await assert.rejects(kills.lift(order("all")), isProblem("audit_unavailable"));
  audit.fail(undefined);
  await store.refuseWrites();
  await assert.rejects(kills.lift(order("all")), isProblem("store_unavailable"));
  assert.equal(kills.list().length, 1);
});

test("a kill set while another is being lifted holds, and outlives the process", async (context) => {
  const { kills, changes, open, store, audit } = await setUp(context);
  await kills.set(order("all"));
  const lifting = kills.lift(order("all"));
  const setting = kills.set(order("all", "again"));
  await assert.rejects(lifting, isProblem("invalid_request"));
  assert.deepEqual((await setting).faults, []);
  assert.deepEqual(audit.types(), ["kill.set", "kill.set"], "it was never lifted");
  assert.deepEqual(changes.at(-1)?.inForce, ["all"]);
  await store.reopen();
  assert.equal((await open()).list().length, 1);
});

test("a kill that comes in the middle of a lift is kept", async (context) => {
  const { store, audit } = await setUp(context);
  const real = createKillStore(store.db);
  let during: (() => unknown) | undefined;
  const kills = await createKills({
    store: {
      ...real,
      async remove(target) {
        await real.remove(target);
        during?.();
      },
    },
    audit: audit.log,
    onChange: () => {},
  });
  await kills.set(order("all"));
  let setting: ReturnType<typeof kills.set> | undefined;
  during = () => {
    setting = kills.set(order("all", "again"));
  };
  await assert.rejects(kills.lift(order("all")), isProblem("invalid_request"));
  await setting;
  assert.equal(kills.list().length, 1);
  assert.equal((await real.load()).length, 1);
});

test("neither what is not in force, nor what names nothing", async (context) => {
  const { kills, changes } = await setUp(context);
  await assert.rejects(kills.lift(order("all")), isProblem("invalid_request"));
  await assert.rejects(kills.set(order("nonsense")), isProblem("invalid_request"));
  assert.equal(changes.length, 1);
});
