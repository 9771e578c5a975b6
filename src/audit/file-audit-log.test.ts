import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FIRST_TIP } from "./audit-chain.ts";
import { openJournal } from "./commit-journal.ts";
import { writeSmallFile } from "./durable-files.ts";
import type { AuditEvent } from "./event.ts";
import { completed, decided, makeHome, readSegment, type TestHome } from "./evidence.testing.ts";
import { SegmentedAuditLog } from "./file-audit-log.ts";
import { createSegment, fillReserve, type SegmentFile } from "./segment-file.ts";
import { createNoteSigner } from "./signed-note.ts";
import { verifyAudit } from "./verify-audit.ts";

interface Rig {
  readonly log: SegmentedAuditLog;
  /** The next append to the first segment fails so; the bytes are written before. */
  failNext(code: string): void;
  /** Moves the clock. */
  pass(ms: number): void;
}

async function rig(home: TestHome): Promise<Rig> {
  await mkdir(home.node, { recursive: true });
  const signer = createNoteSigner("node-1", Buffer.alloc(32, 2));
  await writeSmallFile(home.node, "key.pub", signer.vkey);
  await fillReserve(home.node);
  const journal = await openJournal(home.node);
  const real = await createSegment(home.node, 1, journal);
  const behind = openSync(join(home.node, "000001.jsonl"), "r+");
  let code: string | undefined;
  let ms = 0;
  const segment: SegmentFile = {
    index: 1,
    get offset() {
      return real.offset;
    },
    async append(text, written) {
      const failing = code;
      code = undefined;
      if (failing === undefined) return real.append(text, written);
      written();
      writeSync(behind, text, real.offset);
      throw Object.assign(new Error(`${failing}: injected`), { code: failing });
    },
    settle: () => real.settle(),
    abandon: () => {
      closeSync(behind);
      return real.abandon();
    },
    close: () => real.close(),
  };
  const log = new SegmentedAuditLog({
    folder: home.node,
    node: "node-1",
    signer,
    digestKey: Buffer.alloc(32),
    now: () => new Date(ms),
    segmentBytes: 1 << 20,
    tip: FIRST_TIP,
    segment,
    journal,
    open: [],
    reserved: true,
  });
  return {
    log,
    failNext: (failing) => {
      code = failing;
    },
    pass: (span) => {
      ms += span;
    },
  };
}

const LOADED: AuditEvent = { type: "config.loaded" };
const written = (home: TestHome) => readSegment(home).map((line) => JSON.parse(line));

test("work for the meantime is done once, before the event is durable; none of a batch that is refused", async () => {
  using home = makeHome();
  const { log, failNext } = await rig(home);
  const done: string[] = [];
  await log.append(decided("req_1"), () => done.push("meanwhile")).then(() => done.push("durable"));
  assert.deepEqual(done, ["meanwhile", "durable"]);
  failNext("EIO");
  await assert.rejects(log.append(decided("req_2"), () => done.push("again")));
  assert.ok(done.filter((word) => word === "again").length <= 1);
  await log.close();
});

describe("a commit that fails", () => {
  test("rejects the decisions of the batch, keeps its outcomes, and leaves no trace of what was rejected", async () => {
    using home = makeHome();
    const { log, failNext } = await rig(home);
    await log.append(decided("req_1"));
    failNext("EIO");
    const results = await Promise.allSettled([
      log.append(decided("req_2")),
      log.append(completed("req_1")),
      log.append(decided("req_3")),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled", "rejected"],
    );
    assert.equal((results[0] as PromiseRejectedResult).reason.code, "audit_unavailable");
    assert.equal(log.unavailable(), undefined);
    await log.append(decided("req_4"));
    await log.append(completed("req_4"));
    await log.close();
    const ids = written(home)
      .map(({ request_id }) => request_id)
      .filter(Boolean);
    assert.deepEqual(ids, ["req_1", "req_1", "req_4", "req_4"]);
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  test("an append during the way back waits for it", async () => {
    using home = makeHome();
    const { log, failNext } = await rig(home);
    failNext("EIO");
    const failed = log.append(LOADED);
    await assert.rejects(failed.then(undefined, (error) => Promise.all([log.append(LOADED), Promise.reject(error)])));
    await log.close();
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  test("with a full disk, outcomes are written from the reserve and decisions refused, until there is space", async () => {
    using home = makeHome();
    const { log, failNext, pass } = await rig(home);
    const told: (string | undefined)[] = [];
    log.onUnavailable((reason) => told.push(reason));
    await log.append(decided("req_1"));
    failNext("ENOSPC");
    await assert.rejects(log.append(decided("req_2")), { code: "audit_unavailable" });
    assert.equal(existsSync(join(home.node, "reserve")), false);
    assert.match(log.unavailable() ?? "", /disk is full/);
    await assert.rejects(log.append(decided("req_3")), { code: "audit_unavailable" });
    await log.append(completed("req_1"));
    await log.append({ type: "kill.set" });
    pass(1000);
    await log.append(decided("req_4"));
    assert.equal(log.unavailable(), undefined);
    assert.ok(existsSync(join(home.node, "reserve")));
    await log.append(completed("req_4"));
    await log.close();
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
    assert.equal(told.at(-1), undefined);
    assert.ok(told.some((reason) => reason?.includes("full")));
  });

  test("an outcome that fails again and again is written once, as interrupted", async () => {
    using home = makeHome();
    const { log, failNext, pass } = await rig(home);
    await log.append(decided("req_1"));
    failNext("EIO");
    renameSync(home.node, `${home.node}-gone`);
    await assert.rejects(log.append(completed("req_1")), { code: "audit_unavailable" });
    await assert.rejects(log.append(completed("req_1")), { code: "audit_unavailable" });
    for (let round = 0; round < 2; round += 1) {
      pass(1000);
      await log.probe();
    }
    renameSync(`${home.node}-gone`, home.node);
    pass(1000);
    await log.probe();
    await log.checkpoint();
    await log.close();
    assert.equal(written(home).filter(({ type }) => type === "call.completed").length, 1);
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });

  test("where there is no way back, it fails fast, retries at most every second, and completes what it could not write", async () => {
    using home = makeHome();
    const { log, failNext, pass } = await rig(home);
    await log.append(decided("req_1"));
    failNext("EIO");
    renameSync(home.node, `${home.node}-gone`);
    await assert.rejects(log.append(completed("req_1")), { code: "audit_unavailable" });
    assert.doesNotMatch(readFileSync(join(`${home.node}-gone`, "000001.jsonl"), "utf8"), /call\.completed/);
    assert.match(log.unavailable() ?? "", /ENOENT/);
    await assert.rejects(log.append(LOADED), { code: "audit_unavailable" });
    renameSync(`${home.node}-gone`, home.node);
    await assert.rejects(log.append(LOADED), { code: "audit_unavailable" });
    pass(1000);
    assert.equal(await log.probe(), undefined);
    await log.append(LOADED);
    await log.close();
    const outcomes = written(home).filter(({ type }) => type === "call.completed");
    assert.deepEqual(
      outcomes.map(({ request_id, code }) => [request_id, code]),
      [["req_1", "interrupted"]],
    );
    assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  });
});
