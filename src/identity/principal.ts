/** Characters of a purpose or a task, whichever door states it. */
export const MAX_CONTEXT_CHARACTERS = 128;

/** Who is proven to be asking, and in which context. Built by `identity/` alone; never from what the caller says its name is. */
export interface Principal {
  /** The AI program: a name of `agents:` in doorward.yaml. */
  readonly agent: string;
  /** The OAuth client or API key it comes through: `key_…` id for API keys. */
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
  readonly token: { readonly kind: "api_key"; readonly id: string; readonly expiresAt: Date };
}
