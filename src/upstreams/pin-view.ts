import type { PinRecord } from "./pin-states.ts";
import type { PinView } from "./pins.ts";
import { diffDefinitions } from "./surface-diff.ts";

/** Characters of a digest that a line shows, as the table of `doorward service pins` does. */
const SHORT_DIGEST = 12;

/** What the owner is shown of a record; of a held one, what accepting it would change. Never throws. */
export function pinView(record: PinRecord): PinView {
  const { kind, name, state, why, seen, flags, since, between } = record;
  return {
    kind,
    name,
    digest: seen.digest,
    state,
    ...(why === undefined ? {} : { why }),
    ...(state === "held" ? { diff: heldDiff(record) } : {}),
    ...(between === undefined ? {} : { between: { digest: between.digest, at: between.at.toISOString() } }),
    ...(flags.length === 0 ? {} : { flags }),
    since: since.toISOString(),
  };
}

/** A definition that turned back differs in nothing: what there is to look at is what it was in between. */
function heldDiff({ accepted, seen, since, between }: PinRecord): readonly string[] {
  if (between === undefined) return diffDefinitions(accepted?.text, seen.text);
  const [was, is] = [between.digest, seen.digest].map((digest) => digest.slice(0, SHORT_DIGEST));
  const changed = `~ it changed to ${was} at ${between.at.toISOString()}`;
  return [
    `${changed}, and turned back to the accepted ${is} at ${since.toISOString()}; in between it had:`,
    ...diffDefinitions(accepted?.text, between.text),
  ];
}
