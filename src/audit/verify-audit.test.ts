import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import {
  completed,
  decided,
  makeHome,
  openTestLog,
  readSegment,
  resealed,
  type TestHome,
  verifyIndependently,
  writeSegment,
} from "./evidence.testing.ts";
import { createNoteSigner } from "./signed-note.ts";
import { rechain } from "./vectors.testing.ts";
import { verifyAudit } from "./verify-audit.ts";

/** Both verifiers must say the same; the finding is the first one's. */
async function verdicts(home: TestHome, checkpoint?: string): Promise<{ ok: boolean; problems: string[] }> {
  const kept = join(home.home, "kept");
  if (checkpoint !== undefined) writeFileSync(kept, checkpoint);
  const ours = await verifyAudit({ folder: home.audit, ...(checkpoint === undefined ? {} : { checkpoint }) });
  const theirs = await verifyIndependently(home.audit, ...(checkpoint === undefined ? [] : [kept]));
  assert.equal(theirs.status, ours.ok ? 0 : 4, `${theirs.output} / ${JSON.stringify(ours.findings)}`);
  return { ok: ours.ok, problems: ours.findings.map(({ problem }) => problem) };
}

describe("verify", () => {
  let original: TestHome;
  let lines: string[];
  let note: string;

  before(async () => {
    original = makeHome();
    const log = await openTestLog(original);
    for (let index = 0; index < 6; index += 1) {
      await log.append(decided(`req_${index}`));
      await log.append(completed(`req_${index}`));
      if (index === 3) note = await log.checkpoint();
    }
    await log.close();
    lines = readSegment(original);
  });
  after(() => original[Symbol.dispose]());

  function copy(): TestHome {
    const home = makeHome();
    cpSync(original.audit, home.audit, { recursive: true });
    return home;
  }

  async function findsIn(changed: readonly string[], checkpoint?: string): Promise<string[]> {
    using home = copy();
    writeSegment(home, changed);
    const { ok, problems } = await verdicts(home, checkpoint);
    assert.equal(ok, false);
    return problems;
  }

  test("accepts what a node wrote, with and without a kept checkpoint, by audit folder, node folder or home", async () => {
    assert.deepEqual(await verdicts(original), { ok: true, problems: [] });
    assert.deepEqual(await verdicts(original, note), { ok: true, problems: [] });
    for (const folder of [original.node, original.home]) {
      const { ok, events, checkpoints, key } = await verifyAudit({ folder });
      assert.deepEqual(
        { ok, events, checkpoints, key },
        { ok: true, events: lines.length, checkpoints: 3, key: "unpinned" },
      );
    }
    assert.equal((await verifyIndependently(original.node)).status, 0);
  });

  test("law: any edit, drop, swap, duplicate or insertion of a line is found, unless it cuts the unsigned end", async () => {
    const at = fc.nat(lines.length - 1);
    const change = fc.oneof(
      fc.tuple(at, fc.nat(), fc.nat(255)).map(([line, place, by]) => {
        const bytes = Buffer.from(lines[line]!);
        const index = place % bytes.length;
        bytes[index] = bytes[index]! ^ (by || 1);
        return lines.map((text, number) => (number === line ? bytes.toString("latin1") : text));
      }),
      at.filter((line) => line < lines.length - 1).map((line) => lines.toSpliced(line, 1)),
      at.map((line) => lines.toSpliced(line, 0, lines[line]!)),
      fc
        .tuple(at, at)
        .filter(([one, other]) => one !== other)
        .map(([one, other]) => {
          const swapped = [...lines];
          [swapped[one], swapped[other]] = [lines[other]!, lines[one]!];
          return swapped;
        }),
      fc.tuple(at, at).map(([from, to]) => lines.toSpliced(to, 0, lines[from]!)),
      fc.tuple(at, fc.json()).map(([line, json]) => lines.toSpliced(line, 0, json)),
    );
    await fc.assert(
      fc.asyncProperty(change, async (changed) => {
        fc.pre(changed.join("\n") !== lines.join("\n"));
        await findsIn(changed);
      }),
      { numRuns: 150 },
    );
  });

  test("law: any flipped bit of the file is found", async () => {
    const bytes = readFileSync(join(original.node, "000001.jsonl"));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (place, bit) => {
        using home = copy();
        const flipped = Buffer.from(bytes);
        flipped[place] = flipped[place]! ^ (1 << bit);
        writeFileSync(join(home.node, "000001.jsonl"), flipped);
        assert.equal((await verdicts(home)).ok, false);
      }),
      { numRuns: 150 },
    );
  });

  test("law: a chain written anew after an edit is found by the signatures", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(lines.length - 3), async (line) => {
        assert.match((await findsIn(rechain(lines, line))).join("\n"), /not those that were signed|does not cover/);
        const dropped = rechain(lines.toSpliced(line, 1));
        assert.match(
          (await findsIn(dropped)).join("\n"),
          /does not cover|not those that were signed|no open decision|outcome/,
        );
      }),
      { numRuns: 30 },
    );
  });

  test("a line of the unsigned end that was edited and given a right hash does not fit the line after it", async () => {
    const unsigned = lines.slice(0, -1);
    using home = copy();
    writeSegment(home, unsigned);
    assert.equal((await verdicts(home)).ok, true);
    const edited = unsigned.with(-3, resealed(unsigned.at(-3)!));
    assert.deepEqual(await findsIn(edited), ["the line does not follow the line before it"]);
    const foreign = unsigned.with(-1, resealed(unsigned.at(-1)!, '"node":"node-1"', '"node":"node-2"'));
    assert.deepEqual(await findsIn(foreign), ["the line is of node `node-2`"]);
  });

  test("more than 1000 events without a checkpoint are found: somebody left the checkpoints out", async () => {
    const [first = ""] = lines;
    assert.equal(JSON.parse(first).type, "node.started");
    using home = copy();
    writeSegment(home, rechain(Array.from({ length: 1000 }, () => first)));
    assert.equal((await verdicts(home)).ok, true);
    const long = rechain(Array.from({ length: 1001 }, () => first));
    assert.deepEqual(await findsIn(long), ["more than 1000 events without a checkpoint"]);
  });

  test("bytes that are not UTF-8 are found, even where they read as the character that stands for such bytes", async () => {
    using home = makeHome();
    const log = await openTestLog(home);
    await log.append({ type: "config.loaded", data: { name: "\ufffd" } });
    await log.close();
    assert.equal((await verdicts(home)).ok, true);
    const bytes = readFileSync(join(home.node, "000001.jsonl"));
    const at = bytes.indexOf("\ufffd");
    writeFileSync(
      join(home.node, "000001.jsonl"),
      Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)]),
    );
    assert.deepEqual((await verdicts(home)).problems[0], "the line is not in its canonical form");
  });

  test("other ways to write the same JSON are found, even with a right hash", async () => {
    for (const change of [
      (line: string) => line.replace('"seq":3,', '"seq": 3,'),
      (line: string) => line.replace('"seq":3,', '"seq":3.0,'),
      (line: string) => line.replace('"v":1,"seq":3', '"seq":3,"v":1'),
      (line: string) => line.replace('"v":1,', '"v":1,"v":1,'),
      (line: string) => line.replace("dns", "\\u0064ns"),
    ]) {
      const body = change(lines[2]!).slice(0, change(lines[2]!).lastIndexOf(',"hash":'));
      const line = `${body},"hash":"${createHash("sha256").update(body).digest("hex")}"}`;
      assert.notEqual(line, lines[2]);
      const problems = await findsIn(lines.with(2, line));
      assert.match(problems[0] ?? "", /canonical form|order/);
    }
  });

  test("truncation, rollback and rewriting show against a kept checkpoint, and truncation of whole lines only there", async () => {
    const short = lines.slice(0, 2);
    assert.match((await findsIn(short, note)).join("\n"), /covers \d+ lines, and there are 2/);
    using home = copy();
    writeSegment(home, short);
    assert.equal((await verdicts(home)).ok, true);

    using rewritten = makeHome();
    const log = await openTestLog(rewritten);
    for (let index = 0; index < 20; index += 1) await log.append({ type: "config.loaded" });
    await log.close();
    assert.equal((await verdicts(rewritten)).ok, true);
    assert.match((await verdicts(rewritten, note)).problems.join("\n"), /not those of the checkpoint that was kept/);
  });

  test("a checkpoint that was kept must be whole, of a node that is here, and signed by its key", async () => {
    const foreign = createNoteSigner("node-1", Buffer.alloc(32, 9)).sign({ size: 3, root: Buffer.alloc(32) });
    const elsewhere = createNoteSigner("node-2", Buffer.alloc(32, 2)).sign({ size: 3, root: Buffer.alloc(32) });
    for (const [text, problem] of [
      [foreign, /not signed by this node's key/],
      [elsewhere, /`doorward\/node-2`, which is not here/],
      [note.replace(/\n\d+\n/, "\n1\n"), /not signed by this node's key/],
      [note.replace(/\n\d+\n/, "\n-1\n"), /cannot be read/],
      ["", /cannot be read/],
    ] as const) {
      assert.match((await verdicts(original, text)).problems.join("\n"), problem);
    }
  });

  test("a line cut in its middle, a call left open, a missing, renamed, empty or foreign segment are found", async () => {
    for (const [spoil, problem] of [
      [(home: TestHome) => appendFileSync(join(home.node, "000001.jsonl"), '{"v":1,'), /not written to its end/],
      [(home: TestHome) => writeSegment(home, lines.slice(0, 3)), /permitted and has no outcome/],
      [
        (home: TestHome) => renameSync(join(home.node, "000001.jsonl"), join(home.node, "000002.jsonl")),
        /`000001.jsonl` is missing/,
      ],
      [(home: TestHome) => writeSegment(home, lines.slice(5), 2), /repeated, or stands in another place/],
      [
        (home: TestHome) => copyFileSync(join(home.node, "key.pub"), join(home.node, "1.jsonl")),
        /does not belong here/,
      ],
      [(home: TestHome) => renameSync(home.node, join(home.audit, "node-2")), /is of/],
      [(home: TestHome) => truncateSync(join(home.node, "key.pub")), /public key cannot be read/],
      [(home: TestHome) => rmSync(join(home.node, "key.pub")), /public key is missing/],
    ] as const) {
      using home = copy();
      spoil(home);
      assert.match((await verdicts(home)).problems.join("\n"), problem);
    }
    assert.equal((await verifyAudit({ folder: join(original.home, "nowhere") })).ok, false);
  });

  test("a log that was written anew under another key shows against the key that was pinned", async () => {
    const publicKey = readFileSync(join(original.node, "key.pub"), "utf8");
    const pinned = await verifyAudit({ folder: original.audit, publicKey });
    assert.deepEqual([pinned.ok, pinned.key], [true, "pinned"]);

    using forged = makeHome();
    await (await openTestLog(forged, { signingSeed: Buffer.alloc(32, 7) })).close();
    assert.equal((await verdicts(forged)).ok, true);
    const verdict = await verifyAudit({ folder: forged.audit, publicKey });
    assert.match(verdict.findings.map(({ problem }) => problem).join("\n"), /not the one given[\s\S]*not signed/);
    assert.equal((await verifyAudit({ folder: original.audit, publicKey: "rubbish" })).ok, false);
    const other = createNoteSigner("node-2", Buffer.alloc(32, 2)).vkey;
    assert.equal((await verifyAudit({ folder: original.audit, publicKey: other })).ok, false);
  });

  test("of a running node, open calls and what follows its last durable line are not judged", async () => {
    using home = makeHome();
    await using log = await openTestLog(home);
    await log.append(decided("req_open"));
    const live = new Map([["node-1", log.head()]]);
    assert.equal((await verifyAudit({ folder: home.audit })).ok, false);
    assert.equal((await verifyAudit({ folder: home.audit, live })).ok, true);
    appendFileSync(join(home.node, "000001.jsonl"), '{"v":');
    assert.equal((await verifyAudit({ folder: home.audit, live })).ok, true);
    writeSegment(home, readSegment(home).slice(0, -1));
    assert.match(
      (await verifyAudit({ folder: home.audit, live })).findings[0]?.problem ?? "",
      /the running node is at/,
    );
  });
});
