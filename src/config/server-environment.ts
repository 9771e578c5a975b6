import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";
import { quote } from "./quote.ts";

/** The name of a variable of the environment. */
export const VARIABLE_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MAX_NAME_CHARS = 200;
/** Of one value or argument, in characters. */
const MAX_TEXT_CHARS = 8_192;
/** What becomes the placeholder inside an argument. */
export const CREDENTIAL_MARK = "{credential}";
const STORE_IT =
  'store it with `doorward secret set NAME --stdin` and write `credential: { kind: env, name: VARIABLE, secret: "local:NAME", hosts: [HOST] }`';

/**
 * Variables that Doorward sets itself, and those that would lead a server past its proxy or into other code.
 *
 * `NODE_ENV` is the one of Node's that programs own.
 */
const RESERVED =
  /^(?:PATH|HOME|PWD|TMPDIR|SHELL|ENV|BASH_ENV|IFS|(?:https?|all|no|ftp)_proxy|node_(?!env$).*|ld_.*|dyld_.*|ssl_cert_.*|curl_ca_bundle|requests_ca_bundle|git_ssl_.*|aws_ca_bundle|npm_config_.*|doorward_.*)$/i;
/** Names by which programs take secrets, as the end of a variable or option. */
const SECRET_NAME =
  /(?:^|[_-])(?:(?:api|access|private|secret)[_-]?key|apikey|token|secret|password|passwd|pat|credentials?)$/i;
/** Values that are no secret whatever the name says. */
const HARMLESS = /^(?:[0-9]{0,6}|true|false|yes|no|on|off|none|auto|[./].*)$/i;

/** The name of a variable of a server's environment, one that is the file's to set. */
export function parseVariableName(text: string): Parsed<string> {
  if (looksLikeSecret(text)) return unparsed("the name looks like a secret", "write the variable's name");
  if (text.length > MAX_NAME_CHARS || !VARIABLE_PATTERN.test(text)) {
    return unparsed(
      `${quote(text)} is not a name of a variable`,
      "write letters, digits and `_`, as in `GITHUB_TOKEN`",
    );
  }
  return RESERVED.test(text) ? unparsed(`${quote(text)} is Doorward's own to set`, "remove it") : parsed(text);
}

/** A plain value of a server's environment. The value is never repeated. */
export function parseVariableValue(text: string): Parsed<string> {
  if (looksLikeSecret(text) || looksRandom(text)) return unparsed("the value looks like a secret", STORE_IT);
  return text.length > MAX_TEXT_CHARS
    ? unparsed("the value is too long", `write at most ${MAX_TEXT_CHARS} characters`)
    : parsed(text);
}

/** Whether a variable's name says that its value is a secret. */
export function secretVariableFault(name: string, value: string) {
  if (!SECRET_NAME.test(name) || HARMLESS.test(value)) return undefined;
  return unparsed(`${quote(name)} names a secret, and no secret may stand in this file`, STORE_IT);
}

/** An argument of a server's command. */
export function parseServerArgument(text: string): Parsed<string> {
  if (looksLikeSecret(text)) return unparsed("the argument looks like a secret", STORE_IT);
  return text.length > MAX_TEXT_CHARS
    ? unparsed("the argument is too long", `write at most ${MAX_TEXT_CHARS} characters`)
    : parsed(text);
}

/**
 * The first argument that holds a secret by its name: `--api-key=VALUE`, `--api-key VALUE`, `API_KEY=VALUE`.
 *
 * @returns Its index and what to write; `undefined` when there is none.
 */
export function secretArgument(args: readonly string[]) {
  for (const [index, text] of args.entries()) {
    const [, name = "", value] = /^-{0,2}([A-Za-z0-9_.-]+?)(?:[=:](.*))?$/s.exec(text) ?? [];
    if (!SECRET_NAME.test(name)) continue;
    const at = value === undefined ? index + 1 : index;
    const given = value ?? (text.startsWith("-") ? args[at] : undefined);
    if (given === undefined || given.includes(CREDENTIAL_MARK) || HARMLESS.test(given) || /^-/.test(given)) continue;
    const remedy = `${STORE_IT}, and \`${CREDENTIAL_MARK}\` in its place`;
    return { index: at, problem: "this argument is a secret by its name", remedy };
  }
  return undefined;
}
