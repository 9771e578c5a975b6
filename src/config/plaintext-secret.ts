/**
 * Publicly known shapes of secrets, anywhere in a text.
 *
 * Only shapes that an honest file does not contain by chance; what has no known shape is judged by {@link looksRandom},
 * where the place says that it might be a secret.
 */
const KNOWN_SHAPES: readonly RegExp[] = [
  /\b[rs]k_(?:live|test)_[A-Za-z0-9]{8,}/, // Stripe
  /\bwhsec_[A-Za-z0-9+/=]{16,}/,
  /\bgh[oprsu]_[A-Za-z0-9]{16,}/, // GitHub
  /\bgithub_pat_[A-Za-z0-9_]{20,}/,
  /\bgl(?:pat|dt|rt|ft|ptt|agent|soat)-[A-Za-z0-9_-]{16,}/, // GitLab
  /\bxox[abeoprs]-[A-Za-z0-9-]{10,}/, // Slack
  /\bxapp-[0-9]-[A-Za-z0-9-]{10,}/,
  /hooks\.slack\.com\/services\/T[A-Za-z0-9]+\/B[A-Za-z0-9]+\/[A-Za-z0-9]{16,}/,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/, // AWS
  /\bAIza[A-Za-z0-9_-]{30,}/, // Google
  /\bya29\.[A-Za-z0-9_-]{20,}/,
  /\bGOCSPX-[A-Za-z0-9_-]{20,}/,
  /\bsk-(?:ant-|proj-|svcacct-|or-|admin-)?[A-Za-z0-9_-]{20,}/, // Anthropic, OpenAI, OpenRouter
  /\bnpm_[A-Za-z0-9]{30,}/,
  /\bpypi-[A-Za-z0-9_-]{30,}/,
  /\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}/, // SendGrid
  /\bhf_[A-Za-z0-9]{30,}/,
  /\blin_(?:api|oauth)_[A-Za-z0-9]{20,}/,
  /\b(?:ntn|secret)_[A-Za-z0-9]{40,}/, // Notion
  /\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}/,
  /\bdop_v1_[a-f0-9]{40,}/,
  /\bdapi[a-f0-9]{32}\b/,
  /\bhv[bs]\.[A-Za-z0-9_-]{20,}/, // HashiCorp Vault
  /\bbot[0-9]{6,}:[A-Za-z0-9_-]{30,}/, // Telegram
  /\bdw_[a-z0-9-]+_[A-Za-z0-9]{6,}_[A-Za-z0-9_-]{16,}/, // Doorward's own keys
  /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\./, // JWT
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\b(?:Bearer|Basic)\s+[A-Za-z0-9+/_=.-]{16,}/i,
  /:\/\/[^\s/:@]*:[^\s/@]{3,}@/, // userinfo with a password
];

/** A run of this many characters is judged by its make-up. */
const RANDOM_RUN = /[A-Za-z0-9+/_-]{20,}/g;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/**
 * The share of neighbours of different kind (digit, small, capital) from which on a run counts as drawn at random.
 * Hexadecimal has about a half, words with a version or a date in them less than a tenth.
 */
const MIN_CHANGES = 0.2;

/** Whether a text holds something of a publicly known secret's shape. Linear; never throws. */
export function looksLikeSecret(text: string): boolean {
  return KNOWN_SHAPES.some((shape) => shape.test(text));
}

/** Whether a text holds a run that looks drawn at random: for places where a secret is likely. UUIDs do not count. */
export function looksRandom(text: string): boolean {
  for (const [run] of text.matchAll(RANDOM_RUN)) {
    if (!UUID.test(run) && /[0-9]/.test(run) && /[A-Za-z]/.test(run) && changesOfKind(run) >= MIN_CHANGES) return true;
  }
  return false;
}

function changesOfKind(text: string): number {
  const changes = text.match(/(?<=[0-9])[A-Za-z]|(?<=[a-z])[0-9A-Z]|(?<=[A-Z])[0-9a-z]/g)?.length ?? 0;
  return changes / text.length;
}
