import { hash } from "node:crypto";

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;

/** The root of the empty tree: SHA-256 of nothing (RFC 6962 §2.1). */
const EMPTY_ROOT = hash("sha256", "", "binary");

/**
 * The right edge of an RFC 6962 Merkle tree: all that is needed to add leaves and to name the root.
 *
 * Hashes are held as `binary` strings of 32 characters, which node:crypto makes three times as fast as buffers.
 */
export interface MerkleFrontier {
  /** Leaves absorbed so far. */
  readonly size: number;
  /** Roots of the perfect subtrees from the largest to the smallest: one for each bit of `size`. */
  readonly peaks: readonly string[];
}

/** Grows a tree leaf by leaf; {@link MerkleTree.frontier} is a copy that later leaves do not touch. */
export class MerkleTree {
  #size: number;
  readonly #peaks: string[];
  readonly #scratch = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

  constructor(frontier: MerkleFrontier = { size: 0, peaks: [] }) {
    this.#size = frontier.size;
    this.#peaks = [...frontier.peaks];
  }

  get size(): number {
    return this.#size;
  }

  /** Adds the leaf of one line: SHA-256(0x00 ‖ line), the line without its line feed. */
  absorb(line: string | Buffer): void {
    const leaf =
      typeof line === "string"
        ? hash("sha256", `\0${line}`, "binary")
        : hash("sha256", Buffer.concat([LEAF_PREFIX, line]), "binary");
    let node = leaf;
    for (let bits = this.#size; bits % 2 === 1; bits = Math.floor(bits / 2))
      node = this.#join(this.#peaks.pop()!, node);
    this.#peaks.push(node);
    this.#size += 1;
  }

  frontier(): MerkleFrontier {
    return { size: this.#size, peaks: [...this.#peaks] };
  }

  /** The root over all leaves so far, 32 bytes. */
  root(): Buffer {
    let root: string | undefined;
    for (let index = this.#peaks.length - 1; index >= 0; index -= 1) {
      const peak = this.#peaks[index]!;
      root = root === undefined ? peak : this.#join(peak, root);
    }
    return Buffer.from(root ?? EMPTY_ROOT, "binary");
  }

  #join(left: string, right: string): string {
    this.#scratch.write(left, 1, "binary");
    this.#scratch.write(right, 1 + HASH_BYTES, "binary");
    return hash("sha256", this.#scratch, "binary");
  }
}

/** The frontier as an `audit.checkpoint` line holds it: hexadecimal peaks, largest subtree first. */
export function printPeaks(frontier: MerkleFrontier): string[] {
  return frontier.peaks.map((peak) => Buffer.from(peak, "binary").toString("hex"));
}

/** @returns `undefined` when the peaks are not those of a tree of that size. */
export function parsePeaks(size: number, peaks: unknown): MerkleFrontier | undefined {
  if (!Number.isSafeInteger(size) || size < 0 || !Array.isArray(peaks)) return undefined;
  const ones = size.toString(2).replaceAll("0", "").length;
  if (peaks.length !== ones) return undefined;
  if (!peaks.every((peak) => typeof peak === "string" && /^[0-9a-f]{64}$/.test(peak))) return undefined;
  return { size, peaks: peaks.map((peak) => Buffer.from(peak as string, "hex").toString("binary")) };
}

const LEAF_PREFIX = Buffer.from([0]);
