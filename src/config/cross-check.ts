import { checkAddresses, type HostClass } from "./check-addresses.ts";
import { checkCertificates } from "./check-certificates.ts";
import { listenFault } from "./listen-address.ts";
import { nearest } from "./nearest.ts";
import { quote } from "./quote.ts";
import { sandboxPathFaults } from "./sandbox-path.ts";
import type { Config, ConfigPath, Fault, PolicyConfig, ServiceConfig } from "./schema.ts";
import { createScopeIndex, type ScopeIndex } from "./scope-index.ts";

export interface CrossCheckOptions {
  /** Names that the file defines, even where their entries are faulty: references to them are no faults. */
  readonly known: {
    readonly services: ReadonlySet<string>;
    readonly roles: ReadonlySet<string>;
    readonly agents: ReadonlySet<string>;
  };
  readonly classifyHost: ((host: string) => HostClass) | undefined;
  /** Of the file: relative paths are resolved from it. */
  readonly folder: string | undefined;
}

/** Unknown names beyond this get no proposal: finding one costs a walk over the known ones. */
const MAX_PROPOSALS = 100;

/** Faults and warnings that concern more than one key. Order is the file's by section; never throws. */
export function crossCheck(
  config: Config,
  given: CrossCheckOptions,
): { readonly faults: readonly Fault[]; readonly warnings: readonly Fault[] } {
  const options: Checking = { ...given, proposals: { left: MAX_PROPOSALS } };
  const scopes = createScopeIndex(
    [...config.services.values()].flatMap(({ name, operations }) =>
      [...operations.keys()].map((operation) => `${name}:${operation}`),
    ),
  );
  const listen = listenFault(config.server);
  const certificates = checkCertificates(config);
  return {
    faults: [
      ...(listen === undefined ? [] : [{ path: ["server", "listen"], ...listen }]),
      ...[...config.services.values()].flatMap((service) => checkService(service, options)),
      ...checkRoles(config, options),
      ...checkAgents(config, options),
      ...certificates.faults,
      ...checkIssuers(config, options),
      ...checkPolicies(config, options),
    ],
    warnings: [
      ...[...config.services.values()].filter(({ operations }) => operations.size === 0).map(warnNoOperations),
      ...[...config.services.values()].flatMap(warnLooseSandbox),
      ...[...config.services.values()].flatMap(warnUnusedSecret),
      ...certificates.warnings,
      ...[...config.roles.values()].flatMap(({ name, allow }) =>
        warnIdleGlobs(scopes, allow, ["roles", name, "allow"]),
      ),
      ...config.policies.flatMap(({ on }, index) => warnIdleGlobs(scopes, on, ["policies", index, "on"])),
    ],
  };
}

interface Checking extends CrossCheckOptions {
  readonly proposals: { left: number };
}

function checkService(service: ServiceConfig, { classifyHost, folder }: CrossCheckOptions): readonly Fault[] {
  return [
    ...checkAddresses(service, classifyHost),
    ...sandboxPathFaults(service, { folder }),
    ...checkCarrier(service),
  ];
}

/** Nothing else may stand where the credential goes. */
function checkCarrier({ name, credential, headers }: ServiceConfig): readonly Fault[] {
  const faults: Fault[] = [];
  const add = (key: ConfigPath, problem: string, remedy: string) =>
    faults.push({ path: ["services", name, ...key], problem, remedy });
  const carrier =
    credential?.kind === "header"
      ? credential.name
      : credential?.kind === "query" || credential?.kind === "env"
        ? undefined
        : credential && "authorization";
  if (carrier !== undefined) {
    const allowed = headers.allow.indexOf(carrier);
    if (allowed >= 0)
      add(["headers", "allow", allowed], `${quote(carrier)} carries the service's credential`, "remove it");
    if (headers.set.has(carrier))
      add(["headers", "set", carrier], `${quote(carrier)} carries the service's credential`, "remove it");
  }
  return faults;
}

function checkRoles({ roles }: Config, options: Checking): readonly Fault[] {
  const faults: Fault[] = [];
  for (const role of roles.values()) {
    faults.push(...unknownNames(options, "role", role.extends, ["roles", role.name, "extends"]));
  }
  for (const circle of findCircles(new Map([...roles].map(([name, role]) => [name, role.extends])))) {
    faults.push({
      path: ["roles", circle[0] ?? "", "extends"],
      problem: `the roles ${circle.map(quote).join(", ")} extend one another in a circle`,
      remedy: "remove one of the `extends`",
    });
  }
  return faults;
}

function checkAgents({ agents }: Config, options: Checking): readonly Fault[] {
  return [...agents.values()].flatMap(({ name, roles }) =>
    unknownNames(options, "role", roles, ["agents", name, "roles"]),
  );
}

