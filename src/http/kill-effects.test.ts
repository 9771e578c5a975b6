import assert from "node:assert/strict";
import { test } from "node:test";
import type { Killable } from "../policy/kills.ts";
import { createKillEffects } from "./kill-effects.ts";

const LISTENERS: readonly Killable[] = [
  { agent: "bot", client: "key_1", user: "alice", tenant: "red" },
  { agent: "bot", client: "key_2", user: undefined, tenant: "red" },
  { agent: "other", client: "key_3", user: "alice", tenant: undefined },
];
const LEASES = [
  { ref: "local:token", service: "registrar" },
  { ref: "env:TOKEN", service: "mail" },
];

function fixture(revokeKilled: () => Promise<number> = async () => 3) {
  const asked: string[] = [];
  const listeners = (name: string) => (whose?: (who: Killable) => boolean) => {
    const covered = LISTENERS.filter((who) => whose?.(who) ?? true);
    for (const { client } of covered) asked.push(`${name} ${client}`);
    return covered.length;
  };
  const effects = createKillEffects({
    active: { cut: () => ({ stopped: 5, streams: 2 }) },
    vault: { dropLeases: (covers) => LEASES.filter(covers).length },
    snapshot: () => ({ services: new Map() }),
    sessions: { silence: listeners("session") },
    subscriptions: () => ({ endAll: listeners("subscription") }),
    sse: () => ({ endAll: listeners("sse") }),
    servers: () => ({
      upstreams: { dropParked: () => {}, stopService: async () => 0 },
      execSessions: { cut: () => 1 },
    }),
    revokeKilled,
  });
  const kill = (target: string) => ({ target, why: "", setBy: "owner", setAt: new Date(0) });
  return { effects, kill, asked };
}

for (const [target, clients] of [
  ["all", ["key_1", "key_2", "key_3"]],
  ["agent:bot", ["key_1", "key_2"]],
  ["client:key_2", ["key_2"]],
  ["user:alice", ["key_1", "key_3"]],
  ["tenant:red", ["key_1", "key_2"]],
  ["service:registrar", []],
] as const) {
  test(`a kill of ${target} ends what ${clients.length} of three clients listen to, however they do`, async () => {
    const { effects, kill, asked } = fixture();
    effects.apply(kill(target));
    const ways = ["session", "subscription", "sse"];
    assert.deepEqual(
      asked,
      ways.flatMap((way) => clients.map((client) => `${way} ${client}`)),
    );
    const effect = effects.take(target)!;
    assert.equal(effect.streams, 2 + ways.length * clients.length);
    assert.deepEqual([await effect.children, await effect.tokens], [1, 3]);
    assert.equal(effects.take(target), undefined, "it is told once");
  });
}

for (const [target, leases] of [
  ["all", 2],
  ["service:mail", 1],
  ["secret:token", 1],
  ["secret:local:token", 1],
  ["secret:env:TOKEN", 1],
  ["secret:TOKEN", 0],
  ["agent:bot", 0],
] as const) {
  test(`a kill of ${target} drops ${leases} of two leases`, () => {
    const { effects, kill } = fixture();
    effects.apply(kill(target));
    assert.equal(effects.take(target)?.leases, leases);
  });
}

test("what a kill could not take back is told to who asks, and ends no process before", async () => {
  const { effects, kill } = fixture(async () => {
    throw new Error("the disk is full");
  });
  effects.apply(kill("all"));
  // A rejection that nobody handles until here would end the process, and fails this test.
  await new Promise((resolve) => setImmediate(resolve));
  const effect = effects.take("all")!;
  await assert.rejects(effect.tokens, /the disk is full/);
  assert.equal(await effect.children, 1);
});
