import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKillTarget } from "./parse-kill-target.ts";

test("every kind of target", () => {
  for (const target of [
    "all",
    "agent:dns-bot",
    "service:registrar",
    "secret:registrar",
    "secret:local:registrar",
    "secret:env:INTRANET_KEY",
    "secret:file:keys/a.txt",
    "tenant:acme",
    "operation:registrar:records:delete",
    "operation:registrar:all",
    "client:key_3fGh5kLmN8pQ",
    "client:https://client.example/id.json",
  ]) {
    assert.deepEqual(parseKillTarget(target), { ok: true, target });
    assert.deepEqual(parseKillTarget(` ${target}\n`), { ok: true, target });
  }
});

test("what names nothing says what to write", () => {
  for (const text of [
    "",
    "dns-bot",
    "agent",
    "agent:",
    "agent:DNS",
    "agent:dns_bot",
    "agent:a b",
    "agent:*",
    "agents:a",
    "constructor:a",
    "__proto__:a",
    "ALL",
    "all:x",
    "operation:registrar",
    "operation:registrar:",
    "client:",
    "client:a b",
    "client:\u202e",
    `client:${"x".repeat(600)}`,
  ]) {
    const parsed = parseKillTarget(text);
    assert.equal(parsed.ok, false, text);
    assert.ok(!parsed.ok && parsed.problem !== "" && parsed.remedy.includes("`"));
  }
});
