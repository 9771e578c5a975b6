import { Problem } from "../base/problem.ts";
import { PERSON_ROLES } from "../config/person-role.ts";
import type { Passkeys } from "../oauth/passkeys.ts";
import type { PersonLinks } from "../oauth/person-links.ts";
import type { SessionKeeper } from "../oauth/person-sessions.ts";
import { type AdminAction, optionalNumber, optionalText, textArgument } from "./admin-action.ts";

export interface PersonActionsDeps {
  readonly links: PersonLinks;
  readonly sessions: SessionKeeper;
  readonly passkeys: Passkeys;
  /** Where a browser on this machine, or elsewhere, finds the console. */
  readonly consoleUrl: () => string;
}

/** `person.*`: who may sign in to the console, and who is. */
export function personActions({ links, sessions, passkeys, consoleUrl }: PersonActionsDeps): readonly AdminAction[] {
  return [
    {
      name: "person.link",
      proof: "owner",
      async run(args, by) {
        const role = PERSON_ROLES.find((one) => one === textArgument(args, "role"));
        if (role === undefined) {
          throw new Problem("invalid_request", { detail: `\`role\` must be one of ${PERSON_ROLES.join(", ")}` });
        }
        const name = optionalText(args, "name");
        const { token, record } = await links.make({ role, name, ttlSeconds: optionalNumber(args, "ttl_seconds"), by });
        return {
          url: `${consoleUrl()}/console/link/${token}`,
          id: record.id,
          person: record.person,
          role,
          expires_at: record.expiresAt.toISOString(),
        };
      },
    },
    {
      name: "person.list",
      proof: "key",
      async run() {
        const keys = await passkeys.list();
        return {
          sessions: sessions.list().map(({ id, name, roles, how, session, since, expiresAt }) => ({
            person: id,
            name,
            roles,
            how,
            session,
            since: since.toISOString(),
            expires_at: expiresAt.toISOString(),
          })),
          passkeys: keys.map(({ id, person, roles, rpId, createdAt }) => ({
            id,
            person,
            roles,
            host: rpId,
            created_at: createdAt.toISOString(),
          })),
        };
      },
    },
    {
      // Taking away needs no more than the key: whoever waits for a passphrase may be too late.
      name: "person.revoke",
      proof: "key",
      async run(args, by) {
        const person = textArgument(args, "person");
        return {
          person,
          sessions: await sessions.closeAllOf(person, by),
          links: await links.revokeOf(person),
          passkeys: await passkeys.revokeOf(person, by),
        };
      },
    },
  ];
}
