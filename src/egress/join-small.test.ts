import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createSmallChunkJoiner } from "./join-small.ts";

test("any chunking: the bytes come out whole and in order, by the end of the turn", async () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(4_095, 4_096, 20_000)), {
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(sizes, fc.boolean(), async (lengths, flushed) => {
      const taken: Uint8Array[] = [];
      const joiner = createSmallChunkJoiner((chunk) => taken.push(Uint8Array.from(chunk)));
      let byte = 0;
      const chunks = lengths.map((length) => Uint8Array.from({ length }, () => (byte++ * 7) & 255));
      for (const chunk of chunks) joiner.push(chunk);
      if (flushed) joiner.flush();
      else await Promise.resolve();
      assert.deepEqual(Buffer.concat(taken), Buffer.concat(chunks));
    }),
    { numRuns: 300 },
  );
});

test("one small chunk passes as it is, many as few", () => {
  const taken: Uint8Array[] = [];
  const joiner = createSmallChunkJoiner((chunk) => taken.push(chunk));
  const one = Uint8Array.of(1);
  joiner.push(one);
  joiner.flush();
  assert.equal(taken[0], one);
  for (let i = 0; i < 40_000; i += 1) joiner.push(one);
  joiner.flush();
  assert.equal(taken.length, 1 + Math.ceil(40_000 / 16_384));
});
