import { Problem } from "../base/problem.ts";
import type { Surface } from "./surface.ts";
import type { PinKind } from "./surface-digest.ts";
import type { ReviewFlag } from "./surface-review.ts";

/**
 * Why an item waits for a person.
 *
 * `new`: it came after the first look at the server. `renamed`: an item that is gone had this definition. `flagged`: it hides
 * something, at the first look already. `unlisted`: the server never listed it. `damaged`: the record of what was accepted was edited.
 */
export type HoldReason = "changed" | "new" | "renamed" | "flagged" | "unlisted" | "damaged";

/** An item that is neither listed nor called until the owner says `doorward service pin accept`. */
export interface HeldItem {
  readonly service: string;
  readonly kind: PinKind;
  readonly name: string;
  /** Digest of the definition that was seen last; `""` for one that was never listed. */
  readonly digest: string;
  readonly why: HoldReason;
}

/** One row of `doorward service pins`. */
export interface PinView {
  readonly kind: PinKind;
  readonly name: string;
  /** Of the definition that is offered: the accepted one, or the one that is held. */
  readonly digest: string;
  readonly state: "accepted" | "held";
  readonly why?: HoldReason;
  /** Lines, hidden characters made visible: what `pin accept` would accept. Held items alone. */
  readonly diff?: readonly string[];
  /** Of a held item that turned back to what was accepted: what it was, and since when. It turned back at `since`. */
  readonly between?: { readonly digest: string; readonly at: string };
  readonly flags?: readonly ReviewFlag[];
  readonly since: string;
}

/** What is left of a surface, and what was taken out of it. */
export interface JudgedSurface {
  /** Held items taken out; `instructions` are absent when they are held. Its `digest` is that of what is left. */
  readonly accepted: Surface;
  readonly held: readonly HeldItem[];
}

/** What a package is: what its lock file and its files on disk say. */
export interface PackageFacts {
  /** `@scope/name@1.2.3`. */
  readonly name: string;
  /** The registry's own hash of the package (`sha512-…`). */
  readonly integrity: string;
  /** SHA-256 (hex) of the lock file: it names every dependency with its hash. */
  readonly lock: string;
  /** SHA-256 (hex) over all installed files. */
  readonly files: string;
}

/** The pins of a home: which definitions of which server may be offered. */
export interface Pins {
  /**
   * Judges a surface; to be called with each one that was fetched (every connection, every `list_changed`), before anything of
   * it is offered or called. A call that caused the connection asks {@link Pins.check} again afterwards.
   *
   * @param surface - Complete: an item that is missing counts as gone.
   * @throws {Problem} `audit_unavailable`, `store_unavailable`: nothing of the surface may be used then.
   */
  judge(service: string, surface: Surface, now: Date): Promise<JudgedSurface>;
  /** The same for the package that a server runs from. @returns The hold; `undefined` when it may start. */
  judgePackage(service: string, facts: PackageFacts, now: Date): Promise<HeldItem | undefined>;
  /** Whether an item may not be called. A service that was never seen has no pins yet, so nothing of it is held. */
  check(service: string, kind: PinKind, name: string): HeldItem | undefined;
  /** All items on record; held ones first. */
  list(service: string): readonly PinView[];
  /**
   * Accepts what is held, as it was seen last: the owner looked at it.
   *
   * @param item - One of them; absent: all. `digest`: refuse when it is no longer the one that was looked at.
   * @returns What was accepted.
   * @throws {Problem} `not_found` when there is no such item; `invalid_request` when its digest is another.
   */
  accept(service: string, item: PinChoice | undefined, by: string, now: Date): Promise<readonly PinView[]>;
  /** Forgets what a service offered that was removed by the owner; if it comes back, it is new. Its package is not: the files stay. */
  forget(service: string): Promise<void>;
}

export interface PinChoice {
  readonly kind: string;
  readonly name: string;
  readonly digest?: string | undefined;
}

/** The rule that denies a call of a held item: `pin:github:tool:create_issue`. */
export function pinRule({ service, kind, name }: Pick<HeldItem, "service" | "kind" | "name">): string {
  return `pin:${service}:${kind}:${name}`;
}

const WHY: Record<HoldReason, string> = {
  changed: "its definition changed",
  new: "it is new since the server was looked at",
  renamed: "it is an item that had another name",
  flagged: "its definition hides something",
  unlisted: "the server never listed it",
  damaged: "the record of what was accepted is damaged",
};

const WHY_PACKAGE = "its files or its lock are not those that were pinned";

/** The refusal of a call of a held item, and of the start of a server from a held package. */
export function heldProblem(item: HeldItem): Problem {
  return new Problem("denied", {
    detail: `the ${item.kind} \`${item.name.slice(0, 64)}\` is held: ${item.kind === "package" ? WHY_PACKAGE : WHY[item.why]}`,
    remedy: `The owner can look at it with \`doorward service pins ${item.service}\` and then accept it.`,
    fields: { rule: pinRule(item) },
  });
}
