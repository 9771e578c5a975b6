import { createHmac, timingSafeEqual } from "node:crypto";

/** Seconds for which one nonce is handed out; the one before is good too. */
const STEP_SECONDS = 60;

/** Nonces for proofs of possession (RFC 9449 §9): made of the time, so that nothing is kept. */
export interface DpopNonces {
  current(now: Date): string;
  isGood(nonce: string, now: Date): boolean;
}

export function createDpopNonces(key: Buffer): DpopNonces {
  const at = (step: number) => createHmac("sha256", key).update(`nonce ${step}`).digest("base64url");
  const stepOf = (now: Date) => Math.floor(now.getTime() / 1_000 / STEP_SECONDS);
  return {
    current: (now) => at(stepOf(now)),
    isGood(nonce, now) {
      return [0, 1].some((back) => {
        const good = Buffer.from(at(stepOf(now) - back));
        const given = Buffer.from(nonce);
        return given.length === good.length && timingSafeEqual(given, good);
      });
    },
  };
}
