import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exposedPrefix, nameTable, splitName } from "./exposed-names.ts";

const service = fc.stringMatching(/^[a-z][a-z0-9-]{0,63}$/);
const toolName = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,80}$/),
  fc.string({ minLength: 1, maxLength: 80 }),
  fc.constantFrom("_a", "__a", "a__b", "x".repeat(64), `${"x".repeat(64)}y`, `${"x".repeat(64)}z`, "a b", "a.b", "ä"),
);

test("law: shown names are what clients take, no two are alike, and each leads back to its own", () => {
  fc.assert(
    fc.property(service, fc.array(toolName, { maxLength: 12 }), (name, tools) => {
      const { exposed, own } = nameTable(name, tools);
      assert.equal(exposed.size, new Set(tools).size);
      assert.equal(own.size, exposed.size);
      for (const [tool, shown] of exposed) {
        assert.match(shown, /^[A-Za-z0-9_-]{1,64}$/);
        assert.equal(own.get(shown), tool);
        assert.equal(splitName(shown)?.prefix, exposedPrefix(name));
      }
    }),
    { numRuns: 200 },
  );
});

test("law: the order of a server's list changes no name", () => {
  fc.assert(
    fc.property(service, fc.uniqueArray(toolName, { maxLength: 8 }), (name, tools) => {
      const there = nameTable(name, tools).exposed;
      const back = nameTable(name, tools.toReversed()).exposed;
      for (const tool of tools) assert.equal(there.get(tool), back.get(tool));
    }),
    { numRuns: 100 },
  );
});

test("law: a name that fits stands as it is, and splits without the table", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
      fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/),
      (name, tool) => {
        const shown = nameTable(name, [tool]).exposed.get(tool);
        assert.equal(shown, `${name}__${tool}`);
        assert.deepEqual([splitName(shown)?.prefix, splitName(shown)?.rest], [name, tool]);
      },
    ),
    { numRuns: 100 },
  );
});

test("a tool that is called like another's cut name keeps its own", () => {
  const long = "x".repeat(80);
  const cut = nameTable("repo", [long]).exposed.get(long)!;
  const twin = cut.slice("repo__".length);
  const { exposed } = nameTable("repo", [long, twin]);
  assert.equal(exposed.get(twin), cut);
  assert.notEqual(exposed.get(long), cut);
  assert.equal(splitName(cut)?.maybeCut, true);
});

test("two services whose long names begin alike do not share a prefix", () => {
  const [one, two] = [`${"a".repeat(60)}b`, `${"a".repeat(60)}c`];
  assert.notEqual(exposedPrefix(one), exposedPrefix(two));
  assert.equal(exposedPrefix(one).length, 40);
});

test("what has no service's form splits into nothing", () => {
  for (const name of ["", "a", "__a", "a_b", "doorward_request"]) assert.equal(splitName(name), undefined);
});
