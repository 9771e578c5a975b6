import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Problem } from "../base/problem.ts";
import { NOON, type OpenHome, openHome, temporaryFolder } from "./home.testing.ts";
import { LEASE_TTL_MS } from "./leases.ts";

const ORIGIN = "https://api.example";
const API = { service: "api", origin: ORIGIN };
const PAIRING = { ref: "local:a", ...API };
const after = (ms: number) => new Date(NOON.getTime() + ms);
const value = (text: string) => Buffer.from(text, "utf8");

const refused =
  (code: string, words = /./) =>
  (error: unknown) =>
    error instanceof Problem && error.code === code && words.test(`${error.message} ${error.reason ?? ""}`);

const leaseOf = async (open: OpenHome, ref = "local:a", pairing = API, now = NOON) =>
  open.vault.lease(ref, pairing, now);
const textOf = async (...args: Parameters<typeof leaseOf>) => (await leaseOf(...args)).secret.reveal();

/** A home with one secret, bound to one service. */
async function homeWithSecret(home: string, text = "first-value-of-a"): Promise<OpenHome> {
  const open = await openHome(home);
  await open.vault.setSecret({ name: "a", value: value(text) }, NOON);
  await open.vault.bindServices([PAIRING], "bind", NOON);
  return open;
}

describe("createVault", () => {
  test("a secret that was set is leased to the service it is bound to, also after a restart", async () => {
    using folder = temporaryFolder();
    {
      await using open = await homeWithSecret(folder.path);
      assert.equal(await textOf(open), "first-value-of-a");
      assert.equal((await leaseOf(open)).version, "1");
      assert.deepEqual(
        open.audit.events.map(({ type }) => type),
        ["secret.set", "secret.bound", "secret.read"],
      );
    }
    await using again = await openHome(folder.path);
    await assert.rejects(leaseOf(again), refused("secret_unavailable", /never loaded/));
    await again.vault.bindServices([PAIRING], "bind", NOON);
    assert.equal(await textOf(again), "first-value-of-a");
    assert.deepEqual(
      again.audit.events.map(({ type }) => type),
      ["secret.read"],
    );
  });

  test("a secret that goes to several hosts is bound to all of them, and to a further one when a person confirms", async () => {
    using folder = temporaryFolder();
    const at = (...hosts: string[]) => hosts.map((host) => ({ ...PAIRING, origin: `https://${host}.example` }));
    const lease = (open: OpenHome, host: string) =>
      textOf(open, "local:a", { ...API, origin: `https://${host}.example` });
    {
      await using open = await openHome(folder.path);
      await open.vault.setSecret({ name: "a", value: value("first-value-of-a") }, NOON);
      assert.deepEqual(await open.vault.bindServices(at("one", "two"), "bind", NOON), []);
      assert.deepEqual([await lease(open, "one"), await lease(open, "two")], ["first-value-of-a", "first-value-of-a"]);
      await assert.rejects(lease(open, "three"), refused("secret_unavailable"));
      assert.deepEqual((await open.vault.listSecrets(NOON))[0]?.usedBy, ["api"]);
    }
    await using again = await openHome(folder.path);
    assert.deepEqual(await again.vault.bindServices(at("two"), "bind", NOON), []);
    await assert.rejects(lease(again, "one"), refused("secret_unavailable"), "no longer in the file");
    assert.equal((await again.vault.bindServices(at("two", "three"), "bind", NOON))[0]?.why, "origin_changed");
    await assert.rejects(lease(again, "two"), refused("secret_unavailable", /origin of the service changed/));
    await again.vault.confirmService("api", "owner", NOON);
    assert.deepEqual(
      [await lease(again, "two"), await lease(again, "three")],
      ["first-value-of-a", "first-value-of-a"],
    );
  });

  test("refuses by rejection, never by throwing at the caller", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const answer = open.vault.lease("local:a", API, NOON);
    assert.ok(answer instanceof Promise);
    await assert.rejects(answer, Problem);
  });

  test("no value is in any file of the home, nor in an event, an error or a list", async () => {
    using folder = temporaryFolder();
    const texts = ["first-value-of-a", "second-value-of-a", "value-of-removed"];
    await using open = await homeWithSecret(folder.path, texts[0]);
    await leaseOf(open);
    await open.vault.rotateSecret({ name: "a", value: value(texts[1] ?? "") }, NOON);
    await open.vault.setSecret({ name: "gone", value: value(texts[2] ?? "") }, NOON);
    await open.vault.removeSecret("gone");
    const lease = await leaseOf(open);
    const seen = [
      inspect([lease, open.audit.events, await open.vault.listSecrets(NOON)], { depth: 9 }),
      JSON.stringify([lease, open.audit.events]),
      ...readdirSync(folder.path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1")),
    ].join("\n");
    for (const text of texts) {
      for (const form of [text, value(text).toString("base64").slice(0, 16), value(text).toString("hex")]) {
        assert.ok(!seen.includes(form), form);
      }
    }
  });

  test("the bytes given are overwritten, also when they are refused", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const good = value("a-good-value");
    await open.vault.setSecret({ name: "a", value: good }, NOON);
    const bad = value("short");
    await assert.rejects(
      open.vault.setSecret({ name: "b", value: bad }, NOON),
      refused("invalid_request", /shorter than 8/),
    );
    assert.ok(good.every((byte) => byte === 0) && bad.every((byte) => byte === 0));
  });

  test("a short value needs the owner's word and says so in its lease", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    assert.deepEqual(await open.vault.setSecret({ name: "a", value: value("pin1"), short: "accept" }, NOON), {
      name: "a",
      version: 1,
      short: true,
    });
    await open.vault.bindServices([PAIRING], "bind", NOON);
    assert.equal((await leaseOf(open)).short, true);
    await open.vault.setSecret({ name: "a", value: value("long-enough"), short: "accept" }, NOON);
    assert.equal((await leaseOf(open)).short, false);
  });

  test("refuses names, values and dates that cannot be", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    for (const name of ["", "A", "a_b", "1a", "a/b", "a".repeat(65), "__proto__"]) {
      await assert.rejects(
        open.vault.setSecret({ name, value: value("long-enough") }, NOON),
        refused("invalid_request"),
        name,
      );
    }
    for (const text of ["line\nbreak-in-it", " spaces-around ", ""]) {
      await assert.rejects(open.vault.setSecret({ name: "a", value: value(text) }, NOON), refused("invalid_request"));
    }
    const late = { name: "a", value: value("long-enough"), expiresAt: NOON };
    await assert.rejects(open.vault.setSecret(late, NOON), refused("invalid_request", /future/));
    await assert.rejects(
      open.vault.rotateSecret({ name: "a", value: value("long-enough") }, NOON),
      refused("not_found"),
    );
    await assert.rejects(open.vault.removeSecret("a"), refused("not_found"));
    assert.deepEqual(open.audit.events, []);
  });

  test("rotation, replacement and removal end the leases", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    await leaseOf(open);
    await open.vault.rotateSecret({ name: "a", value: value("second-value-of-a") }, after(1));
    assert.equal(await textOf(open), "second-value-of-a");
    await open.vault.setSecret({ name: "a", value: value("third-value-of-a") }, after(2));
    assert.equal(await textOf(open), "third-value-of-a");
    assert.deepEqual(await open.vault.removeSecret("a"), { name: "a", usedBy: ["api"] });
    await assert.rejects(leaseOf(open), refused("secret_unavailable", /never set/));
    const types = open.audit.events.map(({ type }) => type).filter((type) => type !== "secret.read");
    assert.deepEqual(types, ["secret.set", "secret.bound", "secret.rotated", "secret.set", "secret.removed"]);
  });

  test("a kill ends leases and counts them", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    const first = await leaseOf(open);
    assert.equal(
      open.vault.dropLeases(({ service }) => service === "other"),
      0,
    );
    assert.equal(
      open.vault.dropLeases(({ ref }) => ref === "local:a"),
      1,
    );
    assert.notEqual(await leaseOf(open), first);
  });

  test("an expired secret is refused, a lease does not outlast it, and the list says so", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    await open.vault.setSecret({ name: "a", value: value("long-enough"), expiresAt: after(1000) }, NOON);
    await open.vault.bindServices([PAIRING], "bind", NOON);
    assert.deepEqual((await leaseOf(open)).expiresAt, after(1000));
    await assert.rejects(leaseOf(open, "local:a", API, after(1000)), refused("secret_unavailable", /expired/));
    assert.equal((await open.vault.listSecrets(after(1000)))[0]?.state, "expired");
  });

  test("without evidence nothing changes and nothing is leased", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    open.audit.failing = true;
    await assert.rejects(leaseOf(open), refused("audit_unavailable"));
    await assert.rejects(
      open.vault.setSecret({ name: "a", value: value("second-value-of-a") }, NOON),
      refused("audit_unavailable"),
    );
    await assert.rejects(open.vault.removeSecret("a"), refused("audit_unavailable"));
    const second = { ...PAIRING, service: "second" };
    await assert.rejects(open.vault.bindServices([PAIRING, second], "bind", NOON), refused("audit_unavailable"));
    open.audit.failing = false;
    await assert.rejects(leaseOf(open, "local:a", second), refused("secret_unavailable"));
    assert.equal(await textOf(open), "first-value-of-a");
  });

  test("a change that failed after its event is followed by an event that says so", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    const { sql } = await import("kysely");
    await sql`CREATE TRIGGER no_write BEFORE UPDATE ON secrets BEGIN SELECT RAISE(IGNORE); END`.execute(open.store.db);
    await assert.rejects(
      open.vault.rotateSecret({ name: "a", value: value("second-value-of-a") }, NOON),
      refused("store_unavailable"),
    );
    assert.deepEqual(
      open.audit.events.slice(-2).map(({ type, code }) => [type, code]),
      [
        ["secret.rotated", undefined],
        ["secret.rotated", "store_unavailable"],
      ],
    );
    assert.equal(await textOf(open), "first-value-of-a");
  });

  test("lists without values, with who uses what; a damaged entry fails alone", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    const b = { ref: "local:b", service: "other", origin: "https://b.example" };
    await open.vault.setSecret({ name: "b", value: value("value-of-b-here") }, NOON);
    await open.vault.bindServices([PAIRING, b], "bind", NOON);
    await open.store.db.updateTable("secrets").set({ short: 1 }).where("name", "=", "a").execute();
    assert.deepEqual(
      (await open.vault.listSecrets(NOON)).map(({ name, version, usedBy, state }) => ({
        name,
        version,
        usedBy,
        state,
      })),
      [
        { name: "a", version: 1, usedBy: ["api"], state: "damaged" },
        { name: "b", version: 1, usedBy: ["other"], state: "ok" },
      ],
    );
    await assert.rejects(leaseOf(open), refused("secret_unavailable", /damaged/));
    assert.equal(await textOf(open, "local:b", b), "value-of-b-here");
  });

  test("ciphertexts swapped in the database open under neither name", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    await open.vault.setSecret({ name: "b", value: value("value-of-b-here") }, NOON);
    const [a, b] = await open.store.db.selectFrom("secrets").selectAll().orderBy("name").execute();
    assert.ok(a && b);
    const { name: _a, ...fieldsOfA } = a;
    const { name: _b, ...fieldsOfB } = b;
    await open.store.db.updateTable("secrets").set(fieldsOfB).where("name", "=", "a").execute();
    await open.store.db.updateTable("secrets").set(fieldsOfA).where("name", "=", "b").execute();
    assert.deepEqual(
      (await open.vault.listSecrets(NOON)).map(({ state }) => state),
      ["damaged", "damaged"],
    );
  });

  test("another origin or name of the service is refused until the owner confirms; the old pairing then rests", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    await leaseOf(open);
    const moved = { ...PAIRING, origin: "https://evil.example" };
    assert.deepEqual(await open.vault.bindServices([moved], "bind", NOON), [{ ...moved, why: "origin_changed" }]);
    await assert.rejects(leaseOf(open, "local:a", moved), (error) => {
      assert.ok(error instanceof Problem);
      assert.match(error.remedy, /doorward service confirm api/);
      assert.ok(!error.message.includes("local:a"));
      return refused("secret_unavailable", /origin of the service changed/)(error);
    });
    await assert.rejects(leaseOf(open), refused("secret_unavailable"));
    assert.deepEqual(await open.vault.confirmService("api", "owner", NOON), [moved]);
    assert.equal(await textOf(open, "local:a", moved), "first-value-of-a");
    assert.deepEqual(open.audit.events.findLast(({ type }) => type === "secret.bound")?.data, {
      secret: "local:a",
      origin: "https://evil.example",
      by: "owner",
    });
    const renamed = { ...moved, service: "renamed" };
    assert.deepEqual(await open.vault.bindServices([renamed], "bind", NOON), [{ ...renamed, why: "renamed" }]);
    await assert.rejects(leaseOf(open, "local:a", renamed), refused("secret_unavailable", /another service's/));
    assert.equal((await open.vault.confirmService("renamed", "owner", NOON)).length, 1);
    assert.equal(await textOf(open, "local:a", renamed), "first-value-of-a");
    assert.deepEqual(await open.vault.confirmService("unknown", "owner", NOON), []);
  });

  test("what is held stays held over restarts, also when what caused it is gone", async () => {
    using folder = temporaryFolder();
    const renamed = { ...PAIRING, service: "renamed" };
    {
      await using open = await homeWithSecret(folder.path);
      await open.vault.bindServices([renamed], "bind", NOON);
      await open.vault.unbindService("api");
    }
    await using again = await openHome(folder.path);
    assert.deepEqual(await again.vault.bindServices([renamed], "bind", NOON), [{ ...renamed, why: "unconfirmed" }]);
    await assert.rejects(leaseOf(again, "local:a", renamed), refused("secret_unavailable", /not confirmed/));
  });

  test("a service that was removed is new when it comes back", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    await leaseOf(open);
    await open.vault.unbindService("api");
    await assert.rejects(leaseOf(open), refused("secret_unavailable"));
    const elsewhere = { ...PAIRING, origin: "https://new.example" };
    assert.deepEqual(await open.vault.bindServices([elsewhere], "bind", NOON), []);
    assert.equal(await textOf(open, "local:a", elsewhere), "first-value-of-a");
  });

  const edits: Readonly<Record<string, (open: OpenHome) => Promise<unknown>>> = {
    "an edited origin": (open) =>
      open.store.db.updateTable("bindings").set({ origin: "https://evil.example" }).execute(),
    "an edited state": (open) => open.store.db.updateTable("bindings").set({ state: "held" }).execute(),
    "an edited service": (open) => open.store.db.updateTable("bindings").set({ service: "evil" }).execute(),
    "a row taken away": (open) => open.store.db.deleteFrom("bindings").execute(),
    "the tag over the set taken away": (open) =>
      open.store.db.deleteFrom("settings").where("name", "=", "bindings_tag").execute(),
    "a row added": (open) =>
      open.store.db
        .insertInto("bindings")
        .values({
          secret: "local:a",
          service: "evil",
          origin: "https://evil.example",
          state: "bound",
          bound_at: "",
          tag: Buffer.alloc(32),
        })
        .execute(),
  };
  for (const [name, edit] of Object.entries(edits)) {
    test(`${name} in the database binds nothing, and a confirmation mends it`, async () => {
      using folder = temporaryFolder();
      {
        await using open = await homeWithSecret(folder.path);
        await edit(open);
      }
      await using again = await openHome(folder.path);
      const evil = { ref: "local:a", service: "evil", origin: "https://evil.example" };
      const moved = { ...PAIRING, origin: "https://evil.example" };
      for (const pairings of [[evil], [moved], [PAIRING, evil]]) {
        await again.vault.bindServices(pairings, "bind", NOON);
        for (const pairing of [evil, moved])
          await assert.rejects(leaseOf(again, "local:a", pairing), refused("secret_unavailable"));
      }
      assert.ok(again.audit.events.every(({ type }) => type !== "secret.bound"));
      await again.vault.confirmService("api", "owner", NOON);
      assert.equal(await textOf(again), "first-value-of-a");
      await again.vault.bindServices([PAIRING, evil], "bind", NOON);
      await assert.rejects(leaseOf(again, "local:a", evil), refused("secret_unavailable"));
    });
  }

  test("a lease under way when the file changes is not handed out", async () => {
    using folder = temporaryFolder();
    await using open = await homeWithSecret(folder.path);
    const gate = Promise.withResolvers<void>();
    open.audit.gate = gate.promise;
    const waiting = leaseOf(open);
    await open.vault.unbindService("api");
    gate.resolve();
    await assert.rejects(waiting, refused("secret_unavailable", /not bound/));
  });

  test("reads the environment, files below the home and the keychain; each reading is fresh", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    writeFileSync(join(folder.path, "key.txt"), "value-of-a-file\r\n");
    symlinkSync("key.txt", join(folder.path, "link"));
    open.environment.set("KEY", "value-of-a-variable");
    const refs = ["env:KEY", "file:key.txt", "file:link", `file:${join(folder.path, "key.txt")}`];
    await open.vault.bindServices(
      refs.map((ref) => ({ ref, ...API })),
      "bind",
      NOON,
    );
    assert.equal(await textOf(open, "env:KEY"), "value-of-a-variable");
    for (const ref of refs.slice(1)) assert.equal(await textOf(open, ref), "value-of-a-file");
    const { version } = await leaseOf(open, "env:KEY");
    open.environment.set("KEY", "another-value");
    assert.notEqual((await leaseOf(open, "env:KEY", API, after(LEASE_TTL_MS))).version, version);
  });

  test("refuses what outside the vault is missing, too short, not text, not a file, or too large", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const file = (name: string, content: string | Buffer) => writeFileSync(join(folder.path, name), content);
    file("short", "1234567\n");
    file("two-lines", "first-line-of-it\nsecond");
    file("binary", Buffer.of(0xff, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8));
    file("large", Buffer.alloc(70_000, 0x61));
    execFileSync("mkfifo", [join(folder.path, "pipe")]);
    open.environment.set("SHORT", "1234567");
    const names = ["none", "short", "two-lines", "binary", "large", "pipe", ".", "/dev/zero"];
    const refs = [...names.map((name) => `file:${name}`), "env:SHORT", "env:NONE", "keychain:none", "vault:none"];
    await open.vault.bindServices(
      refs.map((ref) => ({ ref, ...API })),
      "bind",
      NOON,
    );
    for (const ref of refs) await assert.rejects(leaseOf(open, ref), refused("secret_unavailable"), ref);
    assert.ok(open.audit.events.every(({ type }) => type === "secret.bound"));
  });
});
