import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { pendingApproval } from "./approval-states.ts";
import { describeApprovalStore } from "./approval-store.testing.ts";
import { createApprovalStore } from "./approval-store.ts";
import { holdRequest, testKeyring } from "./hold-request.testing.ts";

describeApprovalStore("SQLite", async (context) =>
  createApprovalStore({ db: tempStore(context).db, keyring: testKeyring() }),
);

test("a row edited in the file is not believed, whichever column it was", async (context) => {
  const { db } = tempStore(context);
  const store = createApprovalStore({ db, keyring: testKeyring() });
  const edits: Record<string, string | number | Buffer> = {
    status: "granted",
    agent: "other-bot",
    client: "key_two",
    user: "ann",
    tenant: "other",
    service: "bank",
    operation: "domains:read",
    digest: "e".repeat(64),
    basis: "c".repeat(64),
    message: "Read a domain",
    requested_at: "2020-01-01T00:00:00.000Z",
    expires_at: "2099-01-01T00:00:00.000Z",
    answered_at: "2026-03-01T10:00:00.000Z",
    answered_by: "owner",
    why: "fine",
    window_until: "once",
    used_at: "2026-03-01T10:00:00.000Z",
    told: 1,
    quorum: 0,
    granted_by: '[{"by":"owner","at":"2026-03-01T10:00:00.000Z"}]',
    tag: Buffer.alloc(32),
  };
  const columns = await sql<{ name: string }>`SELECT name FROM pragma_table_info('approvals')`.execute(db);
  const names = columns.rows.map(({ name }) => name).filter((name) => name !== "id" && name !== "sealed");
  assert.deepEqual(Object.keys(edits).sort(), names.sort(), "each column has its edit");
  for (const [column, value] of Object.entries(edits)) {
    const id = `apr_${column}`;
    const asked = pendingApproval(id, holdRequest({ digest: column }));
    await store.hold(asked, Buffer.from("x"));
    assert.equal((await store.find(id))?.ok, true);
    await sql`UPDATE approvals SET ${sql.ref(column)} = ${value} WHERE id = ${id}`.execute(db);
    assert.deepEqual(await store.find(id), { ok: false, id }, column);
  }
});

test("neither a renamed row, nor one of another home, is believed", async (context) => {
  const { db } = tempStore(context);
  const store = createApprovalStore({ db, keyring: testKeyring() });
  await store.hold(pendingApproval("apr_a", holdRequest()), Buffer.from("x"));
  for (const other of [
    createKeyring({ homeId: "home_other", homeKey: Buffer.alloc(32, 7) }),
    createKeyring({ homeId: "home_test", homeKey: Buffer.alloc(32, 8) }),
  ]) {
    assert.equal((await createApprovalStore({ db, keyring: other }).find("apr_a"))?.ok, false);
  }
  await sql`UPDATE approvals SET id = 'apr_b'`.execute(db);
  assert.deepEqual(await store.find("apr_b"), { ok: false, id: "apr_b" });
});
