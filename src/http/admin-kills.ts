import type { KillOrders } from "../approvals/create-kills.ts";
import type { Kill } from "../policy/kills.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";
import type { KillEffect, KillEffects } from "./kill-effects.ts";

/** Of a kill that was in force already. */
const NO_EFFECT: KillEffect = { streams: 0, leases: 0, children: Promise.resolve(0), tokens: Promise.resolve(0) };

export interface KillActionsDeps {
  readonly kills: KillOrders;
  readonly effects: Pick<KillEffects, "take">;
  readonly now: () => Date;
}

/** `kill.*`: setting one needs no proof, lifting one does. */
export function killActions({ kills, effects, now }: KillActionsDeps): readonly AdminAction[] {
  return [
    {
      name: "kill.set",
      proof: "nothing",
      async run(args, by) {
        const startedAt = performance.now();
        const order = { target: textArgument(args, "target"), why: textArgument(args, "why"), by, now: now() };
        const setting = kills.set(order);
        const inForceMs = performance.now() - startedAt;
        const { kill, already, faults } = await setting;
        const { streams, leases, children, tokens } = effects.take(kill.target) ?? NO_EFFECT;
        const revoked = await tokens.catch(() => undefined);
        const ended = await children.catch(() => undefined);
        return {
          target: kill.target,
          at: order.now.toISOString(),
          effective_ms: Math.round(inForceMs * 1_000) / 1_000,
          streams_cut: streams,
          children_ended: ended ?? 0,
          leases_revoked: leases,
          tokens_revoked: revoked ?? 0,
          already,
          faults: [
            ...faults,
            ...(revoked === undefined ? ["tokens may be valid again after a restart, once the kill is lifted"] : []),
            ...(ended === undefined ? ["a program of an MCP server may still run; its calls are refused"] : []),
          ],
        };
      },
    },
    {
      name: "kill.lift",
      proof: "owner",
      async run(args, by) {
        const why = optionalText(args, "why") ?? "";
        return shown(await kills.lift({ target: textArgument(args, "target"), why, by, now: now() }));
      },
    },
    { name: "kill.list", proof: "nothing", run: () => ({ kills: kills.list().map(shown) }) },
  ];
}

function shown({ target, why, setBy, setAt }: Kill) {
  return { target, why, set_by: setBy, set_at: setAt.toISOString() };
}
