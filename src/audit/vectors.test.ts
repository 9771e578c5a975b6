import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { makeHome, verifyIndependently } from "./evidence.testing.ts";
import { type AuditVector, makeVectors } from "./vectors.testing.ts";
import { verifyAudit } from "./verify-audit.ts";

const FILE = new URL("../../docs/verify/vectors/vectors.json", import.meta.url);

describe("the published vectors", () => {
  const vectors: AuditVector[] = JSON.parse(readFileSync(FILE, "utf8"));

  test("are those that this version makes", async () => {
    assert.deepEqual(
      vectors,
      JSON.parse(JSON.stringify(await makeVectors())),
      "the line format changed? then make them anew with `node src/audit/write-vectors.testing.ts`, and say so in CHANGELOG",
    );
  });

  for (const { name, files, checkpoint, ok } of vectors) {
    test(`${ok ? "good" : "bad"}: ${name}`, async () => {
      using home = makeHome();
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(home.audit, path)), { recursive: true });
        writeFileSync(join(home.audit, path), content);
      }
      const kept = join(home.home, "kept");
      if (checkpoint !== undefined) writeFileSync(kept, checkpoint);
      const verdict = await verifyAudit({ folder: home.audit, ...(checkpoint === undefined ? {} : { checkpoint }) });
      assert.equal(verdict.ok, ok, JSON.stringify(verdict.findings));
      const theirs = await verifyIndependently(home.audit, ...(checkpoint === undefined ? [] : [kept]));
      assert.equal(theirs.status, ok ? 0 : 4, theirs.output);
    });
  }
});
