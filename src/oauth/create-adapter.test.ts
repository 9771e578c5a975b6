import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { AccessTokens } from "./access-tokens.ts";
import { createAdapterFactory } from "./create-adapter.ts";
import { createTokenLoader } from "./load-token.ts";
import { OAuthClients } from "./oauth-clients.ts";
import { createOAuthStore } from "./oauth-store.ts";
import { createRecordSeal } from "./record-seal.ts";

const USES = 100;

async function adapters(context: Parameters<typeof tempStore>[0]) {
  const keyring = createKeyring({ homeId: "home", homeKey: randomBytes(32) });
  const store = createOAuthStore(tempStore(context).db);
  const audit = recordingAudit().log;
  const seal = createRecordSeal(keyring);
  return createAdapterFactory({
    store,
    seal,
    audit,
    clients: await OAuthClients.load({ store, keyring, audit }),
    tokens: new AccessTokens(createTokenLoader({ store, seal })),
    now: () => new Date(),
    registeringAgent: () => undefined,
    invalidGrant: (why) => new Error(why),
  });
}

/** Starts all uses before any of them ends. @returns How many went well. */
async function atOnce(use: () => Promise<void>): Promise<number> {
  const ends = await Promise.allSettled(Array.from({ length: USES }, use));
  return ends.filter(({ status }) => status === "fulfilled").length;
}

test("of a hundred that consume one code, refresh token or device code at once, all but one are told", async (context) => {
  const adapter = await adapters(context);
  for (const model of ["AuthorizationCode", "RefreshToken", "DeviceCode"]) {
    const records = adapter(model);
    await records.upsert("value", { clientId: "c", exp: 4_000_000_000 }, 60);
    assert.equal(await atOnce(() => records.consume("value")), 1, model);
    assert.equal(await atOnce(() => records.consume("value")), 0, model);
    assert.notEqual((await records.find("value"))?.["consumed"], undefined);
  }
});

test("of a hundred that bring one proof at once, all but one are told", async (context) => {
  const proofs = (await adapters(context))("ReplayDetection");
  assert.equal(await atOnce(() => proofs.upsert("jti", { iss: "c" }, 60)), 1);
  assert.equal(await atOnce(() => proofs.upsert("jti", { iss: "c" }, 60)), 0);
  assert.equal(await atOnce(() => proofs.upsert("other", { iss: "c" }, 60)), 1);
});
