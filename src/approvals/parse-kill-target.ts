import { KILL_KINDS } from "../policy/kills.ts";

type KillKind = (typeof KILL_KINDS)[number];

/** Characters of a target. */
const TARGET_LIMIT = 512;
const NAME = "[a-z][a-z0-9-]*";

/** What may follow the kind. Clients are key ids and OAuth client ids (URLs too); a secret may be a whole reference. */
const FORMS: Readonly<Record<KillKind, { readonly form: RegExp; readonly example: string }>> = {
  agent: { form: new RegExp(`^${NAME}$`), example: "agent:dns-bot" },
  service: { form: new RegExp(`^${NAME}$`), example: "service:registrar" },
  tenant: { form: /^[\x21-\x7e]+$/, example: "tenant:acme" },
  secret: { form: new RegExp(`^(${NAME}|[a-z][a-z0-9-]*:[\\x21-\\x7e]+)$`), example: "secret:registrar" },
  operation: { form: new RegExp(`^${NAME}(:${NAME})+$`), example: "operation:registrar:records:delete" },
  client: { form: /^[\x21-\x7e]+$/, example: "client:key_3fGh5kLmN8pQ" },
  user: { form: /^[\x21-\x7e]+$/, example: "user:ann@acme.example" },
};

export type ParsedKillTarget =
  | { readonly ok: true; readonly target: string }
  /** One clause each, for a person: lower case, no full stop; an imperative. */
  | { readonly ok: false; readonly problem: string; readonly remedy: string };

/**
 * Reads what a kill names: `agent:NAME`, `service:NAME`, `secret:NAME`, `tenant:NAME`, `operation:SERVICE:OPERATION`,
 * `client:ID`, `user:ID` or `all`.
 *
 * Whether there is such a thing is not looked at: a kill may come before what it stops.
 */
export function parseKillTarget(text: string): ParsedKillTarget {
  const target = text.trim();
  if (target === "all") return { ok: true, target };
  const colon = target.indexOf(":");
  const kind = KILL_KINDS.find((known) => known === target.slice(0, Math.max(0, colon)));
  if (kind === undefined) {
    return {
      ok: false,
      problem: "a kill must say what kind of thing it stops",
      remedy: `Write one of ${KILL_KINDS.map((known) => `\`${known}:…\``).join(", ")} or \`all\`.`,
    };
  }
  const { form, example } = FORMS[kind];
  if (target.length <= TARGET_LIMIT && form.test(target.slice(colon + 1))) return { ok: true, target };
  return { ok: false, problem: `that names no ${kind}`, remedy: `Write it as in \`${example}\`.` };
}
