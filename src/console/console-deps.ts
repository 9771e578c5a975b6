import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuditLog } from "../audit/event.ts";
import type { JsonObject } from "../base/json.ts";
import type { AuthThrottle } from "../identity/auth-throttle.ts";
import type { OidcLogin } from "../oauth/oidc-login.ts";
import type { Passkeys } from "../oauth/passkeys.ts";
import type { Person } from "../oauth/person.ts";
import type { PersonLinks } from "../oauth/person-links.ts";
import type { SessionKeeper } from "../oauth/person-sessions.ts";
import type { Site } from "../oauth/webauthn.ts";

/** What the console works with. */
export interface ConsoleDeps {
  readonly sessions: SessionKeeper;
  readonly links: PersonLinks;
  readonly passkeys: Passkeys;
  /** The company's provider. */
  readonly oidc: OidcLogin;
  readonly audit: AuditLog;
  readonly throttle: AuthThrottle;
  readonly now: () => Date;
  readonly level: () => 0 | 1;
  /** Runs an administrative action for a person who was proven here. @throws {Problem} what it refuses with. */
  readonly act: (action: string, args: JsonObject, by: string) => Promise<object> | object;
  readonly addressOf: (request: IncomingMessage) => string;
  readonly publicUrl: () => string;
}

/** One request of a browser. */
export interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly url: URL;
  readonly person: Person | undefined;
  /** Where passkeys could be used; `undefined` at an IP address. */
  readonly site: Site | undefined;
}
