import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { KEK_TEXT, kekSources, memoryKeychain, temporaryFolder } from "./home.testing.ts";
import { createKek, defaultKekChoice, describeKek, openKek, parseKekChoice } from "./kek.ts";
import { keyFromMaterial } from "./key-material.ts";

const ID = "ab".repeat(16);
const unavailable = (words: RegExp) => (error: unknown) =>
  error instanceof Problem && error.code === "secret_unavailable" && words.test(error.message) && error.remedy !== "";

describe("parseKekChoice", () => {
  const good = {
    passphrase: { kind: "passphrase" },
    keychain: { kind: "keychain" },
    file: { kind: "file", path: undefined },
    "file:/a/b:c": { kind: "file", path: "/a/b:c" },
    "env:MY_KEK": { kind: "env", name: "MY_KEK" },
    "exec:op read op://x/y": { kind: "exec", command: "op read op://x/y" },
  };
  for (const [text, choice] of Object.entries(good)) {
    test(`reads ${text}`, () => assert.deepEqual(parseKekChoice(text), choice));
  }
  for (const text of [
    "",
    "none",
    "file:",
    "env:",
    "env",
    "env:A-B",
    "exec:",
    "exec: ",
    "passphrase:hunter2",
    "keychain:x",
  ]) {
    test(`refuses \`${text}\``, () => assert.throws(() => parseKekChoice(text), Problem));
  }
});

describe("keyFromMaterial", () => {
  const key = Buffer.from(KEK_TEXT, "hex");
  test("takes 32 bytes raw, in hex and in base64, with a line break", () => {
    for (const text of [KEK_TEXT, key.toString("base64"), key.toString("base64url")]) {
      for (const end of ["", "\n", "\r\n"]) assert.deepEqual(keyFromMaterial(Buffer.from(text + end)), key);
    }
    const raw = Buffer.alloc(32, 0x0a);
    assert.deepEqual(keyFromMaterial(raw), raw);
  });
  test("hashes longer material and refuses shorter", () => {
    const long = keyFromMaterial(Buffer.from("x".repeat(50)));
    assert.equal(long?.length, 32);
    assert.notDeepEqual(long, keyFromMaterial(Buffer.from("x".repeat(51))));
    for (const length of [0, 1, 16, 31]) assert.equal(keyFromMaterial(Buffer.alloc(length, 0x78)), undefined);
    assert.equal(keyFromMaterial(Buffer.from(`${"x".repeat(31)}\n\n`.slice(0, 31))), undefined);
    assert.equal(keyFromMaterial(Buffer.alloc(64 * 1024 + 1, 0x78)), undefined);
  });
});

