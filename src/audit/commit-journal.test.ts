import assert from "node:assert/strict";
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type CommitJournal, openJournal } from "./commit-journal.ts";
import type { AuditEvent } from "./event.ts";
import { makeHome, openTestLog, readSegment, type TestHome, verifyIndependently } from "./evidence.testing.ts";
import { JOURNAL_BYTES, readRun } from "./journal-record.ts";
import { replayJournal } from "./replay-journal.ts";
import { createSegment, reopenSegment } from "./segment-file.ts";
import { verifyAudit } from "./verify-audit.ts";

const PAGE_BYTES = 4096;
const journalOf = (home: TestHome) => join(home.node, "journal");
const segmentOf = (home: TestHome) => join(home.node, "000001.jsonl");
const runIn = (home: TestHome) => readRun(readFileSync(journalOf(home)));
const numbered = (n: number, chars = 0): AuditEvent => ({
  type: "config.loaded",
  data: { n, long: "é".repeat(chars) },
});

/** What stands in the evidence: the numbers of the test's events, and the codes of repairs. */
function read(home: TestHome): { numbers: number[]; repairs: string[] } {
  const records = readSegment(home).map((line) => JSON.parse(line));
  return {
    numbers: records.map(({ n }) => n).filter((n) => n !== undefined),
    repairs: records.filter(({ type }) => type === "audit.repaired").map(({ code }) => code),
  };
}

/** The folder as the machine's disk would have it if the power failed now, with everything written back. */
function lostPower(home: TestHome): TestHome {
  const after = makeHome();
  cpSync(home.audit, after.audit, { recursive: true });
  return after;
}

/** A log in which these batches were acknowledged, at the instant after. The first session ended as it should. */
async function afterBatches(batches: readonly (readonly number[])[]): Promise<{ home: TestHome; count: number }> {
  using running = makeHome();
  await (await openTestLog(running)).close();
  await using log = await openTestLog(running);
  let count = 0;
  for (const sizes of batches) await Promise.all(sizes.map((size) => log.append(numbered(count++, size))));
  return { home: lostPower(running), count };
}

async function verifiesClean(home: TestHome): Promise<void> {
  assert.deepEqual((await verifyAudit({ folder: home.audit })).findings, []);
  const { status, output } = await verifyIndependently(home.audit);
  assert.equal(status, 0, output);
}

function writeInto(path: string, bytes: Buffer, position: number): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, position);
  closeSync(fd);
}

