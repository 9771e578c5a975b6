import { looksLikeSecret } from "./plaintext-secret.ts";
import { quote } from "./quote.ts";
import type { ConfigPath } from "./schema.ts";

/** Longer keys are cut, in characters. */
const MAX_KEY_CHARS = 100;

/** `["services", "stripe", "allow", 0]` → `services.stripe.allow[0]`. A key that is no plain word stands in brackets and quotes. */
export function printPath(path: ConfigPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (looksLikeSecret(step)) text += quote(step);
    else if (/^[A-Za-z0-9_:$*-]{1,100}$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step.slice(0, MAX_KEY_CHARS))}]`;
  }
  return text;
}
