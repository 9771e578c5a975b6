import { Problem } from "../base/problem.ts";
import type { Vault } from "../vault/create-vault.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";

/** `secret.*`: the owner's side of the vault. No action gives a value back. */
export function secretActions(deps: { readonly vault: Vault; readonly now: () => Date }): readonly AdminAction[] {
  const { vault, now } = deps;
  const store =
    (how: "setSecret" | "rotateSecret"): AdminAction["run"] =>
    async (args) => {
      const expires = optionalText(args, "expires");
      const stored = await vault[how](
        {
          name: textArgument(args, "name"),
          value: Buffer.from(textArgument(args, "value_base64"), "base64"),
          ...(expires === undefined ? {} : { expiresAt: readDate(expires) }),
          ...(args["short"] === true ? { short: "accept" as const } : {}),
        },
        now(),
      );
      return { name: stored.name, version: stored.version, scrubbable: !stored.short };
    };
  return [
    { name: "secret.set", proof: "owner", run: store("setSecret") },
    { name: "secret.rotate", proof: "owner", run: store("rotateSecret") },
    {
      name: "secret.remove",
      proof: "owner",
      async run(args) {
        const { name, usedBy } = await vault.removeSecret(textArgument(args, "name"));
        return { name, used_by: usedBy };
      },
    },
    {
      name: "secret.list",
      proof: "key",
      async run() {
        const secrets = await vault.listSecrets(now());
        return {
          secrets: secrets.map(({ name, version, createdAt, rotatedAt, expiresAt, usedBy, short, state }) => ({
            name,
            version,
            created_at: createdAt.toISOString(),
            rotated_at: rotatedAt?.toISOString() ?? null,
            expires_at: expiresAt?.toISOString() ?? null,
            used_by: usedBy,
            short,
            state,
          })),
        };
      },
    },
  ];
}

function readDate(text: string): Date {
  const date = new Date(text);
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(date.getTime())) return date;
  throw new Problem("invalid_request", {
    detail: `\`${text.slice(0, 40)}\` is not a date`,
    remedy: "Write `2027-02-01`.",
  });
}
