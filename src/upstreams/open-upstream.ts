import type { AuditLog } from "../audit/event.ts";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import { createScrubber, type Scrubber } from "../credentials/scrubber.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Lease } from "../vault/create-vault.ts";
import { connect } from "./connection.ts";
import type { LeasedCredential } from "./egress-fetch.ts";
import type { Link } from "./link.ts";
import { openHttpLink } from "./open-http-link.ts";
import { openStdioLink } from "./open-stdio-link.ts";
import { scrubResult } from "./scrub-result.ts";
import { type StartServerDeps, startServer } from "./start-server.ts";
import { lastWords } from "./stderr-ring.ts";
import type { Upstream } from "./upstream.ts";

export interface OpenUpstreamDeps extends StartServerDeps {
  readonly egress: { send(request: OutboundRequest, sink: AnswerSink): Exchange };
  /**
   * The credential for a server that is reached over HTTP, asked for each request. Its lease's version names the
   * authority that it stands for: connections are shared by equal ones alone. `undefined` where none is configured.
   */
  readonly authorise: (service: CompiledMcpService, principal: Principal) => Promise<LeasedCredential | undefined>;
  readonly audit: Pick<AuditLog, "append">;
  /** Of Doorward, which is how it calls itself upstream. */
  readonly version: string;
  /** For the operator's terminal: what is loud. */
  readonly log: (line: string) => void;
}

/** A started server has this long to answer the handshake. */
const HANDSHAKE_MS = 30_000;
/** Characters of a server's own words that go into a problem or an event. */
const WORDS_CHARACTERS_MAX = 200;

/**
 * Opens a connection: starts the server or prepares the requests, records it, and does the handshake.
 *
 * A server that exits when it is asked for its revision is started once more and not asked.
 *
 * @param era - `legacy` when the server is known not to bear the question.
 * @returns Whether it had to be started again. The upstream is attached.
 * @throws {Problem} with the server's last words, scrubbed; nothing stays open then.
 */
export async function openUpstream(
  deps: OpenUpstreamDeps,
  upstream: Upstream,
  parts: { readonly principal: Principal; readonly capabilities: JsonObject; readonly era: "ask" | "legacy" },
): Promise<"asked" | "legacy"> {
  const link = await openLink(deps, upstream, parts.principal);
  try {
    await handshake(deps, upstream, link, parts);
    return parts.era === "legacy" ? "legacy" : "asked";
  } catch (error) {
    const exitedOnProbe = parts.era === "ask" && link.facts.transport === "stdio" && link.ending()?.by === "peer";
    if (!exitedOnProbe) throw error;
    const again = await openLink(deps, upstream, parts.principal);
    await handshake(deps, upstream, again, { ...parts, era: "legacy" });
    return "legacy";
  }
}

async function handshake(
  deps: OpenUpstreamDeps,
  upstream: Upstream,
  link: Link,
  { capabilities, era }: { readonly capabilities: JsonObject; readonly era: "ask" | "legacy" },
): Promise<void> {
  const connection = await connect(
    link,
    { version: deps.version, capabilities, era, timeoutMs: HANDSHAKE_MS },
    {
      notification: (method, params) => upstream.notification(method, params),
      ask: (method, params, signal) => upstream.ask(method, params, signal),
      ended: () => (link.facts.transport === "stdio" ? endedProblem(link, upstream.scrubbers) : undefined),
    },
  );
  upstream.attach(connection);
  void connection.listen([]);
}

async function openLink(deps: OpenUpstreamDeps, upstream: Upstream, principal: Principal): Promise<Link> {
  const { service } = upstream;
  const { name, server } = service.config;
  let link: Link;
  if (server.transport === "http") {
    link = await openHttpLink(service, {
      egress: deps.egress,
      authorise: () => deps.authorise(service, principal),
      sensitive: (scrubber) => upstream.watch(scrubber),
    });
  } else {
    await watchSecret(deps, upstream);
    link = openStdioLink(service, await startServer(deps, service, () => upstream.during()));
  }
  upstream.link = link;
  const { facts } = link;
  if (facts.mode !== undefined && facts.mode !== "strict") {
    deps.log(`service \`${name}\`: its server runs with sandbox mode \`${facts.mode}\``);
  }
  const data = {
    transport: facts.transport,
    mode: facts.mode,
    limits: facts.limits,
    package: facts.package?.name,
    integrity: facts.package?.integrity,
  };
  void link.closed.then(() => recordEnd(deps, upstream, link));
  try {
    await deps.audit.append({ type: "upstream.started", service: name, data });
  } catch (error) {
    await link.close("its start could not be recorded");
    throw error;
  }
  if (upstream.stopped !== undefined) {
    await link.close(upstream.stopped);
    throw new Problem("upstream_unreachable", { detail: "the server was stopped" });
  }
  return link;
}

/** Never rejects: what cannot be recorded has ended all the same. */
async function recordEnd(deps: OpenUpstreamDeps, upstream: Upstream, link: Link): Promise<void> {
  const callsUnderWay = upstream.calls.size;
  await link.close("the connection ended");
  const ignored = link.ignored();
  const ending = link.ending();
  await deps.audit
    .append({
      type: "upstream.stopped",
      service: upstream.service.config.name,
      data: {
        transport: link.facts.transport,
        reason: ending?.why,
        calls_under_way: callsUnderWay,
        ignored: Object.keys(ignored).length === 0 ? undefined : ignored,
      },
    })
    .catch(() => {});
}

/** What a server that is gone left: why it ended, and the line of standard error that says most of it. */
function endedProblem(link: Link, scrubbers: readonly Scrubber[]): Problem | undefined {
  const ending = link.ending();
  if (ending === undefined) return undefined;
  const last = lastWords(link.stderr());
  const words = last === undefined ? "" : `: ${scrubResult(last, scrubbers).value.slice(0, WORDS_CHARACTERS_MAX)}`;
  return new Problem("upstream_unreachable", {
    detail: `the server has ended: ${ending.why}${words}`,
    reason: ending.why,
  });
}

const secretScrubbers = new WeakMap<Lease, Scrubber>();

/**
 * Looks for a started server's secret in what it says. It never had it; what an API might echo to it is scrubbed on the way
 * in. When the secret cannot be had now, nobody can have put it on a request either.
 */
export async function watchSecret(deps: Pick<OpenUpstreamDeps, "vault" | "now">, upstream: Upstream): Promise<void> {
  const { config } = upstream.service;
  const [pairing] = config.credential?.kind === "env" ? pairingsOf(config) : [];
  if (pairing === undefined) return;
  try {
    const lease = await deps.vault.lease(pairing.ref, pairing, deps.now());
    let scrubber = secretScrubbers.get(lease);
    if (scrubber === undefined) {
      scrubber = createScrubber([lease.secret]);
      secretScrubbers.set(lease, scrubber);
    }
    upstream.watch(scrubber);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}
