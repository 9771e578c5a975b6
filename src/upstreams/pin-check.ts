import type { ItemPins } from "../broker/upstream-call.ts";
import { heldProblem, type Pins } from "./pins.ts";

/**
 * The broker's view of the pins: what a call names must not be held.
 *
 * Single resources have no pin: their list is data. Their templates have, for the completions that name them.
 */
export function createItemPins(pins: Pick<Pins, "check">): ItemPins {
  return {
    held(service, { item, name }) {
      if (item === "resource") return undefined;
      const held = pins.check(service, item, name);
      return held === undefined ? undefined : heldProblem(held);
    },
  };
}
