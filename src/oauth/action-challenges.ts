import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** A person has this long to answer their authenticator. */
const CHALLENGE_MS = 5 * 60_000;
const NONCE_BYTES = 16;
const HEAD_BYTES = 8 + NONCE_BYTES;

/** Challenges for passkeys, each for one action and one use. */
export interface ActionChallenges {
  /** @param action - Everything that the answer will be taken for, as one text. @returns base64url. */
  issue(action: string): string;
  /**
   * Uses a challenge up: after its answer was checked, so that nobody fills our memory with what they cannot answer.
   *
   * @returns Whether it is ours, in time, for this action, and was not used before.
   */
  take(challenge: string, action: string): boolean;
}

/**
 * Makes challenges that are remembered only once they are used: each carries its end and a tag over its action, under a key
 * of this process. Whoever asks for many costs nothing, and after a restart those from before are void.
 */
export function createActionChallenges(now: () => Date): ActionChallenges {
  const key = randomBytes(32);
  const spent = new Map<string, number>();
  const tag = (head: Uint8Array, action: string) =>
    createHmac("sha256", key).update(head).update(action, "utf8").digest();
  return {
    issue(action) {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeBigUInt64BE(BigInt(now().getTime() + CHALLENGE_MS));
      randomBytes(NONCE_BYTES).copy(head, 8);
      return Buffer.concat([head, tag(head, action)]).toString("base64url");
    },
    take(challenge, action) {
      const bytes = Buffer.from(challenge, "base64url");
      if (bytes.toString("base64url") !== challenge || bytes.length !== HEAD_BYTES + 32) return false;
      const head = bytes.subarray(0, HEAD_BYTES);
      if (!timingSafeEqual(bytes.subarray(HEAD_BYTES), tag(head, action))) return false;
      const at = now().getTime();
      for (const [old, end] of spent) if (end <= at) spent.delete(old);
      if (bytes.readBigUInt64BE() <= BigInt(at) || spent.has(challenge)) return false;
      spent.set(challenge, at + CHALLENGE_MS);
      return true;
    },
  };
}
