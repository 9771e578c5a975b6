import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { openStore } from "./open-store.ts";
import { readSetting, writeSetting } from "./settings.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "doorward-store-"));
  path = join(folder, "state.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const unavailable = (words: RegExp) => (error: unknown) =>
  error instanceof Problem &&
  error.code === "store_unavailable" &&
  words.test(error.message) &&
  error.remedy.length > 10;

/** A closed state with enough rows to have several pages. */
async function filled(): Promise<void> {
  await using store = openStore({ path });
  for (let n = 0; n < 40; n += 1) await writeSetting(store.db, `s${n}`, Buffer.alloc(1000, n));
}

describe("openStore", () => {
  test("makes a private file and keeps what was written", async () => {
    {
      await using store = openStore({ path });
      await writeSetting(store.db, "a", Buffer.from("one"));
      for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
    await using store = openStore({ path });
    await writeSetting(store.db, "a", Buffer.from("two"));
    assert.deepEqual(Buffer.from((await readSetting(store.db, "a")) ?? []), Buffer.from("two"));
    assert.equal(await readSetting(store.db, "none"), undefined);
    assert.deepEqual(store.healthy(), { ok: true });
  });

  test("takes an open mode away", async () => {
    await filled();
    chmodSync(path, 0o644);
    await using _store = openStore({ path });
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test("commits durably: write-ahead log, fsync at each commit", async () => {
    await using store = openStore({ path });
    const { rows } = await (await import("kysely")).sql<{ synchronous: number }>`PRAGMA synchronous`.execute(store.db);
    assert.equal(rows[0]?.synchronous, 2);
    assert.ok(readdirSync(folder).includes("state.db-wal"));
  });

  test("refuses what is no database", () => {
    writeFileSync(path, "this is not a database, but it is long enough to look at ".repeat(40));
    assert.throws(() => openStore({ path }), unavailable(/damaged/));
  });

  test("refuses a truncated state, at any length but none", async () => {
    await filled();
    const whole = readFileSync(path);
    const page = 4096;
    for (const length of [100, 1000, page, page * 3, whole.length - page, whole.length - 512, whole.length - 1]) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      assert.throws(() => openStore({ path }), unavailable(/damaged/), String(length));
    }
  });

  test("refuses a state with a page of rubbish in it", async () => {
    await filled();
    const whole = readFileSync(path);
    for (const page of [1, 5, 10]) {
      writeFileSync(path, Buffer.from(whole).fill(0xee, page * 4096, (page + 1) * 4096));
      assert.throws(() => openStore({ path }), unavailable(/damaged/), String(page));
    }
  });

  test("refuses another program's database and a newer Doorward's", async () => {
    const other = join(folder, "other.db");
    const foreign = new DatabaseSync(other);
    foreign.exec("CREATE TABLE notes (text TEXT)");
    foreign.close();
    assert.throws(() => openStore({ path: other }), unavailable(/another program/));

    await filled();
    const newer = new DatabaseSync(path);
    newer.exec("INSERT INTO schema_migrations VALUES ('9999-later', '')");
    newer.close();
    assert.throws(() => openStore({ path }), unavailable(/newer Doorward/));
  });

  test("refuses a path where nothing can be made", () => {
    assert.throws(() => openStore({ path: join(folder, "none", "state.db") }), unavailable(/cannot be used/));
  });

  test("a transaction is undone as a whole, and nobody else's statement is in it", async () => {
    await using store = openStore({ path });
    const failing = store.db.transaction().execute(async (transaction) => {
      await writeSetting(transaction, "inside", Buffer.of(1));
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error("no");
    });
    const outside = writeSetting(store.db, "outside", Buffer.of(2));
    await assert.rejects(failing, /no/);
    await outside;
    assert.equal(await readSetting(store.db, "inside"), undefined);
    assert.notEqual(await readSetting(store.db, "outside"), undefined);
  });

  test("a violated constraint stays what it is; a closed state is unavailable", async () => {
    const store = openStore({ path });
    const kill = { target: "all", why: "", set_by: "", set_at: "" };
    await store.db.insertInto("kills").values(kill).execute();
    await assert.rejects(store.db.insertInto("kills").values(kill).execute(), /UNIQUE/);
    assert.deepEqual(store.healthy(), { ok: true });
    await store[Symbol.asyncDispose]();
    assert.equal(store.healthy().ok, false);
  });

  test("is not healthy when the file is taken away under it", async () => {
    await using store = openStore({ path });
    renameSync(path, `${path}.gone`);
    assert.equal(store.healthy().ok, false);
    renameSync(`${path}.gone`, path);
    assert.equal(store.healthy().ok, true);
  });

  test("a write that fails is a refusal, is remembered, and is over when writing works again", async () => {
    await using store = openStore({ path });
    const { sql } = await import("kysely");
    await sql`PRAGMA max_page_count = 1`.execute(store.db);
    await assert.rejects(writeSetting(store.db, "big", Buffer.alloc(1_000_000)), unavailable(/full/));
    await sql`PRAGMA max_page_count = 1000000`.execute(store.db);
    assert.equal(store.healthy().ok, true);
    await writeSetting(store.db, "big", Buffer.alloc(1_000_000));
  });
});
