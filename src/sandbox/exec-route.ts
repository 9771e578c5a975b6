import { Problem } from "../base/problem.ts";
import { printOrigin } from "../config/host-port.ts";
import type { Authentication } from "../identity/authenticate.ts";
import type { Principal } from "../identity/principal.ts";
import { knowsService } from "../policy/check-agent.ts";
import { includesOrigin } from "../policy/decide-egress.ts";
import { DEFAULT_RULE } from "../policy/decision.ts";
import type { CompiledService, Snapshot } from "../policy/snapshot.ts";
import type { EgressRoute, EgressSession } from "./egress-session.ts";
import type { GivenPlaceholder } from "./give-placeholders.ts";

/** Whose command it is, and what it may reach at most. */
export interface ExecRouteParts {
  readonly principal: Principal;
  readonly authenticate: () => Authentication;
  readonly snapshot: () => Snapshot;
  /** Empty: all that the agent may know of. */
  readonly services: readonly string[];
  readonly placeholders: readonly GivenPlaceholder[];
}

interface Candidate extends EgressRoute {
  readonly given: boolean;
}

/**
 * Finds which service a command's request is a call to: the one whose url holds it, the longest base path first.
 *
 * An MCP server's places count where the command has its placeholder. Of several that hold it equally, the one whose
 * placeholder the command has; else it must be told which.
 *
 * @returns `caller` is the agent as it was proven last; `route` proves it anew, and throws `invalid_token` when it cannot.
 */
export function createExecRoute(parts: ExecRouteParts): {
  readonly caller: () => Principal;
  readonly route: EgressSession["route"];
} {
  let principal = parts.principal;
  return {
    caller: () => principal,
    route({ protocol, host, port }, target) {
      const caller = parts.authenticate();
      if (!caller.ok) throw new Problem("invalid_token", { reason: caller.reason });
      principal = caller.principal;
      const { services, agents } = parts.snapshot();
      const agent = agents.get(principal.agent);
      const place = { origin: printOrigin(protocol, { host, port }), target };
      const found = [...services.values()].flatMap((service) => {
        const named = parts.services.length === 0 || parts.services.includes(service.config.name);
        return named && knowsService(agent, service, principal) ? (candidateOf(parts, service, place) ?? []) : [];
      });
      // Of a tunnel it is asked only whether anything may go through it.
      return target === undefined ? found[0] : chosen(found);
    },
  };
}

function candidateOf(
  { placeholders }: ExecRouteParts,
  { config }: CompiledService,
  { origin, target }: { readonly origin: string; readonly target: string | undefined },
): Candidate | undefined {
  const given = placeholders.find(({ service }) => service === config.name);
  const basePath = config.kind === "http" ? config.url.basePath : "";
  const isThere =
    config.kind === "http"
      ? origin === config.url.origin && (target === undefined || holds(basePath, target))
      : given !== undefined &&
        config.credential?.kind === "env" &&
        includesOrigin(config.credential.hosts, origin, config.private);
  if (!isThere) return undefined;
  return {
    service: config.name,
    basePath,
    requestBytes: config.limits.requestBytes,
    given: given !== undefined,
    ...(given?.placeholder === undefined ? {} : { placeholder: given.placeholder }),
  };
}

function holds(basePath: string, target: string): boolean {
  return target.startsWith(basePath) && /^(?:[/?]|$)/.test(target.slice(basePath.length));
}

function chosen(found: readonly Candidate[]): Candidate | undefined {
  const longest = Math.max(...found.map(({ basePath }) => basePath.length));
  const nearest = found.filter(({ basePath }) => basePath.length === longest);
  const given = nearest.filter((one) => one.given);
  const [only, ...others] = given.length > 0 ? given : nearest;
  if (others.length === 0) return only;
  const names = [only!, ...others].map(({ service }) => `\`${service}\``).join(", ");
  throw new Problem("denied", {
    detail: `the services ${names} are at one place`,
    remedy: "Start the command with `--service NAME`.",
    reason: "ambiguous_service",
    fields: { rule: DEFAULT_RULE },
  });
}
