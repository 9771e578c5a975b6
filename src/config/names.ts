import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";

/** The name of a service, agent, role, policy or secret. No `_`, so that `SERVICE__TOOL` splits. */
export const NAME_PATTERN = /^[a-z][a-z0-9-]*$/;
/** The name of an operation: such parts joined by `:`. */
export const OPERATION_PATTERN = /^[a-z][a-z0-9-]*(?::[a-z][a-z0-9-]*)*$/;
/** In characters. */
export const MAX_NAME_CHARS = 64;
export const MAX_OPERATION_CHARS = 200;
const MAX_GLOB_CHARS = 300;

export function parseName(text: string): Parsed<string> {
  if (text.length > MAX_NAME_CHARS)
    return unparsed("the name is too long", `write at most ${MAX_NAME_CHARS} characters`);
  if (NAME_PATTERN.test(text)) return parsed(text);
  return unparsed(`${quote(text)} is not a name`, nameRemedy(text, "small letters, digits and `-`, a letter first"));
}

export function parseOperationName(text: string): Parsed<string> {
  if (text.length > MAX_OPERATION_CHARS) {
    return unparsed("the name is too long", `write at most ${MAX_OPERATION_CHARS} characters`);
  }
  if (OPERATION_PATTERN.test(text)) return parsed(text);
  return unparsed(
    `${quote(text)} is not a name of an operation`,
    nameRemedy(text, "parts of small letters, digits and `-`, joined by `:`, as in `records:delete`"),
  );
}

/** A glob over scopes: `registrar:records:*`, `*:read`, `*`. */
export function parseScopeGlob(text: string): Parsed<string> {
  if (text.length > MAX_GLOB_CHARS)
    return unparsed("the pattern is too long", `write at most ${MAX_GLOB_CHARS} characters`);
  if (!/^[a-z0-9:*-]+$/.test(text)) {
    return unparsed(
      `${quote(text)} is not a pattern of scopes`,
      "write `SERVICE:OPERATION`; `*` stands for any characters",
    );
  }
  if (!/[:*]/.test(text))
    return unparsed(`${quote(text)} names no operation`, `write \`${text}:*\` for all of the service`);
  return parsed(text.replace(/\*{2,}/g, "*"));
}

function nameRemedy(text: string, rule: string): string {
  const proposal = text.toLowerCase().replace(/[\s_.]+/g, "-");
  const usable = OPERATION_PATTERN.test(proposal) && proposal.length <= MAX_NAME_CHARS && quote(text) === `\`${text}\``;
  return usable && rule.startsWith("small") === !proposal.includes(":") ? `write \`${proposal}\`` : `write ${rule}`;
}
