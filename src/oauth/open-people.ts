import type { AuditLog } from "../audit/event.ts";
import type { PeopleConfig } from "../config/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import { createOidcLogin, type OidcLogin, type OidcLoginDeps } from "./oidc-login.ts";
import { createPasskeyStore } from "./passkey-store.ts";
import { createPasskeys, type Passkeys } from "./passkeys.ts";
import { createLinkStore } from "./person-link-store.ts";
import { createPersonLinks, type PersonLinks } from "./person-links.ts";
import { createSessionStore } from "./person-session-store.ts";
import { createPersonSessions, type SessionKeeper } from "./person-sessions.ts";

/** All that proves people. */
export interface People {
  readonly sessions: SessionKeeper;
  readonly links: PersonLinks;
  readonly passkeys: Passkeys;
  readonly oidc: OidcLogin;
}

/** Opens what a home knows of people. @throws {Problem} `store_unavailable`. */
export async function openPeople(deps: {
  readonly db: Parameters<typeof createSessionStore>[0];
  readonly keyring: Pick<Keyring, "deriveKey" | "tag" | "seal" | "unseal">;
  readonly audit: AuditLog;
  readonly now: () => Date;
  /** Where browsers come: it says how cookies are kept. */
  readonly publicUrl: () => string;
  /** The company's provider, as the loaded file names it. */
  readonly people: () => PeopleConfig | undefined;
  readonly egress: OidcLoginDeps["egress"];
  readonly lease: OidcLoginDeps["lease"];
}): Promise<People> {
  const { db, keyring, audit, now, publicUrl, people } = deps;
  const cookie = () => {
    const { protocol, port } = new URL(publicUrl());
    return { secure: protocol === "https:", port: port === "" ? "80" : port };
  };
  const rolesOf = (issuer: string, groups: readonly string[]) => {
    const named = people();
    return named?.issuer === issuer ? [...new Set(groups.flatMap((group) => named.roles.get(group) ?? []))] : [];
  };
  const store = createSessionStore(db, keyring);
  return {
    sessions: await createPersonSessions({ store, keyring, audit, now, cookie, rolesOf }),
    links: createPersonLinks({ store: createLinkStore(db, keyring), audit, now }),
    passkeys: createPasskeys({ store: createPasskeyStore(db, keyring), keyring, audit, now }),
    oidc: createOidcLogin({ ...deps, cookie }),
  };
}
