import assert from "node:assert/strict";
import { test } from "node:test";
import { killActions } from "./admin-kills.ts";
import type { KillEffect } from "./kill-effects.ts";

const NOW = new Date("2026-11-21T12:00:00Z");

function kill(effect: KillEffect | undefined) {
  const order = { target: "agent:bot", why: "lost", setBy: "owner", setAt: NOW };
  const kills = {
    set: async () => ({ kill: order, already: effect === undefined, faults: ["it is not in the evidence"] }),
    lift: async () => order,
    list: () => [order],
  };
  const actions = killActions({ kills, effects: { take: () => effect }, now: () => NOW });
  const set = actions.find(({ name }) => name === "kill.set")!;
  return set.run({ target: "agent:bot", why: "lost" }, "owner") as Promise<Record<string, unknown>>;
}

test("a kill that could not end or take back everything is in force, and says what is left", async () => {
  const failed = Promise.reject(new Error("the disk is full"));
  failed.catch(() => {});
  const answer = await kill({ streams: 1, leases: 2, children: failed, tokens: failed });
  assert.deepEqual([answer["streams_cut"], answer["children_ended"], answer["tokens_revoked"]], [1, 0, 0]);
  assert.equal((answer["faults"] as string[]).length, 3);
});

test("one that was in force already did nothing more", async () => {
  const answer = await kill(undefined);
  assert.deepEqual([answer["already"], answer["streams_cut"], answer["children_ended"]], [true, 0, 0]);
  assert.deepEqual(answer["faults"], ["it is not in the evidence"]);
});
