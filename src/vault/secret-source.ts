import { MAX_NAME_CHARS, NAME_PATTERN } from "../config/names.ts";

/** Where a secret comes from: a reference of doorward.yaml, taken apart. */
export type SecretSource =
  | { readonly kind: "local" | "env" | "keychain"; readonly name: string }
  | { readonly kind: "file"; readonly path: string };

/**
 * Takes apart a reference that `config/` has checked: `local:NAME`, `env:NAME`, `file:PATH` or `keychain:NAME`.
 *
 * @returns `undefined` for a backend that this build does not have.
 */
export function findSecretSource(ref: string): SecretSource | undefined {
  const colon = ref.indexOf(":");
  const kind = ref.slice(0, Math.max(colon, 0));
  const rest = ref.slice(colon + 1);
  if (kind === "file") return { kind, path: rest };
  if (kind === "local") return isSecretName(rest) ? { kind, name: rest } : undefined;
  return kind === "env" || kind === "keychain" ? { kind, name: rest } : undefined;
}

/** Whether a text can name a secret of the local vault. */
export function isSecretName(text: string): boolean {
  return text.length <= MAX_NAME_CHARS && NAME_PATTERN.test(text);
}
