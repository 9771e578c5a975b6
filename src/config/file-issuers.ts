import { z } from "zod";
import { parseFileReference } from "./file-reference.ts";
import { parseName } from "./names.ts";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { IssuerConfig, TrustedIssuerConfig } from "./schema.ts";
import { parseServiceUrl } from "./service-url.ts";
import { joinMessage, line, read } from "./zod-fields.ts";

const MAX_TEXT_CHARS = 2_048;
const MAX_MAPPINGS = 1_000;
const MAX_CLAIMS = 20;
const MAX_VALUES = 100;

const text = line(MAX_TEXT_CHARS);

const mapping = z
  .strictObject({
    agent: read("name", parseName).meta({ description: "The agent that such a token proves." }),
    claims: z
      .record(z.string().min(1).max(MAX_TEXT_CHARS), z.union([text, z.array(text).min(1).max(MAX_VALUES)]))
      .meta({
        description:
          "What the token must say, all of it: a claim's name, or the names on the way to it joined by `/`, and its value or a list of values.",
      }),
  })
  .superRefine(({ claims }, context) => {
    const count = Object.keys(claims).length;
    if (count >= 1 && count <= MAX_CLAIMS) return;
    const message = joinMessage(`a mapping names 1 to ${MAX_CLAIMS} claims`, "write at least `sub`");
    context.addIssue({ code: "custom", path: ["claims"], message });
  })
  .transform(({ agent, claims }) => ({
    agent,
    claims: new Map(Object.entries(claims).map(([name, value]) => [name, typeof value === "string" ? [value] : value])),
  }));

const whoSigns = {
  issuer: read("url", parseIssuer).meta({ description: "The `iss` of its tokens, letter by letter." }),
  jwks: read("url or file reference", parseJwks).meta({
    description:
      "Its public keys (RFC 7517): an https url, as in `https://issuer.example/jwks`, or a file, as in `file:jwks.json`.",
  }),
};
const isPrivate = z
  .boolean()
  .optional()
  .meta({ description: "Whether `jwks` is at a private address; plain HTTP only then.", standard: false });

/** An entry of `oauth.identity_assertion.issuers:`. */
export const assertionIssuerEntry = z
  .strictObject({ ...whoSigns, private: isPrivate })
  .superRefine(refusePlainKeys)
  .transform(
    (from): Omit<IssuerConfig, "name"> => ({ issuer: from.issuer, jwks: from.jwks, private: from.private ?? false }),
  );

/** An entry of `trusted_issuers:`. */
export const issuerEntry = z
  .strictObject({
    ...whoSigns,
    audience: z
      .union([text, z.array(text).min(1).max(MAX_VALUES)])
      .meta({ form: "text, or a list", description: "The `aud` of tokens that are for Doorward: one of these." }),
    private: isPrivate,
    agents: z
      .array(mapping)
      .min(1)
      .max(MAX_MAPPINGS)
      .meta({ description: "Which tokens prove which agent. A token that leads to two agents proves none." }),
  })
  .superRefine(refusePlainKeys)
  .transform(
    (from): Omit<TrustedIssuerConfig, "name"> => ({
      issuer: from.issuer,
      jwks: from.jwks,
      audience: typeof from.audience === "string" ? [from.audience] : from.audience,
      private: from.private ?? false,
      agents: from.agents,
    }),
  );

function refusePlainKeys(
  from: { readonly jwks: IssuerConfig["jwks"]; readonly private?: boolean | undefined },
  context: z.RefinementCtx,
): void {
  if (from.jwks.kind !== "url" || from.jwks.url.protocol === "https:" || from.private === true) return;
  const message = joinMessage("the keys would come over plain http", "write `https://HOST`, or `private: true`");
  context.addIssue({ code: "custom", path: ["jwks"], message });
}

/** Kept as it is written: an issuer is compared, not dialled. */
function parseIssuer(value: string): Parsed<string> {
  if (value.length <= MAX_TEXT_CHARS && /^https?:\/\/[\x21-\x7e]+$/.test(value)) return parsed(value);
  return unparsed(`${quote(value)} is not an issuer`, "write the `iss` of its tokens, as in `https://issuer.example`");
}

function parseJwks(value: string): Parsed<IssuerConfig["jwks"]> {
  if (value.startsWith("file:")) {
    const file = parseFileReference(value);
    return file.ok ? parsed({ kind: "file", path: file.value }) : file;
  }
  const url = parseServiceUrl(value);
  return url.ok ? parsed({ kind: "url", url: url.value }) : url;
}
