import { DEFAULT_HTTPS_PORT, printOrigin } from "../config/host-port.ts";
import type { HostPort } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import { approvalTerms } from "./approval-terms.ts";
import { NowView, PrincipalView } from "./cel-views.ts";
import { type Decision, type Deny, deny, denyKilled } from "./decision.ts";
import { killOfOperation, killOfPrincipal, killOfService } from "./kills.ts";
import { type MatchedOperation, matchOperations } from "./match-operations.ts";
import { lazyAddress } from "./network.ts";
import { createRequestReader } from "./request-reader.ts";
import type { CompiledAgent, CompiledService, Snapshot } from "./snapshot.ts";
import { type Hearing, type Verdict, weighOperation } from "./weigh-operation.ts";
import { utcClock } from "./zone-clock.ts";

/** One question: may the server of this service, which Doorward started, send this request out of its sandbox, now? */
export interface EgressQuestion {
  readonly snapshot: Snapshot;
  /** `service:NAME`; no agent can have such a name. */
  readonly principal: Principal;
  readonly service: CompiledService;
  /** Its `origin` says where it goes. */
  readonly request: CanonicalRequest;
  readonly now: Date;
}

/**
 * Decides a request that a started MCP server makes by itself.
 *
 * It holds no role: what it may do is what its own service declares, the hosts of its credential and of its sandbox, and on
 * them the endpoints that operations list under `allow` (every endpoint where none lists any). Kills come first. Policies that
 * forbid or ask, and `approval` of an operation, hold for the operations that match; policies that permit have nothing to add.
 *
 * @returns Never throws for anything that a request holds. Pure.
 */
export function decideEgress(question: EgressQuestion): Decision {
  const { snapshot, principal, service, request } = question;
  const kill = killOfPrincipal(snapshot.kills, principal) ?? killOfService(snapshot.kills, service);
  if (kill !== undefined) return denyKilled(kill);
  const undeclared = denyUndeclared(service, request);
  if (undeclared !== undefined) return undeclared;
  const rules = [`service:${service.config.name}`];
  if (!listsEndpoints(service)) return { kind: "permit", rules, operations: [], rates: [] };

  const matching = matchOperations(service, request);
  if (!matching.ok) {
    return deny(matching.code, { reason: matching.code, detail: matching.detail, remedy: LIST_IT });
  }
  const { matched } = matching;
  for (const { operation } of matched) {
    const stopped = killOfOperation(snapshot.kills, operation.scope);
    if (stopped !== undefined) return denyKilled(stopped, operationsOf(matched));
  }
  const hearing = hearingOf(question);
  const verdicts = matched.map(({ operation, params }) => weighOperation(operation, params, hearing));
  return refusal(matched, verdicts) ?? permitOrAsk(question, matched, verdicts);
}

const LIST_IT = "The owner can list the endpoint under `allow` of an operation of the service.";

/**
 * The hosts that a started server may reach: the network of its sandbox. Those of its credential alone get the key.
 */
function declaredHosts({ config }: CompiledService): readonly HostPort[] {
  if (config.kind !== "mcp" || config.server.transport !== "stdio") return [];
  const { credential, server } = config;
  return [...(credential?.kind === "env" ? credential.hosts : []), ...server.sandbox.network];
}

/**
 * Whether an origin is at one of several places that the file names.
 *
 * @param plain - Whether plain HTTP is spoken there too: to private hosts, on a port that is not the one of TLS.
 */
export function includesOrigin(hosts: readonly HostPort[], origin: string, plain: boolean): boolean {
  return hosts.some(
    (place) =>
      origin === printOrigin("https:", place) ||
      (plain && place.port !== DEFAULT_HTTPS_PORT && origin === printOrigin("http:", place)),
  );
}

/**
 * The denial of a request to a place that is not an API's own, or that an MCP server's entry does not declare; `undefined`
 * when it is.
 *
 * Looked at at each request: the file may have changed since the program was started.
 */
export function denyUndeclared(service: CompiledService, { origin }: CanonicalRequest): Deny | undefined {
  const { config } = service;
  if (config.kind === "http" && origin === config.url.origin) return undefined;
  if (origin !== undefined && includesOrigin(declaredHosts(service), origin, config.private)) return undefined;
  return deny("denied", {
    rules: [`service:${config.name}`],
    reason: "undeclared_host",
    detail: `\`${config.name}\` does not declare \`${origin?.slice(0, MAX_SHOWN_CHARACTERS)}\``,
    remedy: config.kind === "http" ? `The service is at \`${config.url.origin}\`.` : DECLARE_IT,
  });
}

const DECLARE_IT =
  "The owner can add the host to `sandbox.network`, or to `hosts` of the credential if it is to get the key.";
const MAX_SHOWN_CHARACTERS = 256;

function listsEndpoints(service: CompiledService): boolean {
  for (const { config } of service.operations.values()) if (config.allow.length > 0) return true;
  return false;
}

/** The server as rules see it: an agent without roles. */
function hearingOf({ principal, service, request, now }: EgressQuestion): Hearing {
  const agent: CompiledAgent = {
    config: { name: principal.agent, roles: [], purposes: [], networks: [], hours: undefined, expires: undefined },
    roles: [],
    roleNames: [],
    networks: undefined,
    hours: undefined,
  };
  const { purpose } = principal;
  const environment = principal.environment ?? service.config.environment;
  return {
    agent,
    service,
    circumstances: { principal, purpose, environment, address: lazyAddress(principal.ip), now },
    reader: createRequestReader(request),
    principal: new PrincipalView(principal, { purpose, roles: [] }),
    now: new NowView(now, utcClock),
    work: 0,
    trace: undefined,
  };
}

/** A rule that cannot be evaluated denies, then one that forbids. */
function refusal(matched: readonly MatchedOperation[], verdicts: readonly Verdict[]): Deny | undefined {
  const operations = operationsOf(matched);
  const [error] = verdicts.flatMap(({ errors }) => errors).sort((a, b) => (a.rule < b.rule ? -1 : 1));
  if (error !== undefined) {
    const { code, rule, reason, detail } = error;
    return deny(code, { rules: [rule], operations, reason, detail, remedy: `The owner must correct \`${rule}\`.` });
  }
  const forbids = [...new Set(verdicts.flatMap(({ forbids: by }) => by.map(({ rule }) => rule)))].sort();
  if (forbids.length === 0) return undefined;
  const scopes = operations.map(({ scope }) => scope).join(", ");
  return deny("denied", {
    rules: forbids,
    operations,
    reason: "forbidden",
    detail: `\`${forbids[0]}\` forbids \`${scopes}\``,
    remedy: "Do something else, or ask the owner whether the policy should allow this.",
  });
}

function permitOrAsk(
  { service, request }: EgressQuestion,
  matched: readonly MatchedOperation[],
  verdicts: readonly Verdict[],
): Decision {
  const operations = operationsOf(matched);
  const policies = [...new Set(verdicts.flatMap(({ asks }) => asks))];
  const asking = operations.filter(({ config }) => config.approval !== undefined);
  if (policies.length === 0 && asking.length === 0) {
    return { kind: "permit", rules: [`service:${service.config.name}`], operations, rates: [] };
  }
  const rules = [...asking.map(({ scope }) => `operation:${scope}`), ...policies.map(({ rule }) => rule)].sort();
  const approval = approvalTerms(matched, policies, { service, request });
  if ("kind" in approval) return { ...approval, rules, operations };
  return { kind: "ask", rules, operations, rates: [], approval };
}

function operationsOf(matched: readonly MatchedOperation[]) {
  return matched.map(({ operation }) => operation);
}
