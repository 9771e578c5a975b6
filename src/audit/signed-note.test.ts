import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createNoteSigner, parseCheckpoint, parseVkey } from "./signed-note.ts";

const signer = createNoteSigner("node-1", Buffer.alloc(32, 2));
const root = Buffer.alloc(32, 7);
const note = signer.sign({ size: 42, root });

test("a vkey is read as the specification's own example is", () => {
  const example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  assert.equal(parseVkey(example)?.origin, "PeterNeumann");
  assert.equal(parseVkey(example.replace("c7", "c8")), undefined);
  assert.equal(parseVkey(example.replace("Peter", "Paul")), undefined);
});

test("what was signed is read back and verifies", () => {
  assert.deepEqual(parseCheckpoint(note), { origin: "doorward/node-1", size: 42, root });
  assert.ok(parseVkey(signer.vkey)?.verifies(note));
});

test("law: a note with any other character does not verify", () => {
  const key = parseVkey(signer.vkey);
  fc.assert(
    fc.property(fc.nat(note.length - 2), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
      fc.pre(note[at] !== character);
      assert.equal(key?.verifies(note.slice(0, at) + character + note.slice(at + 1)), false);
    }),
    { numRuns: 500 },
  );
});

test("another key, another node, and a seed of another length", () => {
  assert.equal(parseVkey(createNoteSigner("node-1", Buffer.alloc(32, 3)).vkey)?.verifies(note), false);
  assert.equal(parseVkey(createNoteSigner("node-2", Buffer.alloc(32, 2)).vkey)?.verifies(note), false);
  assert.throws(() => createNoteSigner("node-1", Buffer.alloc(31)), TypeError);
});
