import { NAME_PATTERN } from "./names.ts";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";

/** In characters. */
const MAX_REFERENCE_CHARS = 1_024;
const FORMS = "`local:NAME`, `env:NAME`, `file:PATH` or `keychain:NAME`";
const STORE_IT = "store it with `doorward secret set NAME --stdin` and write `local:NAME`";

/**
 * Checks a reference to a secret, such as `local:stripe`.
 *
 * A message never repeats what was written: it may be the secret itself.
 */
export function parseSecretReference(text: string): Parsed<string> {
  const match = /^([a-z][a-z0-9-]*):(.*)$/s.exec(text);
  const [, scheme = "", rest = ""] = match ?? [];
  if (looksLikeSecret(text) || match === null)
    return unparsed("this is not a reference, it may be a secret itself", STORE_IT);
  if (text.length > MAX_REFERENCE_CHARS || /\p{Cc}/u.test(text))
    return unparsed("this is not a reference to a secret", `write ${FORMS}`);
  switch (scheme) {
    case "local":
    case "keychain":
      return NAME_PATTERN.test(rest) && rest.length <= 64 ? parsed(text) : notThatForm(scheme, "NAME", rest);
    case "env":
      return /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest) ? parsed(text) : notThatForm(scheme, "VARIABLE", rest);
    case "file":
      return rest.trim() === "" ? notThatForm(scheme, "PATH", rest) : parsed(text);
    default:
      return looksRandom(rest) && !rest.includes("#")
        ? unparsed("this is not a reference, it may be a secret itself", STORE_IT)
        : unparsed("vault backends under `secrets:` are not built yet", `write ${FORMS}`);
  }
}

function notThatForm(scheme: string, form: string, rest: string): ReturnType<typeof unparsed> {
  if (looksRandom(rest)) return unparsed("this is not a reference, it may be a secret itself", STORE_IT);
  return unparsed(`what follows \`${scheme}:\` is not a ${form.toLowerCase()}`, `write \`${scheme}:${form}\``);
}
