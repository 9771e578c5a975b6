import type { IncomingMessage } from "node:http";

/** How the cookie of a session is named and kept. */
export interface CookieRules {
  /** Whether browsers come over HTTPS. */
  readonly secure: boolean;
  /** Of this listener: cookies of a host are shared by its ports, so two Doorwards on one machine need two names. */
  readonly port: string;
}

/** 32 bytes in base64url. */
const SESSION = /^[A-Za-z0-9_-]{43}$/;
/** A sealed box in base64url. */
const LOGIN = /^[A-Za-z0-9_-]{43,3500}$/;

function nameOf({ secure, port }: CookieRules, what: string): string {
  return secure ? `__Host-doorward-${what}` : `doorward-${what}-${port}`;
}

/** The value of `Set-Cookie` for a new session. Other sites' requests never carry it. */
export function sessionCookie(value: string, seconds: number, rules: CookieRules): string {
  return `${nameOf(rules, "session")}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secureOf(rules)}`;
}

/** The value of `Set-Cookie` that ends one. */
export function clearCookie(rules: CookieRules): string {
  return `${nameOf(rules, "session")}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict${secureOf(rules)}`;
}

/**
 * The value of `Set-Cookie` that ties a login at a provider to this browser. The provider sends the browser back from its
 * own site, so that it cannot be strict; it proves nothing else.
 */
export function loginCookie(value: string, seconds: number, rules: CookieRules): string {
  return `${nameOf(rules, "login")}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secureOf(rules)}`;
}

/** The value of `Set-Cookie` that ends such a tie. */
export function clearLoginCookie(rules: CookieRules): string {
  return `${nameOf(rules, "login")}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax${secureOf(rules)}`;
}

/** The session's cookie in a request; `undefined` when it has none, several, or what is no value of ours. */
export function readCookie(request: IncomingMessage, rules: CookieRules): string | undefined {
  return read(request, nameOf(rules, "session"), SESSION);
}

/** The same of {@link loginCookie}. */
export function readLoginCookie(request: IncomingMessage, rules: CookieRules): string | undefined {
  return read(request, nameOf(rules, "login"), LOGIN);
}

function read(request: IncomingMessage, name: string, form: RegExp): string | undefined {
  const found = (request.headers.cookie ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value, ...more] = found;
  return value !== undefined && more.length === 0 && form.test(value) ? value : undefined;
}

function secureOf({ secure }: CookieRules): string {
  return secure ? "; Secure" : "";
}
