import { createHash, randomBytes } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { type Authorization, discoverAuthorization, OFFLINE } from "./discover-authorization.ts";
import { subjectOf } from "./grant-events.ts";
import {
  findLoginClient,
  forgetRegistration,
  type LoginClient,
  type LoginClientDeps,
  redirectUriOf,
} from "./login-client.ts";
import type { GrantKey, GrantRecord } from "./login-records.ts";
import { knownOAuthError, requestToken, type TokenAnswer, TokenRefusal } from "./request-token.ts";
import { revokeUpstream } from "./revoke-upstream.ts";
import { endOf, type UserTokens } from "./user-tokens.ts";
import { configDigest } from "./wanted-connection.ts";

/** A sign-in that was begun: a link that a browser opens once. */
export interface BegunLogin {
  readonly id: string;
  /** For the link: 43 characters, used once. */
  readonly ticket: string;
  readonly expiresAt: Date;
}

/** How a sign-in stands. */
export type LoginState =
  | { readonly state: "waiting"; readonly expiresAt: Date }
  | { readonly state: "done" }
  | { readonly state: "failed"; readonly why: string };

/** Signs people in at MCP servers elsewhere, as their OAuth client. */
export interface UpstreamLogins {
  /**
   * Begins a sign-in: finds the authorization server, and becomes its client.
   *
   * @param by - Who begins it.
   * @throws {Problem} `upstream_…`, `secret_unavailable`, `rate_limited` for too many at once.
   */
  begin(service: CompiledMcpService, owner: string, by: string): Promise<BegunLogin>;
  /**
   * Opens the link, once.
   *
   * @returns Where the browser goes, and the value that ties the sign-in to it; `undefined` for a link that is none, used or over.
   */
  open(ticket: string): { readonly url: string; readonly tie: string } | undefined;
  /**
   * Takes the answer of the authorization server. In the browser that began, its `state` is used up, whatever it says.
   *
   * @param tie - What the browser was given by {@link UpstreamLogins.open}.
   * @returns How the sign-in stands now; `undefined` for an answer to nothing that this browser began.
   */
  finish(answer: URLSearchParams, tie: string | undefined): Promise<LoginState | undefined>;
  /** @returns `undefined` for one that is not known (any more). */
  state(id: string): LoginState | undefined;
  /** Forgets sign-ins that are under way: of a service that was killed, or removed. */
  drop(which: (key: GrantKey) => boolean): void;
}

export interface UpstreamLoginsDeps extends LoginClientDeps {
  readonly tokens: Pick<UserTokens, "keep" | "drop">;
  readonly audit: Pick<AuditLog, "append">;
  /** Told of each sign-in: the server may offer something now. */
  readonly signedIn: (service: string) => void;
  /** The service as the rules in force have it. */
  readonly find: (service: string) => CompiledMcpService | undefined;
}

interface Pending {
  readonly key: GrantKey;
  readonly digest: string;
  readonly by: string;
  readonly at: Authorization;
  readonly clientId: string;
  readonly redirectUri: string;
  readonly verifier: string;
  readonly state: string;
  readonly endsAtMs: number;
  /** Each until it is used. */
  ticketHash: string | undefined;
  stateHash: string | undefined;
  tieHash: string | undefined;
  outcome: Exclude<LoginState, { state: "waiting" }> | undefined;
}

/** From its beginning to its end. */
const LOGIN_MS = 10 * 60_000;
const PENDING_MAX = 100;
const TOKEN_BYTES = 32;

/** Sign-ins under way lie in memory alone: a restart ends them. */
export function createUpstreamLogins(deps: UpstreamLoginsDeps): UpstreamLogins {
  const pending = new Map<string, Pending>();
  const nowMs = () => deps.now().getTime();
  const sweep = () => {
    for (const [id, { endsAtMs }] of pending) if (endsAtMs <= nowMs()) pending.delete(id);
  };
  const findOpen = (hash: "ticketHash" | "stateHash", value: string): Pending | undefined => {
    sweep();
    const wanted = hashOf(value);
    return [...pending.values()].find((login) => login[hash] === wanted && login.outcome === undefined);
  };
  const isPending = (login: Pending) => [...pending.values()].includes(login);

  const exchange = async (login: Pending, code: string): Promise<void> => {
    const { key, at } = login;
    const service = deps.find(key.service);
    if (service === undefined || configDigest(service) !== login.digest) throw changed(key.service);
    const client = await findLoginClient(deps, service, at);
    if (client.id !== login.clientId) throw changed(key.service);
    const answer = await redeem(deps, service, { login, client, code });
    const record = recordOf(login, client, answer, deps.now());
    if (isPending(login)) await deps.tokens.keep(service, key.owner, record, login.by);
    if (isPending(login)) return deps.signedIn(key.service);
    // Killed or removed meanwhile: nothing of it stays, here or there.
    await deps.tokens.drop(({ service: name, owner }) => name === key.service && owner === key.owner, login.by);
    await revokeUpstream(deps.egress, service, record, client);
    throw changed(key.service);
  };

  return {
    async begin(service, owner, by) {
      sweep();
      if (pending.size >= PENDING_MAX) {
        throw new Problem("rate_limited", { detail: "too many sign-ins are under way" });
      }
      const at = await discoverAuthorization(deps.egress, service);
      const client = await findLoginClient(deps, service, at);
      const [ticket, state] = [random(), random()];
      const id = newId("lgn");
      const endsAtMs = nowMs() + LOGIN_MS;
      pending.set(id, {
        key: { service: service.config.name, owner },
        digest: configDigest(service),
        by,
        at,
        clientId: client.id,
        redirectUri: redirectUriOf(deps.publicUrl()),
        verifier: random(),
        state,
        endsAtMs,
        ticketHash: hashOf(ticket),
        stateHash: hashOf(state),
        tieHash: undefined,
        outcome: undefined,
      });
      return { id, ticket, expiresAt: new Date(endsAtMs) };
    },
    open(ticket) {
      const login = findOpen("ticketHash", ticket);
      if (login === undefined) return undefined;
      const tie = random();
      login.ticketHash = undefined;
      login.tieHash = hashOf(tie);
      return { url: authorizationUrl(login), tie };
    },
    async finish(answer, tie) {
      const login = findOpen("stateHash", only(answer, "state") ?? "");
      if (login === undefined || tie === undefined || login.tieHash !== hashOf(tie)) return undefined;
      login.stateHash = undefined;
      try {
        await exchange(login, codeIn(answer, login.at));
        login.outcome = { state: "done" };
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        login.outcome = { state: "failed", why: error.message };
        await deps.audit.append(refusedEvent(login, error));
      }
      return login.outcome;
    },
    state(id) {
      sweep();
      const login = pending.get(id);
      return login && (login.outcome ?? { state: "waiting", expiresAt: new Date(login.endsAtMs) });
    },
    drop(which) {
      for (const [id, { key }] of pending) if (which(key)) pending.delete(id);
    },
  };
}

