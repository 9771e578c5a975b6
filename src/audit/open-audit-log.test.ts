import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import {
  completed,
  decided,
  makeHome,
  openTestLog,
  readSegment,
  resealed,
  type TestHome,
  writeSegment,
} from "./evidence.testing.ts";
import { parseCheckpoint, parseVkey } from "./signed-note.ts";
import { verifyAudit } from "./verify-audit.ts";

const types = (lines: readonly string[]) => lines.map((line) => JSON.parse(line).type);

/** The folder as a process would leave it that ends now. */
function crashed(home: TestHome): TestHome {
  const after = makeHome();
  cpSync(home.audit, after.audit, { recursive: true });
  return after;
}

describe("a log", () => {
  test("writes lines in the form of the contract", async () => {
    using home = makeHome();
    await using log = await openTestLog(home);
    await log.append({
      ...decided("req_1"),
      user: 'a "b"\n\ud800',
      data: { scope: "registrar:domains:read", gone: undefined },
    });
    const lines = readSegment(home);
    const [first, line] = [lines[0] ?? "", lines.at(-1) ?? ""];
    assert.match(
      line,
      /^\{"v":1,"seq":\d+,"at":"2026-11-21T12:00:00\.\d{3}Z","node":"node-1","type":"call.decided","request_id":"req_1","agent":"dns-bot","tenant":"acme","user":"a \\"b\\"\\n\\ud800","service":"registrar","operation":"domains:read","decision":"permit","rules":\["role:dns-reader"\],"code":null,"scope":"registrar:domains:read","prev":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"\}$/,
    );
    const body = line.slice(0, line.lastIndexOf(',"hash":'));
    assert.equal(JSON.parse(line).hash, createHash("sha256").update(body).digest("hex"));
    assert.equal(JSON.parse(first).prev, "0".repeat(64));
    assert.equal(JSON.parse(line).prev, JSON.parse(lines.at(-2) ?? "").hash);
    assert.equal(JSON.parse(first).seq, 1);
  });

  test("keeps its files to their owner", async () => {
    using home = makeHome();
    await using _ = await openTestLog(home);
    assert.equal(statSync(home.node).mode & 0o777, 0o700);
    for (const name of readdirSync(home.node)) assert.equal(statSync(join(home.node, name)).mode & 0o777, 0o600, name);
  });

  test("gives equal digests to equal values, and others under another key", async () => {
    using home = makeHome();
    using other = makeHome();
    await using log = await openTestLog(home);
    await using foreign = await openTestLog(other, { digestKey: Buffer.alloc(32, 9) });
    assert.match(log.digest("value"), /^hmac:[0-9a-f]{32}$/);
    assert.equal(log.digest("value"), log.digest(Buffer.from("value")));
    assert.notEqual(log.digest("value"), foreign.digest("value"));
  });

  test("appends of one turn share a commit; what was awaited is in the file", async () => {
    using home = makeHome();
    await using log = await openTestLog(home);
    const [one, other] = [log.append({ type: "config.loaded" }), log.append({ type: "config.loaded" })];
    assert.equal(one, other);
    await one;
    assert.equal(types(readSegment(home)).filter((type) => type === "config.loaded").length, 2);
  });

  test("signs at least every 1000 events, and the note is one that others can read", async () => {
    using home = makeHome();
    await using log = await openTestLog(home, { now: () => new Date(0) });
    await Promise.all(Array.from({ length: 2500 }, () => log.append({ type: "config.loaded" })));
    const note = await log.checkpoint();
    assert.ok(parseVkey(readFileSync(join(home.node, "key.pub"), "utf8"))?.verifies(note));
    assert.equal(parseCheckpoint(note)?.size, log.head().seq - 1);
    const verdict = await verifyAudit({ folder: home.audit, checkpoint: note });
    assert.deepEqual(verdict.findings, []);
    assert.equal(verdict.checkpoints, 4);
  });

  test("refuses data that would make a line ambiguous, and goes on", async () => {
    using home = makeHome();
    await using log = await openTestLog(home);
    for (const name of ["hash", "prev", "seq", "code", "0"]) {
      await assert.rejects(log.append({ type: "config.loaded", data: { [name]: 1 } }), TypeError);
    }
    await assert.rejects(log.append({ type: "config.loaded", data: { long: "x".repeat(300_000) } }), RangeError);
    await log.append({ type: "config.loaded" });
    assert.equal((await verifyAudit({ folder: home.audit })).ok, true);
  });

  test("goes on in a new segment when one is full, and after a start", async () => {
    using home = makeHome();
    for (let start = 0; start < 3; start += 1) {
      await using log = await openTestLog(home, { segmentBytes: 4096 });
      for (let index = 0; index < 20; index += 1) await log.append({ type: "config.loaded" });
    }
    assert.ok(readdirSync(home.node).filter((name) => name.endsWith(".jsonl")).length > 3);
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  test("is closed once, and then takes nothing", async () => {
    using home = makeHome();
    const log = await openTestLog(home);
    await log.close();
    await log.close();
    await assert.rejects(log.append({ type: "config.loaded" }), { code: "audit_unavailable" });
    assert.equal(log.unavailable(), "the evidence is closed");
    assert.deepEqual(types(readSegment(home)).slice(-2), ["node.stopped", "audit.checkpoint"]);
  });
});

describe("a start", () => {
  test("completes as interrupted what a crash left open, and nothing else", async () => {
    using before = makeHome();
    const log = await openTestLog(before);
    await log.append(decided("req_done"));
    await log.append(decided("req_long"));
    await log.append(completed("req_done"));
    // Far back: named by a checkpoint, no longer among the lines after it.
    await Promise.all(Array.from({ length: 3000 }, () => log.append({ type: "config.loaded" })));
    await log.append(decided("req_late"));
    await log.append({ ...decided("req_denied"), decision: "deny" });
    using home = crashed(before);
    await log.close();

    await using _ = await openTestLog(home);
    const written = readSegment(home).map((line) => JSON.parse(line));
    const interrupted = written.filter(({ code }) => code === "interrupted");
    assert.deepEqual(
      interrupted.map(({ type, request_id, agent, service, operation }) => [
        type,
        request_id,
        agent,
        service,
        operation,
      ]),
      [
        ["call.completed", "req_long", "dns-bot", "registrar", "domains:read"],
        ["call.completed", "req_late", "dns-bot", "registrar", "domains:read"],
      ],
    );
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  test("cuts a torn last line and says so", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    const torn = `{"v":1,"seq":${"9".repeat(10_000)}`;
    appendFileSync(join(home.node, "000001.jsonl"), torn);
    await using _ = await openTestLog(home);
    const repaired = readSegment(home)
      .map((line) => JSON.parse(line))
      .find(({ type }) => type === "audit.repaired");
    const sha256 = createHash("sha256").update(torn).digest("hex");
    assert.deepEqual([repaired.segment, repaired.bytes, repaired.sha256], ["000001.jsonl", torn.length, sha256]);
    assert.equal((await verifyAudit({ folder: home.audit })).ok, true);
  });

  test("whatever length the file was cut to, it opens and verifies", async () => {
    using original = makeHome();
    const log = await openTestLog(original);
    await log.append(decided("req_1"));
    await log.append(completed("req_1"));
    await log.close();
    const bytes = readFileSync(join(original.node, "000001.jsonl"));
    for (let length = 0; length < bytes.length; length += 97) {
      writeFileSync(join(original.node, "000001.jsonl"), bytes.subarray(0, length));
      await using _ = await openTestLog(original);
      assert.deepEqual((await verifyAudit({ folder: original.audit })).findings, [], String(length));
    }
  });

  test("goes on when a crash came between a new segment and its first line", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    writeFileSync(join(home.node, "000002.jsonl"), "");
    await (await openTestLog(home)).close();
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  for (const [what, spoil] of [
    ["an edited line", (lines: string[]) => lines.with(4, lines[4]!.replace("config", "konfig"))],
    ["an edited line that has a right hash", (lines: string[]) => lines.with(4, resealed(lines[4]!))],
    ["a missing line", (lines: string[]) => lines.toSpliced(4, 1)],
    ["a swapped line", (lines: string[]) => lines.with(4, lines[5]!).with(5, lines[4]!)],
    ["a foreign line", (lines: string[]) => [...lines, "{}"]],
  ] as const) {
    test(`refuses a chain with ${what} at its end, and sets it aside when told to`, async () => {
      using before = makeHome();
      const log = await openTestLog(before);
      for (let index = 0; index < 5; index += 1) await log.append({ type: "config.loaded" });
      using home = crashed(before);
      await log.close();
      const spoiled = spoil(readSegment(home));
      writeSegment(home, spoiled);
      await assert.rejects(openTestLog(home), (error: unknown) => {
        assert.ok(error instanceof Problem);
        assert.equal(error.code, "audit_unavailable");
        assert.match(error.message, /000001\.jsonl` is damaged/);
        return /audit verify/.test(error.remedy);
      });
      assert.deepEqual(readSegment(home), spoiled);

      await using _ = await openTestLog(home, { damage: "set_aside" });
      const first = JSON.parse(readSegment(home)[0] ?? "");
      assert.deepEqual([first.type, first.code, first.segment], ["audit.repaired", "set_aside", "000001.jsonl"]);
      assert.ok(existsSync(join(home.audit, first.moved_to, "000001.jsonl")));
    });
  }

  test("refuses a chain of another key, a missing segment, and a wrong name for a node", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    await assert.rejects(openTestLog(home, { signingSeed: Buffer.alloc(32, 5) }), /not this node's key/);
    rmSync(join(home.node, "key.pub"));
    await assert.rejects(openTestLog(home, { signingSeed: Buffer.alloc(32, 5) }), /not signed by this node's key/);
    writeSegment(home, readSegment(home), 3);
    await assert.rejects(openTestLog(home), /a segment is missing/);
    await assert.rejects(openTestLog(home, { node: "../x" }), TypeError);
  });

  test("reads back no further than it must: 20,000 events are not looked at", async () => {
    using home = makeHome();
    const log = await openTestLog(home, { segmentBytes: 1024 * 1024 });
    await Promise.all(Array.from({ length: 20_000 }, () => log.append({ type: "config.loaded" })));
    await log.close();
    truncateSync(join(home.node, "000001.jsonl"));
    await (await openTestLog(home)).close();
    assert.equal((await verifyAudit({ folder: home.audit })).ok, false);
  });
});