function checkIssuers({ trustedIssuers = new Map() }: Config, options: Checking): readonly Fault[] {
  const first = new Map<string, string>();
  return [...trustedIssuers.values()].flatMap(({ name, issuer, agents }) => {
    const path = ["trusted_issuers", name];
    const faults = agents.flatMap(({ agent }, index) =>
      unknownNames(options, "agent", [agent], [...path, "agents", index, "agent"]).map((fault) => ({
        ...fault,
        path: fault.path.slice(0, -1),
      })),
    );
    const before = first.get(issuer);
    first.set(issuer, before ?? name);
    if (before === undefined) return faults;
    const problem = `${quote(before)} is the same issuer already`;
    return [...faults, { path: [...path, "issuer"], problem, remedy: "put its mappings in one entry" }];
  });
}

function checkPolicies({ policies }: Config, options: Checking): readonly Fault[] {
  const first = new Map<string, number>();
  return policies.flatMap((policy, index) => {
    const path = ["policies", index];
    const faults: Fault[] = [
      ...unknownNames(options, "agent", policy.agents, [...path, "agents"]),
      ...checkEffect(policy, path),
    ];
    const before = first.get(policy.id);
    if (before === undefined) first.set(policy.id, index);
    else if (policy.id !== "left-out")
      faults.push({
        path: [...path, "id"],
        problem: `the id ${quote(policy.id)} stands twice (policies[${before}])`,
        remedy: "give each policy its own",
      });
    return faults;
  });
}

function checkEffect({ effect, approvers, rate }: PolicyConfig, path: ConfigPath): readonly Fault[] {
  const faults: Fault[] = [];
  if (approvers !== undefined && effect !== "ask")
    faults.push({
      path: [...path, "approvers"],
      problem: `a policy that says \`${effect}\` asks nobody`,
      remedy: "write `effect: ask`, or remove `approvers`",
    });
  if (rate !== undefined && effect === "forbid")
    faults.push({
      path: [...path, "rate"],
      problem: "a policy that forbids lets no calls through",
      remedy: "remove `rate`",
    });
  return faults;
}

function unknownNames(
  options: Checking,
  what: "role" | "agent",
  names: readonly string[],
  path: ConfigPath,
): readonly Fault[] {
  const known = options.known[`${what}s`];
  return names.flatMap((name, index) => {
    if (known.has(name)) return [];
    const meant = options.proposals.left-- > 0 ? nearest(name, known) : undefined;
    return [
      {
        path: [...path, index],
        problem: `there is no ${what} ${quote(name)}`,
        remedy: meant === undefined ? `define it under \`${what}s:\`` : `write \`${meant}\``,
      },
    ];
  });
}

/** Circles of a graph, each once. Linear; iterative, so that a long chain does not overflow the stack. */
function findCircles(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const circles: string[][] = [];
  const done = new Set<string>();
  for (const start of graph.keys()) {
    const trail: { readonly name: string; next: number }[] = done.has(start) ? [] : [{ name: start, next: 0 }];
    const open = new Set(trail.map(({ name }) => name));
    for (let step = trail.at(-1); step !== undefined; step = trail.at(-1)) {
      const to = graph.get(step.name)?.[step.next++];
      if (to === undefined) {
        done.add(step.name);
        open.delete(step.name);
        trail.pop();
      } else if (open.has(to)) {
        circles.push(trail.map(({ name }) => name).slice(trail.findIndex(({ name }) => name === to)));
      } else if (!done.has(to)) {
        open.add(to);
        trail.push({ name: to, next: 0 });
      }
    }
  }
  return circles;
}

function warnNoOperations({ name }: ServiceConfig): Fault {
  return {
    path: ["services", name],
    problem: "the service has no operations, so nothing can be called",
    remedy: "add `operations:`",
  };
}

/** A client that registers itself is given its own secret. */
function warnUnusedSecret({ name, credential }: ServiceConfig): readonly Fault[] {
  if (credential?.kind !== "oauth2" || credential.secret === undefined || credential.clientId !== undefined) return [];
  const path = ["services", name, "credential", "secret"];
  const problem = "without `client_id` Doorward registers itself at the server, and this secret is not used";
  return [{ path, problem, remedy: "add `client_id: …`, or remove `secret`" }];
}

function warnLooseSandbox(service: ServiceConfig): readonly Fault[] {
  if (service.kind !== "mcp" || service.server.transport !== "stdio") return [];
  const { mode } = service.server.sandbox;
  if (mode === "strict") return [];
  const what =
    mode === "off" ? "can do whatever Doorward's own account can" : "may be started with less than a whole sandbox";
  return [
    {
      path: ["services", service.name, "sandbox", "mode"],
      problem: `the server ${what}; each start is recorded`,
      remedy: "write `mode: strict`",
    },
  ];
}

function warnIdleGlobs(scopes: ScopeIndex, globs: readonly string[], path: ConfigPath): readonly Fault[] {
  return globs.flatMap((glob, index) => {
    if (glob === "*" || scopes.matchesAny(glob) !== false) return [];
    return [
      {
        path: [...path, index],
        problem: `${quote(glob)} matches no operation of any service`,
        remedy: "correct it, or define the operation",
      },
    ];
  });
}
