import assert from "node:assert/strict";
import { test } from "node:test";
import type { Principal } from "../identity/principal.ts";
import { findKill, indexKills, type Kill, killOfPrincipal, killOfService } from "./kills.ts";

const principal: Principal = {
  agent: "bot",
  client: "key_1",
  user: undefined,
  tenant: "acme",
  environment: undefined,
  purpose: undefined,
  task: undefined,
  ip: "unix",
  token: { kind: "api_key", id: "key_1", expiresAt: new Date("2030-01-01") },
};
const service = { config: { name: "dns", tenant: "other", credential: { secret: "local:dns-key" } } };

function kill(target: string): Kill {
  return { target, why: "drill", setBy: "owner", setAt: new Date("2026-01-01") };
}

test("each kind of target stops the call it names, and no other", () => {
  const call = { principal, service, scopes: ["dns:records:delete"] };
  const hits = [
    "all",
    "agent:bot",
    "client:key_1",
    "tenant:acme",
    "tenant:other",
    "service:dns",
    "secret:dns-key",
    "secret:local:dns-key",
    "operation:dns:records:delete",
  ];
  for (const target of hits) assert.equal(findKill(indexKills([kill(target)]), call)?.target, target);
  const misses = [
    "agent:bo",
    "agent:bot2",
    "service:dns2",
    "secret:dns",
    "operation:dns:records",
    "tenant:none",
    "user:x",
  ];
  for (const target of misses) assert.equal(findKill(indexKills([kill(target)]), call), undefined, target);
  assert.equal(findKill(indexKills(misses.map(kill)), call), undefined);
});

test("the widest kill is the one that is named", () => {
  const kills = indexKills(["operation:dns:a", "service:dns", "agent:bot", "all"].map(kill));
  assert.equal(findKill(kills, { principal, service, scopes: ["dns:a"] })?.target, "all");
  assert.equal(killOfPrincipal(indexKills([kill("service:dns")]), principal), undefined);
  assert.equal(killOfService(indexKills([kill("agent:bot")]), service), undefined);
});

test("a service without credential or tenant has no kill of one", () => {
  const bare = { config: { name: "open", credential: undefined } };
  const kills = indexKills(["secret:undefined", "tenant:undefined", "secret:"].map(kill));
  assert.equal(killOfService(kills, bare), undefined);
});

test("a person whose id is `user:NAME` is stopped by that id, as it stands in every call, and nobody else is", () => {
  const kills = indexKills([kill("user:alice")]);
  const by = (user: string | undefined) => killOfPrincipal(kills, { ...principal, user })?.target;
  assert.deepEqual([by("user:alice"), by("alice")], ["user:alice", "user:alice"]);
  assert.deepEqual([by("user:bob"), by("user:alice2"), by("link:alice"), by(undefined)], Array(4).fill(undefined));
});