describe("createKek and openKek", () => {
  test("without a choice: the keychain when one answers, else a private file outside the home, with a warning", async () => {
    using folder = temporaryFolder();
    const keychain = memoryKeychain({ answers: true });
    assert.deepEqual(await defaultKekChoice(kekSources(folder.path, { keychain }), ID), { kind: "keychain" });
    const sources = kekSources(folder.path);
    const choice = await defaultKekChoice(sources, ID);
    assert.deepEqual(choice, { kind: "file", path: undefined });
    const { record, kek } = await createKek(choice, ID, sources);
    const path = join(folder.path, "config", "doorward", `kek-${ID}`);
    assert.deepEqual(record, { kind: "file", path });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder.path, "config", "doorward")).mode & 0o777, 0o700);
    assert.deepEqual(await openKek(record, sources), kek);
    assert.match(describeKek(record, join(folder.path, "home")).warning ?? "", /lies in a file/);
    assert.match(describeKek(record, folder.path).warning ?? "", /in the home/);
  });

  test("keychain: stored there and read back; the record holds no key", async () => {
    using folder = temporaryFolder();
    const keychain = memoryKeychain({ answers: true });
    const sources = kekSources(folder.path, { keychain });
    const { record, kek } = await createKek({ kind: "keychain" }, ID, sources);
    assert.deepEqual(await openKek(record, sources), kek);
    assert.deepEqual(record, { kind: "keychain", account: `kek-${ID}` });
    keychain.entries.clear();
    await assert.rejects(openKek(record, sources), unavailable(/no entry/));
    await assert.rejects(
      createKek({ kind: "keychain" }, ID, kekSources(folder.path)),
      unavailable(/no keychain answers/),
    );
  });

  test("file: takes the owner's own and does not write over it; refuses one that others can reach", async () => {
    using folder = temporaryFolder();
    const sources = kekSources(folder.path);
    const path = join(folder.path, "my.key");
    writeFileSync(path, `${KEK_TEXT}\n`, { mode: 0o600 });
    const { record, kek } = await createKek({ kind: "file", path }, ID, sources);
    assert.deepEqual(kek, Buffer.from(KEK_TEXT, "hex"));
    assert.equal(readFileSync(path, "utf8"), `${KEK_TEXT}\n`);
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o666]) {
      chmodSync(path, mode);
      await assert.rejects(openKek(record, sources), unavailable(/chmod 600/), mode.toString(8));
    }
    chmodSync(path, 0o600);
    const strangers = kekSources(folder.path, { uid: 4242 });
    if (process.geteuid?.() !== 0) await assert.rejects(openKek(record, strangers), unavailable(/another user/));
    writeFileSync(path, "short");
    await assert.rejects(openKek(record, sources), unavailable(/32 bytes/));
    const asFolder = join(folder.path, "dir");
    mkdirSync(asFolder, { mode: 0o700 });
    await assert.rejects(openKek({ kind: "file", path: asFolder }, sources), unavailable(/not a regular file|EISDIR/));
  });

  test("env: read each time; missing is said by name", async () => {
    using folder = temporaryFolder();
    const { record, kek } = await createKek({ kind: "env", name: "KEK" }, ID, kekSources(folder.path));
    assert.deepEqual(kek, Buffer.from(KEK_TEXT, "hex"));
    await assert.rejects(
      openKek(record, kekSources(folder.path, { environment: () => undefined })),
      unavailable(/`KEK` is not set/),
    );
  });

  test("exec: its output is the key; failing, silent, endless or late, it is refused without its output", async () => {
    using folder = temporaryFolder();
    const sources = kekSources(folder.path);
    const run = async (command: string) => (await createKek({ kind: "exec", command }, ID, sources)).kek;
    assert.deepEqual(await run(`echo ${KEK_TEXT}`), Buffer.from(KEK_TEXT, "hex"));
    await assert.rejects(run(`echo ${KEK_TEXT}; exit 3`), (error) => {
      assert.ok(unavailable(/status 3/)(error));
      return error instanceof Problem && !`${error.message}${error.reason}`.includes(KEK_TEXT);
    });
    await assert.rejects(run("true"), unavailable(/32 bytes/));
    await assert.rejects(run("yes"), unavailable(/more than 64 KiB/));
    await assert.rejects(run("kill -9 $$"), unavailable(/ended by SIGKILL/));
    await assert.rejects(run("/no/such/command 2>/dev/null"), unavailable(/status 127/));
  });

  test("passphrase: opens with the same one, typed in any Unicode form; not without a terminal; not too short", async () => {
    using folder = temporaryFolder();
    const typing = (passphrase: string) => kekSources(folder.path, { askPassphrase: async () => passphrase });
    const { record, kek } = await createKek({ kind: "passphrase" }, ID, typing("correct horse caf\u00e9"));
    assert.deepEqual(await openKek(record, typing("correct horse cafe\u0301")), kek);
    assert.notDeepEqual(await openKek(record, typing("correct horse cafe!")), kek);
    assert.ok(record.kind === "passphrase" && record.memory_kib >= 19_456 && record.passes >= 2);
    await assert.rejects(openKek(record, kekSources(folder.path)), unavailable(/no terminal/));
    await assert.rejects(createKek({ kind: "passphrase" }, ID, typing("too short")), /9 characters/);
  });
});
