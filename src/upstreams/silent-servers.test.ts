import assert from "node:assert/strict";
import { test } from "node:test";
import { createSilentServers } from "./silent-servers.ts";

const NOON = new Date("2026-03-01T12:00:00.000Z");
const at = (ms: number) => new Date(NOON.getTime() + ms);
const MUTE = { service: "mute", agent: "bot" };

test("a server that was given up is remembered for half a minute", () => {
  const silent = createSilentServers();
  assert.equal(silent.isSilent(MUTE, NOON), false);
  silent.gaveUp(MUTE, NOON);
  assert.equal(silent.isSilent(MUTE, at(29_999)), true);
  assert.deepEqual(silent.since("mute", at(1)), NOON);
  assert.equal(silent.isSilent(MUTE, at(30_000)), false);
  assert.equal(silent.since("mute", at(30_000)), undefined);
  silent.gaveUp(MUTE, at(30_000));
  assert.equal(silent.isSilent(MUTE, at(59_999)), true);
});

test("a clock that is set back keeps no server out", () => {
  const silent = createSilentServers();
  silent.gaveUp(MUTE, NOON);
  assert.equal(silent.isSilent(MUTE, at(-3_600_000)), false);
});

test("a server that answers, or that the owner turns to, is waited for again", () => {
  const silent = createSilentServers();
  silent.gaveUp(MUTE, NOON);
  silent.answered(MUTE);
  assert.equal(silent.isSilent(MUTE, NOON), false);
  silent.gaveUp(MUTE, NOON);
  silent.forget("mute");
  assert.equal(silent.isSilent(MUTE, NOON), false);
});

test("a question is asked again when the one before is over, and by each session for itself", async () => {
  const silent = createSilentServers();
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = silent.again(MUTE, "ses_1", () => promise);
  assert.equal(
    silent.again(MUTE, "ses_1", () => promise),
    undefined,
  );
  const other = silent.again(MUTE, "ses_2", async () => Promise.reject(new Error("no")));
  await assert.rejects(other!, /no/);
  resolve("here");
  assert.equal(await first, "here");
  assert.equal(await silent.again(MUTE, "ses_1", async () => "again"), "again");
});

test("what is silent for one agent is waited for on behalf of another", () => {
  const silent = createSilentServers();
  silent.gaveUp(MUTE, NOON);
  assert.equal(silent.isSilent({ ...MUTE, agent: "other" }, NOON), false);
  assert.equal(silent.isSilent({ ...MUTE, service: "other" }, NOON), false);
});

test("so many pairs are remembered, the latest of them", () => {
  const silent = createSilentServers();
  for (let each = 0; each <= 1_024; each++) silent.gaveUp({ service: "mute", agent: `bot${each}` }, NOON);
  assert.equal(silent.isSilent({ service: "mute", agent: "bot0" }, NOON), false);
  assert.equal(silent.isSilent({ service: "mute", agent: "bot1024" }, NOON), true);
});
