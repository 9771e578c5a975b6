import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { createKeyring } from "../vault/keyring.ts";
import { createLoginRecords } from "./login-records.ts";

test("a sealed sign-in opens in its own row alone: this service, this person, this kind and version", () => {
  const records = createLoginRecords(createKeyring({ homeId: "home", homeKey: randomBytes(32) }));
  const record = {
    id: "grt_1",
    endpoint: "https://mcp.example/mcp",
    issuer: "https://login.example",
    resource: "https://mcp.example/mcp",
    tokenEndpoint: "https://login.example/token",
    clientId: "client",
    method: "client_secret_basic",
    accessToken: "access",
    grantedAtMs: 0,
    issuedAtMs: 0,
  } as const;
  const row = records.sealGrant({ service: "notes", owner: "user:ada" }, 1, record);
  assert.deepEqual(records.openGrant(row), record);
  for (const moved of [{ service: "mail" }, { owner: "user:eve" }, { kind: "client" }, { version: 2 }] as const) {
    assert.equal(records.openGrant({ ...row, ...moved }), undefined, JSON.stringify(moved));
  }
});
