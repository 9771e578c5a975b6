import type { IncomingMessage } from "node:http";
import type { Configuration } from "openid-client";
import { z } from "zod";
import { Problem } from "../base/problem.ts";
import type { PeopleConfig } from "../config/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import type { NewSession } from "./person-sessions.ts";
import { createProviderFetch, type ProviderFetchDeps } from "./provider-fetch.ts";
import { type CookieRules, clearLoginCookie, loginCookie, readLoginCookie } from "./session-cookie.ts";

/** A login that was begun: where the browser goes, and what ties the answer to it. */
export interface BegunLogin {
  readonly url: string;
  /** The value of `Set-Cookie`. */
  readonly cookie: string;
}

export type LoginAnswer =
  | { readonly ok: true; readonly who: NewSession; readonly returnTo: string; readonly clear: string }
  /** `reason` is for the evidence alone. */
  | { readonly ok: false; readonly reason: string; readonly person: string | undefined; readonly clear: string };

/** Logins of people at the company's provider. */
export interface OidcLogin {
  /** What to call the provider on the page; `undefined` where the file names none. */
  provider(): string | undefined;
  /** @throws {Problem} `upstream_unreachable`, … when the provider cannot be asked. */
  begin(returnTo: string): Promise<BegunLogin>;
  /** @param url - The URL that the browser came back with. @param request - For the cookie of {@link BegunLogin}. */
  finish(url: URL, request: IncomingMessage): Promise<LoginAnswer>;
}

export interface OidcLoginDeps extends ProviderFetchDeps {
  readonly people: () => PeopleConfig | undefined;
  readonly keyring: Pick<Keyring, "seal" | "unseal">;
  readonly publicUrl: () => string;
  readonly cookie: () => CookieRules;
  readonly now: () => Date;
}

/** A person has this long at the provider. */
const LOGIN_MS = 10 * 60_000;
/** What the provider says of itself is asked again after this long. */
const METADATA_MS = 10 * 60_000;
/** A provider that did not answer is asked again after this long: whoever knocks asks nothing of it meanwhile. */
const AFTER_FAULT_MS = 5_000;
const PURPOSE = "oidc-login";
const GROUPS_LIMIT = 1_000;

/** What a browser carries, sealed, while its person is at the provider. */
const BEGUN = z.strictObject({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  returnTo: z.string(),
  redirectUri: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  endsAtMs: z.number(),
});

type Begun = z.infer<typeof BEGUN>;

/**
 * Logins with code, PKCE, state and nonce; the ID token's signature is checked too, and who answers must be who was asked.
 *
 * What ties the answer to its question travels sealed in a cookie, so that only the browser that began can finish, and
 * nobody can fill our memory by beginning.
 */
export function createOidcLogin(deps: OidcLoginDeps): OidcLogin {
  const { keyring, now, cookie } = deps;
  const redirectUri = () => `${deps.publicUrl()}/console/login/callback`;
  const provider = createProvider(deps);
  const required = (): PeopleConfig => {
    const people = deps.people();
    if (people === undefined) throw new Problem("not_found");
    return people;
  };

  return {
    provider: () => deps.people()?.url.host,
    async begin(returnTo) {
      const people = required();
      const { client, configuration } = await provider(people);
      const begun: Begun = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
        returnTo,
        redirectUri: redirectUri(),
        issuer: people.issuer,
        clientId: people.clientId,
        endsAtMs: now().getTime() + LOGIN_MS,
      };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: begun.redirectUri,
        scope: people.scopes.join(" "),
        state: begun.state,
        nonce: begun.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(begun.verifier),
        code_challenge_method: "S256",
      });
      const sealed = keyring.seal(PURPOSE, [], Buffer.from(JSON.stringify(begun), "utf8")).toString("base64url");
      return { url: url.href, cookie: loginCookie(sealed, LOGIN_MS / 1_000, cookie()) };
    },
    async finish(url, request) {
      const people = required();
      const clear = clearLoginCookie(cookie());
      const refused = (reason: string, person?: string): LoginAnswer => ({ ok: false, reason, person, clear });
      const begun = openBegun(deps, request);
      if (begun === undefined || begun.endsAtMs <= now().getTime()) return refused("not_begun_here");
      if (begun.issuer !== people.issuer || begun.clientId !== people.clientId) return refused("provider_changed");
      const { client, configuration } = await provider(people);
      const answer = new URL(begun.redirectUri);
      answer.search = url.search;
      try {
        const tokens = await client.authorizationCodeGrant(configuration, answer, {
          pkceCodeVerifier: begun.verifier,
          expectedState: begun.state,
          expectedNonce: begun.nonce,
          idTokenExpected: true,
        });
        const claims = tokens.claims()!;
        const { userinfo_endpoint } = configuration.serverMetadata();
        const more =
          claims[people.groupsClaim] === undefined && userinfo_endpoint !== undefined
            ? await client.fetchUserInfo(configuration, tokens.access_token, claims.sub)
            : {};
        const who = personOf(people, { ...more, ...claims });
        if (who.groups.length === 0) return refused("no_role", who.person);
        return { ok: true, who, returnTo: begun.returnTo, clear };
      } catch (error) {
        const problem = problemIn(error);
        if (problem !== undefined) throw problem;
        if (error instanceof Error) return refused(codeOf(error));
        throw error;
      }
    },
  };
}

