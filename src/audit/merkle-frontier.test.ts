import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { MerkleTree, parsePeaks, printPeaks } from "./merkle-frontier.ts";

/** From the reference implementation of RFC 6962. */
const LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS = [
  [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  [1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
  [2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
  [3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"],
  [8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
] as const;

test("the roots are those of RFC 6962", () => {
  for (const [size, root] of ROOTS) {
    const tree = new MerkleTree();
    for (const leaf of LEAVES.slice(0, size)) tree.absorb(Buffer.from(leaf, "hex"));
    assert.equal(tree.root().toString("hex"), root);
  }
});

test("law: the root is that of the recursive definition, also when the tree is taken up again from its peaks", () => {
  const sha256 = (...parts: Buffer[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
  const rootOf = (leaves: readonly string[]): Buffer => {
    if (leaves.length === 0) return sha256();
    if (leaves.length === 1) return sha256(Buffer.from([0]), Buffer.from(leaves[0]!));
    const half = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
    return sha256(Buffer.from([1]), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
  };
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 40 }), fc.nat(40), (leaves, cut) => {
      const first = new MerkleTree();
      for (const leaf of leaves.slice(0, cut)) first.absorb(leaf);
      const tree = new MerkleTree(parsePeaks(first.size, printPeaks(first.frontier())));
      for (const leaf of leaves.slice(cut)) tree.absorb(leaf);
      assert.deepEqual(tree.root(), rootOf(leaves));
    }),
    { numRuns: 200 },
  );
});

test("peaks that are not of that size are refused", () => {
  const peak = "0".repeat(64);
  assert.ok(parsePeaks(3, [peak, peak]));
  for (const [size, peaks] of [
    [3, [peak]],
    [2, [peak, peak]],
    [1, ["0"]],
    [1, peak],
    [-1, [peak]],
    [1.5, [peak]],
  ] as const) {
    assert.equal(parsePeaks(size, peaks), undefined);
  }
});
