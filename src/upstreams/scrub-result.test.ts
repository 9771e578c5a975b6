import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import { createScrubber } from "../credentials/scrubber.ts";
import { scrubInTurns, scrubResult } from "./scrub-result.ts";

const SECRET = 'sk_live_é"0123456789\\abcdef';
const scrubber = createScrubber([new Secret(SECRET)]);

test("a large answer is looked through in pieces, to the same end as in one, and others have their turns", async () => {
  const filler = "%25\\\\u0067".repeat(6_000);
  const value = {
    blob: Buffer.from(filler + SECRET + filler).toString("base64"),
    list: [`${filler}${SECRET}${filler}`, filler],
  };
  let turns = 0;
  const counted = { next: async () => void turns++ };
  const clean = await scrubInTurns(value, [scrubber], counted);
  assert.deepEqual(clean, scrubResult(value, [scrubber]));
  assert.equal(clean.redacted, 2);
  assert.equal(clean.value.list[0]?.replace(/\[[^\]]*\]/, ""), filler + filler);
  assert.ok(turns > 0);
});

test("a blob of many megabytes is no fault, and a million values are", () => {
  const blob = "A".repeat(16 * 1024 * 1024);
  assert.deepEqual(scrubResult({ blob }, [scrubber]).value, { blob });
  const many = Array.from({ length: 1_000_000 }, () => 0);
  assert.throws(() => scrubResult(many, []), { code: "upstream_too_large" });
});

test("whatever is built around it, the secret is gone, and without it nothing changes", () => {
  const key = fc.string().filter((text) => text !== "__proto__");
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string().map((around) => `${around}${SECRET}${around}`),
    fc.constant(Buffer.from(SECRET).toString("base64")),
    fc.constant(encodeURIComponent(SECRET)),
  );
  const { tree } = fc.letrec<{ tree: JsonValue }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie("tree")),
      fc.dictionary(key, tie("tree"), { noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(tree, (value) => {
      const { value: clean } = scrubResult(value, [scrubber]);
      const text = JSON.stringify(clean);
      assert.equal(text.includes(JSON.stringify(SECRET).slice(1, -1)), false);
      assert.equal(text.includes(Buffer.from(SECRET).toString("base64")), false);
      assert.deepEqual(scrubResult(value, []).value, value);
    }),
    { numRuns: 100 },
  );
});

test("blobs are decoded, scrubbed and encoded again; others pass as they came", () => {
  const dirty = Buffer.from(`\x89PNG ${SECRET} end`).toString("base64");
  const clean = Buffer.from("\x89PNG nothing here").toString("base64");
  const { value, redacted } = scrubResult(
    {
      content: [
        { type: "image", data: dirty },
        { type: "audio", data: clean },
        { type: "resource", resource: { blob: dirty } },
        { type: "icon", src: `data:image/png;base64,${dirty}` },
      ],
    },
    [scrubber],
  );
  const [image, audio, resource, icon] = value.content as unknown as [
    { data: string },
    { data: string },
    { resource: { blob: string } },
    { src: string },
  ];
  assert.match(Buffer.from(image.data, "base64").toString(), / end$/);
  assert.equal(Buffer.from(image.data, "base64").toString().includes(SECRET), false);
  assert.equal(audio.data, clean);
  assert.equal(Buffer.from(resource.resource.blob, "base64").toString().includes(SECRET), false);
  assert.equal(Buffer.from(icon.src.split(",")[1]!, "base64").toString().includes(SECRET), false);
  assert.ok(redacted >= 3);
});

test("a secret of digits is found as a number", () => {
  const digits = createScrubber([new Secret("1234567890123")]);
  assert.equal(JSON.stringify(scrubResult({ n: 1_234_567_890_123 }, [digits]).value).includes("1234567890123"), false);
});

test("what is nested without measure is no answer", () => {
  let deep: JsonValue = "x";
  for (let level = 0; level < 100; level++) deep = [deep];
  assert.throws(
    () => scrubResult(deep, []),
    (error) => error instanceof Problem && error.code === "upstream_invalid",
  );
});

test("`__proto__` does not come through", () => {
  const { value } = scrubResult(JSON.parse('{"__proto__":{"a":1},"b":2}') as JsonValue, []);
  assert.deepEqual(JSON.stringify(value), '{"b":2}');
});
