import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createLineCutter } from "./message-lines.ts";

function cut(chunks: readonly Buffer[], lineBytes = 10, floodBytes = 1_000) {
  const lines: string[] = [];
  const ends: string[] = [];
  let floods = 0;
  const push = createLineCutter(
    { lineBytes, floodBytes },
    {
      line: (bytes) => void lines.push(bytes.toString()),
      oversized: ({ start, end }) => void ends.push(`${start}|${end}`),
      flooded: () => void floods++,
    },
  );
  for (const chunk of chunks) push(chunk);
  return { lines, ends, floods };
}

test("lines do not depend on how they were cut", () => {
  const line = fc.string({ unit: fc.constantFrom("a", "b", "é"), maxLength: 20 });
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(30)), (texts, sizes) => {
      const whole = Buffer.from(texts.map((text) => `${text}\n`).join(""));
      const chunks: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        chunks.push(whole.subarray(at, at + size));
        at += size;
      }
      chunks.push(whole.subarray(at));
      assert.equal(cut(chunks).ends.length, cut([whole]).ends.length);
      assert.deepEqual(cut(chunks).lines, cut([whole]).lines);
      const small = texts.filter((text) => text !== "" && Buffer.byteLength(text) <= 10);
      assert.deepEqual(cut([whole]).lines, small);
    }),
    { numRuns: 200 },
  );
});

test("a line over the limit leaves its two ends", () => {
  const { ends, lines } = cut([Buffer.from(`start${"x".repeat(600)}end\nnext\n`)]);
  assert.match(ends[0] ?? "", /^startx+\|x+end$/);
  assert.ok((ends[0]?.length ?? 0) < 600);
  assert.deepEqual(lines, ["next"]);
});

test("a line that never ends is a flood, once", () => {
  const { floods } = cut(Array.from({ length: 100 }, () => Buffer.alloc(100, 0x61)));
  assert.equal(floods, 1);
});
