import assert from "node:assert/strict";
import { test } from "node:test";
import type { OAuthRecord } from "./oauth-store.ts";
import { liveTokenOf } from "./record-seal.ts";

test("a token whose authorization details cannot be read is none: it never becomes a wider one", () => {
  const record = { model: "AccessToken", id: "hash", revokedAt: undefined } as OAuthRecord;
  const payload = { clientId: "client_1", aud: "https://broker.example/mcp", scope: "*", iat: 1, exp: 2 };
  assert.equal(liveTokenOf(record, payload, undefined).details, undefined);
  const rar = [{ type: "doorward", purpose: "audit" }];
  assert.deepEqual(liveTokenOf(record, { ...payload, rar }, undefined).details, { purpose: "audit" });
  for (const unreadable of [null, "[]", {}, [{ type: "another" }], [...rar, ...rar], [{ ...rar[0], later: 1 }]]) {
    assert.throws(() => liveTokenOf(record, { ...payload, rar: unreadable }, undefined), /cannot be read/);
  }
});
