import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../base/json.ts";
import { surfaceOf, toolOf } from "./surface.testing.ts";
import { canonicalJson, itemsOf } from "./surface-digest.ts";

const object = fc
  .dictionary(fc.string(), fc.jsonValue())
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject);
const digestOf = (tool: JsonObject) => itemsOf(surfaceOf({ tools: [tool] }))[0]?.digest;

test("law: a digest does not depend on the order of keys, and on nothing else not", () => {
  fc.assert(
    fc.property(object, object, (one, other) => {
      const tool = { ...one, name: "x" };
      const turned = Object.fromEntries(Object.entries(tool).reverse());
      assert.equal(digestOf(tool), digestOf(turned as JsonObject));
      const same = canonicalJson(tool) === canonicalJson({ ...other, name: "x" });
      assert.equal(digestOf(tool) === digestOf({ ...other, name: "x" }), same);
      assert.deepEqual(JSON.parse(canonicalJson(tool)), tool);
    }),
    { numRuns: 200 },
  );
});

test("single resources are data and are not pinned; everything that defines something is", () => {
  const items = itemsOf(
    surfaceOf({
      tools: [toolOf("t")],
      prompts: [{ name: "p" }],
      resources: [{ uri: "file:///a", name: "a" }],
      resourceTemplates: [{ uriTemplate: "file:///{x}", name: "r" }],
      instructions: "i",
    }),
  );
  assert.deepEqual(
    items.map(({ kind, name }) => `${kind} ${name}`),
    ["tool t", "prompt p", "template file:///{x}", "instructions instructions"],
  );
});
