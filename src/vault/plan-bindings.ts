/** One use of a secret: by this service, at this origin (`https://host[:port]`). */
export interface Pairing {
  /** The reference as written in doorward.yaml: `local:registrar`. */
  readonly ref: string;
  readonly service: string;
  readonly origin: string;
}

/** A pairing that may not be used until the owner says `doorward service confirm NAME`, and why. */
export interface HeldPairing extends Pairing {
  /** `renamed`: the secret left another service. `damaged`: the record of what was bound was edited. */
  readonly why: "origin_changed" | "renamed" | "unconfirmed" | "damaged";
}

/** A pairing on record. `authentic` is false when the row's tag does not match it. */
export interface KnownPairing extends Pairing {
  readonly state: "bound" | "held";
  readonly authentic: boolean;
}

/** What to do with each pairing of a file. */
export interface BindingPlan {
  readonly usable: readonly Pairing[];
  /** New pairings that are bound now, being loaded for the first time. Also in `usable`. */
  readonly bind: readonly Pairing[];
  readonly held: readonly HeldPairing[];
  /** Held pairings that go on record, so that they stay held when what caused it is gone. Also in `held`. */
  readonly hold: readonly HeldPairing[];
}

/**
 * Decides which pairings of a newly loaded file may use their secret.
 *
 * A pairing that was never seen is bound, unless it may be an old one in disguise: the secret has left another pairing
 * (a renamed service, two secrets swapped), or the record was edited so that nothing new in it can be believed.
 * A known pairing whose origin changed is never bound here.
 *
 * @param input - `intact`: the tag over the whole record matches, so no row was added or taken away behind our back.
 *   `additions`: what to do with pairings never seen before and otherwise harmless.
 * @returns Never throws. The order of `known` and `pairings` is irrelevant to who may use what.
 */
export function planBindings(input: {
  readonly known: readonly KnownPairing[];
  readonly intact: boolean;
  readonly pairings: readonly Pairing[];
  readonly additions: "bind" | "hold";
}): BindingPlan {
  const known = new Map(input.known.map((row) => [pairingKey(row), row]));
  const present = new Set(input.pairings.map(pairingKey));
  const abandoned = new Set(
    input.known
      .filter((row) => !present.has(pairingKey(row)) && (row.state === "bound" || !row.authentic))
      .map(({ ref }) => ref),
  );
  const usable: Pairing[] = [];
  const bind: Pairing[] = [];
  const held: HeldPairing[] = [];
  const hold: HeldPairing[] = [];
  for (const pairing of input.pairings) {
    const row = known.get(pairingKey(pairing));
    if (row !== undefined) {
      const why = doubt(row, pairing);
      if (why === undefined) usable.push(pairing);
      else held.push({ ...pairing, why });
    } else if (!input.intact) {
      held.push({ ...pairing, why: "damaged" });
    } else if (abandoned.has(pairing.ref) || input.additions === "hold") {
      hold.push({ ...pairing, why: abandoned.has(pairing.ref) ? "renamed" : "unconfirmed" });
    } else {
      bind.push(pairing);
    }
  }
  return { usable: [...usable, ...bind], bind, held: [...held, ...hold], hold };
}

/**
 * One pairing for each secret of a service, its origins in one list: a started server may send its key to several hosts, and a
 * person confirms them together.
 *
 * @returns `origin` in the order of text, separated by spaces, which no origin holds.
 */
export function mergeOrigins(pairings: readonly Pairing[]): readonly Pairing[] {
  const origins = new Map<string, string[]>();
  for (const pairing of pairings) {
    const key = pairingKey(pairing);
    const known = origins.get(key);
    if (known === undefined) origins.set(key, [pairing.origin]);
    else if (!known.includes(pairing.origin)) known.push(pairing.origin);
  }
  const first = new Map(pairings.map((pairing) => [pairingKey(pairing), pairing]));
  return [...first].map(([key, pairing]) => ({ ...pairing, origin: origins.get(key)!.sort().join(" ") }));
}

/** The origins of a pairing of {@link mergeOrigins}. */
export function originsOf({ origin }: Pairing): readonly string[] {
  return origin.split(" ");
}

/** Names a pairing apart from its origin. No service or reference holds a NUL. */
export function pairingKey({ ref, service }: Pick<Pairing, "ref" | "service">): string {
  return `${ref}\0${service}`;
}

function doubt(row: KnownPairing, pairing: Pairing): HeldPairing["why"] | undefined {
  if (!row.authentic) return "damaged";
  if (row.state === "held") return "unconfirmed";
  const known = originsOf(row);
  // A host less is no new place for the secret.
  return originsOf(pairing).every((origin) => known.includes(origin)) ? undefined : "origin_changed";
}