describe("after a loss of power", () => {
  const loss = fc.record({
    // A hundred thousand two-byte characters: a few of these fill the journal, and it begins anew.
    batches: fc.array(fc.array(fc.oneof(fc.nat(300), fc.constant(100_000)), { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 6,
    }),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    zeroed: fc.array(fc.nat(600), { maxLength: 4 }),
    tornRecord: fc.uint8Array({ maxLength: 200 }),
    tornLine: fc.boolean(),
  });

  test("law: whatever the segment lost since it was durable, each acknowledged line is there, once, in its place", async () => {
    await fc.assert(
      fc.asyncProperty(loss, async ({ batches, cut, zeroed, tornRecord, tornLine }) => {
        const { home: disposable, count } = await afterBatches(batches);
        using home = disposable;
        const whole = readFileSync(segmentOf(home));
        const run = runIn(home);
        assert.ok(run !== undefined);
        const runEnd = run.offset + run.bytes.length;
        // Compared as one: a difference of this size, shown, takes all of the memory.
        assert.ok(run.bytes.equals(whole.subarray(run.offset, runEnd)), "the journal holds what the segment does");
        // A batch that the journal had no room for: the segment was waited for, and the journal began anew.
        const settled = whole.length > runEnd;

        const kept = settled ? whole.length : Math.round(run.offset + cut * run.bytes.length);
        const left = Buffer.from(whole.subarray(0, kept));
        for (const page of settled ? [] : zeroed) {
          const from = Math.max(run.offset, page * PAGE_BYTES);
          if (from < kept) left.fill(0, from, Math.min(kept, from + PAGE_BYTES));
        }
        writeFileSync(segmentOf(home), left);
        const lost = !left.equals(whole);
        if (!lost && tornLine) writeFileSync(segmentOf(home), Buffer.concat([whole, Buffer.from('{"v":1,"se')]));
        const end = recordsEnd(readFileSync(journalOf(home)));
        if (end + tornRecord.length < JOURNAL_BYTES) writeInto(journalOf(home), Buffer.from(tornRecord), end);

        await (await openTestLog(home)).close();
        const { numbers, repairs } = read(home);
        assert.deepEqual(
          numbers,
          Array.from({ length: count }, (_, n) => n),
        );
        assert.deepEqual(repairs, lost ? ["journal_replayed"] : tornLine ? ["torn_line"] : []);
        await verifiesClean(home);
        await (await openTestLog(home)).close();
        assert.deepEqual(read(home).repairs, repairs);
      }),
      { numRuns: 15 },
    );
  });

  test("a journal that was full began anew, with what followed", async () => {
    const batches = Array.from({ length: 12 }, () => [100_000, 1]);
    const { home: disposable, count } = await afterBatches(batches);
    using home = disposable;
    const whole = readFileSync(segmentOf(home));
    const run = runIn(home);
    assert.ok(run !== undefined && whole.length > JOURNAL_BYTES);
    assert.deepEqual(whole.subarray(run.offset), run.bytes);
    truncateSync(segmentOf(home), run.offset);
    await (await openTestLog(home)).close();
    assert.deepEqual(read(home), {
      numbers: Array.from({ length: count }, (_, n) => n),
      repairs: ["journal_replayed"],
    });
    await verifiesClean(home);
  });

  test("a start that ends in the middle of putting back is followed by one that does it again", async () => {
    using home = (await afterBatches([[10], [20]])).home;
    const whole = readFileSync(segmentOf(home));
    truncateSync(segmentOf(home), runIn(home)?.offset);
    assert.deepEqual(await replayJournal(home.node), { segment: "000001.jsonl", bytes: runIn(home)?.bytes.length });
    truncateSync(segmentOf(home), whole.length - 100);
    assert.deepEqual(await replayJournal(home.node), { segment: "000001.jsonl", bytes: 100 });
    assert.equal(await replayJournal(home.node), undefined);
    assert.deepEqual(readFileSync(segmentOf(home)), whole);
    await (await openTestLog(home)).close();
    await verifiesClean(home);
  });

  test("in the instant after a new segment was begun, it is that one which is completed", async () => {
    using running = makeHome();
    await using log = await openTestLog(running, { segmentBytes: 3000 });
    for (let n = 0; n < 8; n += 1) await log.append(numbered(n, 100));
    using home = lostPower(running);
    const run = runIn(home);
    assert.ok(run !== undefined && run.index > 1 && run.offset === 0);
    truncateSync(join(home.node, `00000${run.index}.jsonl`), 0);
    await (await openTestLog(home)).close();
    await verifiesClean(home);
    const verdict = await verifyAudit({ folder: home.audit });
    assert.ok(verdict.events > 8 + 4);
  });

  test("a journal that was closed or settled puts nothing back", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    assert.equal(runIn(home), undefined);
    truncateSync(segmentOf(home), 0);
    await (await openTestLog(home)).close();
    assert.deepEqual(read(home).repairs, []);
  });

  test("copies without the journal open as they are", async () => {
    using home = (await afterBatches([[1], [2]])).home;
    rmSync(journalOf(home));
    await (await openTestLog(home)).close();
    assert.deepEqual(read(home), { numbers: [0, 1], repairs: [] });
    await verifiesClean(home);
  });
});