async function redeem(
  deps: Pick<UpstreamLoginsDeps, "egress" | "store">,
  service: CompiledMcpService,
  { login, client, code }: { readonly login: Pending; readonly client: LoginClient; readonly code: string },
): Promise<TokenAnswer> {
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code,
    redirect_uri: login.redirectUri,
    code_verifier: login.verifier,
    resource: login.at.resource,
  });
  try {
    return await requestToken(deps.egress, service, { url: login.at.tokenEndpoint, form, client });
  } catch (error) {
    const isUnknown = error instanceof TokenRefusal && error.error === "invalid_client";
    if (isUnknown) await forgetRegistration(deps.store, login.key.service);
    throw error;
  }
}

function authorizationUrl({ at, clientId, redirectUri, state, verifier }: Pending): string {
  const url = new URL(at.authorizationEndpoint);
  const asked = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    code_challenge: hashOf(verifier),
    code_challenge_method: "S256",
    resource: at.resource,
    ...(at.scopes.length === 0 ? {} : { scope: at.scopes.join(" ") }),
    // OpenID Connect Core §11: without it some servers leave the scope out.
    ...(at.scopes.includes(OFFLINE) ? { prompt: "consent" } : {}),
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * The code of an answer that comes from where the sign-in went.
 *
 * @throws {Problem} `upstream_invalid` for another issuer's (RFC 9207), and for what is no answer; `secret_unavailable` for a no.
 */
function codeIn(answer: URLSearchParams, at: Authorization): string {
  const issuer = only(answer, "iss");
  if (issuer === undefined ? at.namesIssuer || answer.has("iss") : issuer !== at.issuer) {
    throw new Problem("upstream_invalid", { detail: "the answer is another authorization server's" });
  }
  const error = only(answer, "error");
  if (answer.has("error")) {
    const said = knownOAuthError(error) ?? "an error";
    throw new Problem("secret_unavailable", { detail: `the authorization server answered \`${said}\`` });
  }
  const code = only(answer, "code");
  if (code === undefined || code === "") throw new Problem("upstream_invalid", { detail: "the answer has no code" });
  return code;
}

/** A parameter that stands there once (RFC 6749 §3.1). */
function only(parameters: URLSearchParams, name: string): string | undefined {
  const all = parameters.getAll(name);
  return all.length === 1 ? all[0] : undefined;
}

function recordOf({ at }: Pending, client: LoginClient, answer: TokenAnswer, now: Date): GrantRecord {
  const { accessToken, refreshToken } = answer;
  const expiresAtMs = endOf(answer, now);
  return {
    id: newId("grt"),
    endpoint: at.endpoint,
    issuer: at.issuer,
    resource: at.resource,
    tokenEndpoint: at.tokenEndpoint.href,
    ...(at.revocationEndpoint === undefined ? {} : { revocationEndpoint: at.revocationEndpoint.href }),
    clientId: client.id,
    ...(client.registeredSecret === undefined ? {} : { clientSecret: client.registeredSecret }),
    method: client.method,
    accessToken,
    ...(refreshToken === undefined ? {} : { refreshToken }),
    grantedAtMs: now.getTime(),
    issuedAtMs: now.getTime(),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

function refusedEvent({ key, by }: Pending, { code, message, reason }: Problem) {
  const data = { kind: "upstream", reason: reason ?? message, by };
  return { type: "token.refused" as const, ...subjectOf(key), code, data };
}

function changed(service: string): Problem {
  return new Problem("secret_unavailable", {
    detail: `\`${service}\` was changed or stopped during the sign-in`,
    remedy: `The owner can run \`doorward service login ${service}\` again.`,
  });
}

function random(): string {
  return randomBytes(TOKEN_BYTES).toString("base64url");
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
