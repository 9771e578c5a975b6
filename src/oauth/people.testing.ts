import type { IncomingMessage } from "node:http";
import type { TestContext } from "node:test";
import type { PersonRole } from "../config/person-role.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { createLinkStore } from "./person-link-store.ts";
import { createPersonLinks } from "./person-links.ts";
import { createSessionStore } from "./person-session-store.ts";
import { createPersonSessions } from "./person-sessions.ts";

export const START = new Date("2026-03-01T10:00:00Z");

/** People on a state file of their own, with a clock that tests move. */
export function testPeople(context: Pick<TestContext, "after">) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const keyring = createKeyring({ homeId: "home_test", homeKey: Buffer.alloc(32, 7) });
  const clock = { now: START };
  const groups = new Map<string, PersonRole>([["admins", "owner"]]);
  const now = () => clock.now;
  return {
    store,
    audit,
    keyring,
    clock,
    groups,
    now,
    later: (seconds: number) => {
      clock.now = new Date(clock.now.getTime() + seconds * 1_000);
    },
    links: () => createPersonLinks({ store: createLinkStore(store.db, keyring), audit: audit.log, now }),
    /** What a start does. */
    sessions: () =>
      createPersonSessions({
        store: createSessionStore(store.db, keyring),
        keyring,
        audit: audit.log,
        now,
        cookie: () => ({ secure: false, port: "7420" }),
        rolesOf: (issuer, names) =>
          issuer === "https://login.example" ? names.flatMap((name) => groups.get(name) ?? []) : [],
      }),
  };
}

/** A request with the cookie that an answer set. */
export function requestWith(setCookie: string): IncomingMessage {
  return { headers: { cookie: setCookie.split(";", 1)[0] } } as unknown as IncomingMessage;
}
