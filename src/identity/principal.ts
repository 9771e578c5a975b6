/** Characters of a purpose or a task, whichever door states it. */
export const MAX_CONTEXT_CHARACTERS = 128;

/** What proved who asks: a key of ours, an access token of ours, a client certificate, a token of a trusted issuer. */
export type TokenKind = "api_key" | "oauth" | "certificate" | "workload";

/** Who is proven to be asking, and in which context. Built by `identity/` alone; never from what the caller says its name is. */
export interface Principal {
  /** The AI program: a name of `agents:` in doorward.yaml. */
  readonly agent: string;
  /** What it comes through: the id of an API key (`key_…`), an OAuth client, `mtls:IDENTITY`, `workload:ISSUER#SUBJECT`. */
  readonly client: string;
  /** The person on whose behalf it acts, when the token says so. */
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  readonly environment: string | undefined;
  /** Stated per call and checked against the agent's `purposes`. */
  readonly purpose: string | undefined;
  /** Task id that the caller states; groups `history`. */
  readonly task: string | undefined;
  /** The address of the peer, or of the client as a trusted proxy names it. `unix` for the local socket. */
  readonly ip: string;
  /** What the caller says it acts for in this call; checked before anything runs, and never more than it has. */
  readonly stated?: StatedContext | undefined;
  /** What its token was issued for: a call that states anything else is refused. */
  readonly signed?: SignedContext | undefined;
  /** Patterns over `service:operation` that its token is narrowed to. Absent: all that the agent may do. */
  readonly scopes?: readonly string[] | undefined;
  readonly token: { readonly kind: TokenKind; readonly id: string; readonly expiresAt: Date };
}

/** Context of one call that can only narrow it: a tenant that must be the agent's, a role that must be one of its. */
export interface StatedContext {
  readonly tenant?: string | undefined;
  readonly role?: string | undefined;
}

/** Context that a token was issued for (RFC 9396), each part of which holds for all of its calls. */
export interface SignedContext extends StatedContext {
  readonly purpose?: string | undefined;
  readonly task?: string | undefined;
}

/** The same caller with what this call states besides. What was stated before, in a header, stays where nothing else is. */
export function withStated(principal: Principal, { tenant, role }: StatedContext): Principal {
  if (tenant === undefined && role === undefined) return principal;
  const { stated } = principal;
  return { ...principal, stated: { tenant: tenant ?? stated?.tenant, role: role ?? stated?.role } };
}

/** Whether what one has begun may be continued by the other: sessions, streams, explanations. */
export function isSameCaller(
  one: Pick<Principal, "agent" | "client" | "user" | "tenant">,
  other: Pick<Principal, "agent" | "client" | "user" | "tenant">,
): boolean {
  return (
    one.agent === other.agent && one.client === other.client && one.user === other.user && one.tenant === other.tenant
  );
}

/** Before the client's id, in the name of whom nobody adopted; names of agents have no colon. */
const STRANGER = "client:";

/** What a client acts as that registered itself and that nobody adopted: no file can name it, so it may do nothing. */
export function strangerName(clientId: string): string {
  return STRANGER + clientId;
}

/** Whether it is a client that nobody adopted. */
export function isStranger({ agent }: Principal): boolean {
  return agent.startsWith(STRANGER);
}
