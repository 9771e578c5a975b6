import type { PersonRole } from "../config/person-role.ts";

/** How a person signed in. */
export type SignIn = "link" | "passkey" | "oidc";

/** A person who is signed in, as one request proves it. */
export interface Person {
  /**
   * Tells people apart, in the evidence and for a quorum: `owner`, `user:NAME`, `link:ID`.
   *
   * It is also the `sub` of tokens that they let a client have, so that a rule with `separate` knows them again.
   */
  readonly id: string;
  /** For pages only: what the provider, or the owner, calls them. */
  readonly name: string;
  /** As they are now: a changed mapping of groups holds at the next request. Never empty. */
  readonly roles: readonly PersonRole[];
  readonly how: SignIn;
  /** `ses_…`: for the evidence, and for what must hold for this session alone. Not the cookie. */
  readonly session: string;
  readonly since: Date;
  readonly expiresAt: Date;
}

/** Whether a person has at least one of some roles; the owner has all. */
export function hasRole(person: Pick<Person, "roles">, ...wanted: readonly PersonRole[]): boolean {
  return person.roles.includes("owner") || wanted.some((role) => person.roles.includes(role));
}
