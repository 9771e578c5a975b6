import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { denyKilled } from "../policy/decision.ts";
import { killOfService } from "../policy/kills.ts";
import type { CompiledMcpService, Snapshot } from "../policy/snapshot.ts";
import type { LoginState, UpstreamLogins } from "../upstreams/upstream-logins.ts";
import type { GrantView, UserTokens } from "../upstreams/user-tokens.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";
import { startUrl } from "./upstream-login-routes.ts";

export interface LoginActionsDeps {
  readonly logins: UpstreamLogins;
  readonly tokens: Pick<UserTokens, "drop" | "list">;
  readonly snapshot: () => Snapshot;
  /** Where browsers reach this daemon; `undefined` while nobody can. */
  readonly publicUrl: () => string | undefined;
}

/** As tokens name people: what stands in `user` of the evidence. */
const USER = /^[\x21-\x7e]{1,200}$/;

/** `service.login…`: people sign in at MCP servers elsewhere, and out again. */
export function loginActions(deps: LoginActionsDeps): readonly AdminAction[] {
  const { logins, tokens } = deps;
  return [
    {
      name: "service.login",
      proof: "owner",
      async run(args, by) {
        const service = serverOf(deps, textArgument(args, "name"));
        const publicUrl = deps.publicUrl();
        if (publicUrl === undefined) {
          throw new Problem("invalid_request", {
            detail: "nobody can sign in while the daemon does not run",
            remedy: "Start it with `doorward serve`.",
          });
        }
        const { id, ticket, expiresAt } = await logins.begin(service, ownerOf(args), by);
        return { login: id, url: startUrl(publicUrl, ticket), expires_at: expiresAt.toISOString() };
      },
    },
    {
      name: "service.login.state",
      proof: "key",
      run: (args) => shownState(logins.state(textArgument(args, "login"))),
    },
    {
      name: "service.logout",
      proof: "owner",
      async run(args, by) {
        const name = textArgument(args, "name");
        const owner = ownerOf(args);
        const all = args["all"] === true;
        const which = (key: { readonly service: string; readonly owner: string }) =>
          key.service === name && (all || key.owner === owner);
        logins.drop(which);
        const { dropped, revoked } = await tokens.drop(which, by);
        return { service: name, dropped, revoked_upstream: await revoked };
      },
    },
    {
      name: "service.logins",
      proof: "key",
      run: async () => ({ logins: (await tokens.list()).map(shown) }),
    },
  ];
}

function serverOf({ snapshot }: LoginActionsDeps, name: string): CompiledMcpService {
  const service = snapshot().services.get(name);
  const { credential } = service?.config ?? {};
  if (service?.kind === "mcp" && credential?.kind === "oauth2" && credential.grant === "authorization_code") {
    const kill = snapshot().kills.get("all") ?? killOfService(snapshot().kills, service);
    if (kill === undefined) return service;
    const { detail, remedy, rules } = denyKilled(kill);
    throw new Problem("killed", { detail, remedy, fields: { rule: rules[0]! } });
  }
  const shownName = name.slice(0, 64).replaceAll("`", "?");
  if (service === undefined) throw new Problem("not_found", { detail: `there is no service \`${shownName}\`` });
  throw new Problem("invalid_request", {
    detail: `nobody signs in at \`${shownName}\``,
    remedy: "Give it `mcp: { url: … }` and `credential: { kind: oauth2 }`.",
  });
}

function ownerOf(args: JsonObject): string {
  const user = optionalText(args, "user") ?? "";
  if (user === "" || USER.test(user)) return user;
  throw new Problem("invalid_request", { detail: "`user` is no name of a person" });
}

function shownState(state: LoginState | undefined) {
  if (state === undefined) return { state: "failed", why: "it has expired, or was ended" };
  return state.state === "waiting" ? { state: "waiting", expires_at: state.expiresAt.toISOString() } : state;
}

function shown({ service, owner, id, issuer, grantedAt, renewable, expiresAt }: GrantView) {
  return {
    service,
    user: owner === "" ? null : owner,
    token: id,
    issuer,
    granted_at: grantedAt.toISOString(),
    renewable,
    expires_at: expiresAt?.toISOString() ?? null,
  };
}
