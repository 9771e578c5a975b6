import type { LiveToken } from "./access-tokens.ts";
import type { OAuthStore } from "./oauth-store.ts";
import { liveTokenOf, parentOf, type RecordSeal } from "./record-seal.ts";

/** Reads an access token. @param find - Gives the token that it was exchanged for: one value, which a revocation marks. */
export type LoadToken = (
  hash: string,
  find: (hash: string) => Promise<LiveToken | undefined>,
) => Promise<LiveToken | undefined>;

/** Makes the function that reads access tokens from the store; one whose parent is gone is none. */
export function createTokenLoader(deps: { readonly store: OAuthStore; readonly seal: RecordSeal }): LoadToken {
  return async (hash, find) => {
    for (const model of ["AccessToken", "ClientCredentials"]) {
      const record = await deps.store.find({ model, id: hash });
      const payload = record && deps.seal.open(record);
      if (record === undefined || payload === undefined) continue;
      const parentHash = parentOf(payload);
      if (parentHash === undefined) return liveTokenOf(record, payload, undefined);
      const parent = await find(parentHash);
      return parent === undefined ? undefined : liveTokenOf(record, payload, parent);
    }
    return undefined;
  };
}