describe("what a loss of power does not explain", () => {
  /** Each spoils the segment of a log whose journal holds the last session. */
  const edits: Record<string, (segment: Buffer, from: number) => Buffer> = {
    "a byte changed": (segment, from) => segment.fill("x", from + 100, from + 101),
    "a byte changed and a page lost": (segment, from) => segment.fill("x", from + 5, from + 6).fill(0, from + 50),
    "the last line replaced by the beginning of another": (segment) => {
      const last = segment.lastIndexOf("\n", -2) + 1;
      return Buffer.concat([segment.subarray(0, last), Buffer.from('{"v":1,"seq":7')]);
    },
    "cut before what the journal goes on with": (segment, from) => segment.subarray(0, from - 1),
  };
  for (const [what, edit] of Object.entries(edits)) {
    test(`${what}: it is not undone, nothing is written, and the start is refused`, async () => {
      using home = (await afterBatches([[10], [10], [10]])).home;
      const from = runIn(home)?.offset ?? 0;
      const spoiled = edit(readFileSync(segmentOf(home)), from);
      writeFileSync(segmentOf(home), spoiled);
      const journal = readFileSync(journalOf(home));
      await assert.rejects(openTestLog(home), /000001\.jsonl` is damaged: .*`journal`/);
      assert.deepEqual(readFileSync(segmentOf(home)), spoiled);
      assert.deepEqual(readFileSync(journalOf(home)), journal);
      await (await openTestLog(home, { damage: "set_aside" })).close();
      assert.deepEqual(read(home), { numbers: [], repairs: ["set_aside"] });
      assert.deepEqual((await verifyAudit({ folder: home.node })).findings, []);
    });
  }

  test("a segment that was removed is missed", async () => {
    using home = (await afterBatches([[10]])).home;
    rmSync(segmentOf(home));
    await assert.rejects(openTestLog(home), /000001\.jsonl` is damaged: the file is missing/);
  });
});

describe("the file `journal`", () => {
  for (const [what, content] of [
    ["empty", Buffer.alloc(0)],
    ["short", Buffer.from("dwjrnl1\n")],
    ["long", Buffer.alloc(JOURNAL_BYTES + 5000, "x")],
    ["a header that claims more than there is", Buffer.from(`dwjrnl1\n${"\xff".repeat(40)}`, "latin1")],
  ] as const) {
    test(`${what}: it holds nothing, and is made anew`, async () => {
      using home = makeHome();
      await (await openTestLog(home)).close();
      writeFileSync(journalOf(home), content);
      await (await openTestLog(home)).close();
      assert.equal(statSync(journalOf(home)).size, JOURNAL_BYTES);
      assert.deepEqual(read(home).repairs, []);
      await verifiesClean(home);
    });
  }

  test("is never followed to somewhere else", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    rmSync(journalOf(home));
    const other = join(home.home, "other");
    writeFileSync(other, "not evidence");
    symlinkSync(other, journalOf(home));
    await assert.rejects(openTestLog(home), /ELOOP/);
    await assert.rejects(openJournal(home.node), /ELOOP/);
    await assert.rejects(replayJournal(home.node), /ELOOP/);
    rmSync(journalOf(home));
    mkdirSync(journalOf(home));
    await assert.rejects(openTestLog(home), /EISDIR/);
    assert.equal(readFileSync(other, "utf8"), "not evidence");
  });

  test("has its blocks before they are needed", async () => {
    using home = makeHome();
    await (await openTestLog(home)).close();
    truncateSync(journalOf(home), 0);
    truncateSync(journalOf(home), JOURNAL_BYTES);
    await (await openTestLog(home)).close();
    assert.ok(statSync(journalOf(home)).blocks * 512 >= JOURNAL_BYTES);
  });
});

describe("the records of a journal", () => {
  test("end where one is damaged, or is of an older generation", async () => {
    using home = makeHome();
    const journal = await openInNewFolder(home);
    let offset = 100;
    for (const text of ["one\n", "two\n", "three\n"]) offset += await commit(journal, offset, text);
    assert.equal(String(runIn(home)?.bytes), "one\ntwo\nthree\n");
    assert.equal(runIn(home)?.offset, 100);
    journal.restart();
    await commit(journal, 2 ** 40 + 1, "new\n");
    assert.deepEqual(
      { ...runIn(home) },
      { index: 1, offset: 2 ** 40 + 1, bytes: Buffer.from("new\n") },
      "records of the same length stand behind it",
    );
    await commit(journal, 2 ** 40 + 5, "torn\n");
    const bytes = readFileSync(journalOf(home));
    bytes[HEADER + 4 + HEADER + 2]! ^= 1;
    assert.equal(String(readRun(bytes)?.bytes), "new\n");
    assert.equal(readRun(bytes.subarray(0, HEADER + 3)), undefined);
    await journal.close();
  });

  test("of an older generation do not count, even where they would follow", async () => {
    using home = makeHome();
    const journal = await openInNewFolder(home);
    await commit(journal, 100, "one\n");
    await commit(journal, 104, "two\n");
    journal.restart();
    await commit(journal, 100, "new\n");
    assert.equal(String(runIn(home)?.bytes), "new\n");
    await journal.close();
  });

  test("follow each other in one segment, or end there", async () => {
    for (const next of [
      { index: 2, offset: 104 },
      { index: 1, offset: 105 },
    ]) {
      using home = makeHome();
      const journal = await openInNewFolder(home);
      await commit(journal, 100, "one\n");
      journal.stage(next, "two\n");
      journal.write();
      assert.equal(String(runIn(home)?.bytes), "one\n");
      await journal.close();
    }
  });

  test("what was withdrawn is gone, what stands before it stays; what was erased is gone", async () => {
    using home = makeHome();
    const journal = await openInNewFolder(home);
    await commit(journal, 0, "kept\n");
    journal.stage({ index: 1, offset: 5 }, "refused\n");
    journal.write();
    assert.equal(String(runIn(home)?.bytes), "kept\nrefused\n");
    await journal.withdraw();
    assert.equal(String(runIn(home)?.bytes), "kept\n");
    await journal.erase();
    assert.equal(runIn(home), undefined);
    await commit(journal, 5, "next\n");
    assert.equal(String(runIn(home)?.bytes), "next\n");
    await journal.close();
  });

  test("take what fits in any encoding, and no more", async () => {
    using home = makeHome();
    const journal = await openInNewFolder(home);
    const units = Math.floor((JOURNAL_BYTES - HEADER) / 3);
    assert.equal(journal.stage({ index: 1, offset: 0 }, "x".repeat(units + 1)), undefined);
    assert.equal(journal.stage({ index: 1, offset: 0 }, "€".repeat(units))?.length, units * 3);
    await journal.close();
  });
});

