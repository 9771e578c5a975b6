import { looksLikeSecret } from "./plaintext-secret.ts";

/** Longer input is cut: a message is one line. In characters. */
const MAX_QUOTED_CHARS = 60;

/**
 * Puts a piece of the file into backticks for a message.
 *
 * What looks like a secret is withheld; control, bidirectional and other invisible characters become `\u{…}`.
 */
export function quote(text: string): string {
  if (looksLikeSecret(text)) return "`[withheld: looks like a secret]`";
  const cut = text.length > MAX_QUOTED_CHARS ? `${text.slice(0, MAX_QUOTED_CHARS)}…` : text;
  const plain = cut.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029`]/gu,
    (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`,
  );
  return `\`${plain}\``;
}
