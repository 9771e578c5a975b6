import { z } from "zod";
import { parseCertificateName } from "./certificate-name.ts";
import { APPROVAL_RANGE_MS } from "./file-operation.ts";
import { parseName, parseScopeGlob } from "./names.ts";
import { parseNetworkBlock } from "./network-block.ts";
import { parseDurationMs, parseExpiry, parseRate } from "./quantity.ts";
import type { AgentConfig, PolicyConfig, RoleConfig } from "./schema.ts";
import { anyNumberOf, line, oneOrMore, read, record } from "./zod-fields.ts";

const MAX_LIST = 10_000;
const MAX_QUORUM = 20;
/** CEL of this length is still compiled in microseconds. In characters. */
const MAX_WHEN_CHARS = 4_096;

const name = read("name", parseName);
const names = z.array(name).max(MAX_LIST).optional();
const scope = read("scope pattern", parseScopeGlob);
const networks = z.array(read("network", parseNetworkBlock)).max(MAX_LIST).optional();
const expires = read("date", parseExpiry).optional();
const rate = read("rate", parseRate).optional();
const hours = line(200).meta({ form: "hours" }).optional();

/** An entry of `roles:`. */
export const roleEntry = z
  .strictObject({
    allow: anyNumberOf(scope)
      .optional()
      .meta({ description: "Scopes that the role permits, as in `registrar:records:*`.", standard: [] }),
    extends: names.meta({ description: "Roles whose permissions this one has too.", standard: [] }),
    rate: rate.meta({ description: "Calls of each agent through this role, as in `60/minute`." }),
  })
  .transform(
    (from): Omit<RoleConfig, "name"> => ({ allow: from.allow ?? [], extends: from.extends ?? [], rate: from.rate }),
  );

/** An entry of `agents:`. */
export const agentEntry = z
  .strictObject({
    roles: names.meta({ description: "What the agent may do.", standard: [] }),
    tenant: name.optional().meta({ description: "The tenant it works for." }),
    environment: name.optional().meta({ description: "The environment it runs in." }),
    purposes: names.meta({ description: "Purposes it may state. Empty: not restricted.", standard: [] }),
    networks: networks.meta({ description: "Where it may call from, in CIDR. Empty: anywhere.", standard: [] }),
    hours: hours.meta({ description: "When it may call, as in `Mon-Fri 08:00-19:00 Europe/Berlin`." }),
    expires: expires.meta({
      description: "From when on it may not call any more: a day's start in UTC, or an instant.",
    }),
    certificates: z.array(read("certificate name", parseCertificateName)).max(MAX_LIST).optional().meta({
      description:
        "Client certificates that prove it: a URI such as `spiffe://acme.example/agents/dns-bot`, or the whole subject as in `CN=dns-bot,O=Acme`.",
      standard: [],
    }),
  })
  .transform(
    (from): Omit<AgentConfig, "name"> => ({
      roles: from.roles ?? [],
      tenant: from.tenant,
      environment: from.environment,
      purposes: from.purposes ?? [],
      networks: from.networks ?? [],
      hours: from.hours,
      expires: from.expires,
      certificates: from.certificates ?? [],
    }),
  );

const approvers = z
  .strictObject({
    quorum: z
      .int()
      .min(1)
      .max(MAX_QUORUM)
      .optional()
      .meta({ description: "How many people must approve.", standard: 1 }),
    expires: read("duration", (text) => parseDurationMs(text, APPROVAL_RANGE_MS))
      .optional()
      .meta({ description: "How long they have.", standard: "15m" }),
    separate: z
      .boolean()
      .optional()
      .meta({ description: "Whether the agent's own user may not approve.", standard: false }),
  })
  .transform((from) => ({
    quorum: from.quorum ?? 1,
    expiresSeconds: from.expires === undefined ? undefined : Math.ceil(from.expires / 1_000),
    separate: from.separate ?? false,
  }));

/** An entry of `policies:`. */
export const policyEntry = z
  .strictObject({
    id: name.meta({ description: "Its name in refusals and in the evidence: `policy:ID`." }),
    effect: z
      .enum(["permit", "ask", "forbid"])
      .meta({ description: "Forbid beats ask beats permit, whatever the order." }),
    on: oneOrMore(scope).meta({ description: 'Scopes it speaks about: one pattern or a list; `"*"` is all.' }),
    when: z
      .string()
      .min(1)
      .max(MAX_WHEN_CHARS)
      .optional()
      .meta({ description: "A CEL condition over the call.", form: "CEL" }),
    agents: names.meta({ description: "Agents it speaks about. Empty: any.", standard: [] }),
    tenants: names.meta({ description: "Tenants. Empty: any.", standard: [] }),
    environments: names.meta({ description: "Environments. Empty: any.", standard: [] }),
    purposes: names.meta({ description: "Purposes. Empty: any.", standard: [] }),
    effects: z
      .array(z.enum(["read", "write", "destructive"]))
      .optional()
      .meta({ description: "Effects of the operation. Empty: any.", standard: [] }),
    networks: networks.meta({ description: "Where the call comes from, in CIDR. Empty: anywhere.", standard: [] }),
    hours: hours.meta({ description: "When it holds, as in `Mon-Fri 08:00-19:00 Europe/Berlin`." }),
    expires: expires.meta({ description: "From when on it does not hold any more." }),
    rate: rate.meta({ description: "Calls of each agent that it lets through; not with `forbid`." }),
    approvers: approvers.optional().meta({ description: "Who must approve; only with `ask`." }),
  })
  .transform(
    (from): PolicyConfig => ({
      id: from.id,
      effect: from.effect,
      on: from.on,
      when: from.when,
      agents: from.agents ?? [],
      tenants: from.tenants ?? [],
      environments: from.environments ?? [],
      purposes: from.purposes ?? [],
      effects: from.effects ?? [],
      networks: from.networks ?? [],
      hours: from.hours,
      expires: from.expires,
      rate: from.rate,
      approvers: from.approvers,
    }),
  );

/** The maps and lists of rules, as the file has them. */
export const rules = {
  roles: record("name", parseName, roleEntry)
    .optional()
    .meta({ description: "Named sets of permissions.", standard: {} }),
  agents: record("name", parseName, agentEntry)
    .optional()
    .meta({ description: "The AI programs that may call.", standard: {} }),
  policies: z
    .array(policyEntry)
    .optional()
    .meta({ description: "Rules beside the roles. Their order never matters.", standard: [] }),
};