describe("a segment that is opened again after an error", () => {
  const LINE = '{"some":"line","hash":"aa"}\n';

  async function written(home: TestHome) {
    const journal = await openInNewFolder(home);
    const segment = await createSegment(home.node, 1, journal);
    await segment.append(LINE, () => undefined);
    await segment.append(LINE, () => undefined);
    return { journal, segment, at: { index: 1, offset: 2 * LINE.length } };
  }

  test("has what the system dropped of it put back before the journal is erased", async () => {
    using home = makeHome();
    const { journal, segment, at } = await written(home);
    await segment.abandon();
    writeInto(segmentOf(home), Buffer.alloc(LINE.length), 10);
    await (await reopenSegment(home.node, at, { hash: "aa" }, journal)).close();
    assert.equal(readFileSync(segmentOf(home), "utf8"), LINE + LINE);
    assert.equal(runIn(home), undefined);
    await journal?.close();
  });

  test("is not written to when somebody else wrote there", async () => {
    using home = makeHome();
    const { journal, segment, at } = await written(home);
    await segment.abandon();
    writeInto(segmentOf(home), Buffer.from("edit"), 10);
    await assert.rejects(reopenSegment(home.node, at, { hash: "aa" }, journal), /not what `journal` says/);
    assert.match(readFileSync(segmentOf(home), "utf8"), /edit/);
    assert.equal(String(runIn(home)?.bytes), LINE + LINE);
    await journal?.close();
  });

  test("shows nothing of a batch that did not succeed, nor does the journal, also before it is opened again", async () => {
    using home = makeHome();
    const { journal, segment } = await written(home);
    const spoilt = segment.append("refused\n", () => {
      throw new Error("no");
    });
    await assert.rejects(spoilt, /no/);
    assert.equal(String(runIn(home)?.bytes), `${LINE}${LINE}refused\n`);
    await segment.abandon();
    assert.equal(String(runIn(home)?.bytes), LINE + LINE);
    assert.equal(readFileSync(segmentOf(home), "utf8"), LINE + LINE);
    await journal?.close();
  });

  test("settles before the journal forgets", async () => {
    using home = makeHome();
    const { journal, segment } = await written(home);
    await segment.settle();
    assert.equal(runIn(home), undefined);
    const closed = await open(segmentOf(home), "r");
    await closed.close();
    await segment.append(LINE, () => undefined);
    await segment.close();
    await assert.rejects(segment.settle());
    assert.equal(String(runIn(home)?.bytes), LINE, "what could not be made durable is still held");
    await journal?.close();
  });
});

const HEADER = 32;

/** Where the records of a journal end, read apart from the code under test. */
function recordsEnd(journal: Buffer): number {
  const generation = journal.readUInt32LE(12);
  let at = 0;
  while (journal.toString("latin1", at, at + 8) === "dwjrnl1\n" && journal.readUInt32LE(at + 12) === generation) {
    at += HEADER + journal.readUInt32LE(at + 20);
  }
  return at;
}

async function openInNewFolder(home: TestHome): Promise<CommitJournal> {
  mkdirSync(home.node, { recursive: true });
  const journal = await openJournal(home.node);
  assert.ok(journal !== undefined);
  return journal;
}

async function commit(journal: CommitJournal, offset: number, text: string): Promise<number> {
  const staged = journal.stage({ index: 1, offset }, text);
  assert.ok(staged !== undefined);
  journal.write();
  await new Promise<void>((resolve, reject) => journal.sync((error) => (error === null ? resolve() : reject(error))));
  journal.keep();
  return staged.length;
}