/** Of the ID token, and of the userinfo endpoint where the token does not list the groups. */
interface Claims {
  readonly sub: string;
  readonly [claim: string]: unknown;
}

type Client = typeof import("openid-client");

/** Asks the provider for its metadata, and loads the library, at the first login. */
function createProvider(deps: OidcLoginDeps) {
  let known: { readonly people: PeopleConfig; endsAtMs: number; readonly asked: Promise<Configuration> } | undefined;
  return async (people: PeopleConfig): Promise<{ client: Client; configuration: Configuration }> => {
    const client = await import("openid-client");
    const at = deps.now().getTime();
    if (known === undefined || known.people !== people || at >= known.endsAtMs) {
      const mine = { people, endsAtMs: at + METADATA_MS, asked: discover(deps, client, people) };
      mine.asked.catch(() => {
        mine.endsAtMs = at + AFTER_FAULT_MS;
      });
      known = mine;
    }
    return { client, configuration: await known.asked };
  };
}

async function discover(deps: OidcLoginDeps, client: Client, people: PeopleConfig): Promise<Configuration> {
  let tokenEndpoint: string | undefined;
  const fetch = createProviderFetch(deps, people, () => tokenEndpoint);
  try {
    const configuration = await client.discovery(new URL(people.issuer), people.clientId, undefined, client.None(), {
      [client.customFetch]: (url, options) => fetch(url, options as RequestInit),
      timeout: 10,
      execute: [client.enableNonRepudiationChecks, ...(people.private ? [client.allowInsecureRequests] : [])],
    });
    tokenEndpoint = configuration.serverMetadata().token_endpoint;
    if (tokenEndpoint === undefined || new URL(tokenEndpoint).origin !== people.tokenOrigin) throw elsewhere();
    return configuration;
  } catch (error) {
    if (error instanceof Problem) throw error;
    const problem = problemIn(error);
    if (problem !== undefined) throw problem;
    throw new Problem("upstream_invalid", {
      detail: "the provider's metadata cannot be used",
      remedy: "The owner can look at `people.issuer`.",
      reason: error instanceof Error ? codeOf(error) : "unknown",
      cause: error,
    });
  }
}

function elsewhere(): Problem {
  return new Problem("upstream_invalid", {
    detail: "the provider's token endpoint is at another origin than the file allows",
    remedy: "The owner can look at it, and write it as `people.token_endpoint`.",
  });
}

function openBegun({ keyring, cookie }: OidcLoginDeps, request: IncomingMessage): Begun | undefined {
  const sealed = readLoginCookie(request, cookie());
  const bytes = sealed === undefined ? undefined : keyring.unseal(PURPOSE, [], Buffer.from(sealed, "base64url"));
  return bytes === undefined ? undefined : BEGUN.parse(JSON.parse(bytes.toString("utf8")));
}

/** Who the claims speak of, with those of their groups that have a role. */
function personOf({ issuer, groupsClaim, roles }: PeopleConfig, claims: Claims): NewSession {
  const listed = claims[groupsClaim];
  const groups: readonly unknown[] = typeof listed === "string" ? [listed] : Array.isArray(listed) ? listed : [];
  const known = groups.slice(0, GROUPS_LIMIT).filter((one) => typeof one === "string" && roles.has(one)) as string[];
  const name = [claims["name"], claims["preferred_username"], claims["email"]].find((one) => typeof one === "string");
  return {
    person: `user:${claims.sub}`,
    name: String(name ?? claims.sub).slice(0, 100),
    how: "oidc",
    roles: [],
    issuer,
    groups: [...new Set(known)],
  };
}

/** The refusal of our own way out, which the library may have wrapped. */
function problemIn(error: unknown): Problem | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    if (cause instanceof Problem) return cause;
  }
  return undefined;
}

function codeOf(error: Error): string {
  const { error: oauth, code } = error as { readonly error?: unknown; readonly code?: unknown };
  const word = typeof oauth === "string" ? oauth : typeof code === "string" ? code : error.name;
  return word.slice(0, 100);
}
