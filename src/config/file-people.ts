import { z } from "zod";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { PERSON_ROLES } from "./person-role.ts";
import { quote } from "./quote.ts";
import type { PeopleConfig } from "./schema.ts";
import { parseSecretReference } from "./secret-reference.ts";
import { parseServiceUrl } from "./service-url.ts";
import { joinMessage, line, read } from "./zod-fields.ts";

const MAX_TEXT_CHARS = 256;
const MAX_GROUPS = 1_000;
const MAX_SCOPES = 50;
const DEFAULT_SCOPES: readonly string[] = ["openid", "profile", "email"];

/** The key `people`. */
export const peopleEntry = z
  .strictObject({
    issuer: read("url", parseIssuer).meta({
      description: "The company's OpenID provider, letter by letter as it names itself in its metadata.",
    }),
    client_id: line(MAX_TEXT_CHARS).meta({ description: "As which client Doorward is registered there." }),
    secret: read("secret reference", parseSecretReference)
      .optional()
      .meta({ description: "The client's secret, as in `local:oidc`. Absent: a public client." }),
    token_endpoint: read("url", parseServiceUrl).optional().meta({
      description: "Only where it is at another origin than the issuer: the secret goes nowhere else.",
    }),
    private: z
      .boolean()
      .optional()
      .meta({ description: "Whether the provider is at a private address; plain HTTP only then.", standard: false }),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/))
      .max(MAX_SCOPES)
      .optional()
      .meta({ description: "Asked for at each login, `openid` always.", standard: [...DEFAULT_SCOPES] }),
    groups_claim: line(MAX_TEXT_CHARS)
      .optional()
      .meta({ description: "The claim that lists a person's groups.", standard: "groups" }),
    roles: z.record(z.string().min(1).max(MAX_TEXT_CHARS), z.enum(PERSON_ROLES)).meta({
      description: "Which group has which role: `owner`, `approver`, `auditor` or `operator`. Nobody else gets in.",
    }),
  })
  .superRefine(({ issuer, token_endpoint, private: isPrivate = false, roles }, context) => {
    const add = (key: string, problem: string, remedy: string) =>
      context.addIssue({ code: "custom", path: [key], message: joinMessage(problem, remedy) });
    for (const [key, url] of [
      ["issuer", issuer.url],
      ["token_endpoint", token_endpoint],
    ] as const) {
      if (url?.protocol === "http:" && !isPrivate)
        add(key, "people would log in over plain http", "write `https://HOST`, or `private: true`");
    }
    const count = Object.keys(roles).length;
    if (count < 1 || count > MAX_GROUPS) add("roles", `it names 1 to ${MAX_GROUPS} groups`, "write `GROUP: approver`");
  })
  .transform(
    (from): PeopleConfig => ({
      issuer: from.issuer.text,
      url: from.issuer.url,
      clientId: from.client_id,
      secret: from.secret,
      tokenOrigin: (from.token_endpoint ?? from.issuer.url).origin,
      private: from.private ?? false,
      scopes: [...new Set(["openid", ...(from.scopes ?? DEFAULT_SCOPES)])],
      groupsClaim: from.groups_claim ?? "groups",
      roles: new Map(Object.entries(from.roles)),
    }),
  );

/** Its text is compared, its URL dialled. */
function parseIssuer(text: string): Parsed<{ readonly text: string; readonly url: PeopleConfig["url"] }> {
  const url = parseServiceUrl(text);
  if (!url.ok) return url;
  if (/^https?:\/\/[\x21-\x7e]+$/.test(text)) return parsed({ text, url: url.value });
  return unparsed(`${quote(text)} is not an issuer`, "write it as in `https://login.example.com`");
}
