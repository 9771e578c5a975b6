import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import type { Kill } from "../policy/kills.ts";
import type { KillStore } from "./kill-store.ts";
import { parseKillTarget } from "./parse-kill-target.ts";
import { createTurns } from "./turns.ts";

/** Characters of a reason that are kept. */
const WHY_LIMIT = 500;

export interface KillsDeps {
  readonly store: KillStore;
  readonly audit: AuditLog;
  /**
   * Puts these kills in force: swaps the snapshot, cuts what runs. Called before anything is written.
   *
   * @param added - The kill that is new; `undefined` when one was lifted or at the start.
   */
  readonly onChange: (kills: readonly Kill[], added: Kill | undefined) => void;
}

export interface KillOrder {
  /** As {@link parseKillTarget} reads it. */
  readonly target: string;
  readonly why: string;
  readonly by: string;
  readonly now: Date;
}

/** What became of an order. It is in force in any case; `faults` says what of it could not be written. */
export interface KillReceipt {
  readonly kill: Kill;
  /** Whether the target was stopped before; the first kill then stands. */
  readonly already: boolean;
  /** Empty when it is durable and evidence. Otherwise: that it may not outlive a restart, or is not in the evidence. */
  readonly faults: readonly string[];
}

/** The stop orders in force. */
export interface KillOrders {
  list(): readonly Kill[];
  /**
   * Stops something, from this line on, whatever fails afterwards: it needs neither the store nor the audit.
   *
   * @returns Never rejects but for a target that has no form.
   * @throws {Problem} `invalid_request`.
   */
  set(order: KillOrder): Promise<KillReceipt>;
  /**
   * Lifts a kill. Evidence first, then the state, then memory: when anything fails it stays in force.
   *
   * @throws {Problem} `invalid_request` when there is no such kill; `audit_unavailable`; `store_unavailable`.
   */
  lift(order: KillOrder): Promise<Kill>;
}

/**
 * Reads the kills that outlived the last process, and puts them in force.
 *
 * @throws {Problem} `store_unavailable`: without them nothing may be served.
 */
export async function createKills(deps: KillsDeps): Promise<KillOrders> {
  const { store, audit, onChange } = deps;
  const inForce = new Map((await store.load()).map((kill) => [kill.target, kill]));
  const turns = createTurns();
  const apply = (added: Kill | undefined) => onChange([...inForce.values()], added);
  apply(undefined);

  const write = async (kill: Kill, { why, by }: KillOrder): Promise<readonly string[]> => {
    const faults: string[] = [];
    // Lifted again before it could be written: there is nothing to keep.
    if (inForce.get(kill.target) === kill) {
      await attempt(store.insert(kill), (fault) => faults.push(`it may not outlive a restart: ${fault}`));
    }
    const event = { type: "kill.set", data: { target: kill.target, why: why.slice(0, WHY_LIMIT), by } } as const;
    await attempt(audit.append(event), (fault) => faults.push(`it is not in the evidence: ${fault}`));
    return faults;
  };

  return {
    list: () => [...inForce.values()],
    async set(order) {
      const target = targetOf(order.target);
      const before = inForce.get(target);
      const first = before ?? { target, why: order.why.slice(0, WHY_LIMIT), setBy: order.by, setAt: order.now };
      // A value of its own for each order, so that a lift under way does not take this one with it.
      const kill = { ...first };
      inForce.set(target, kill);
      apply(kill);
      const faults = await turns(target, () => write(kill, order));
      return { kill, already: before !== undefined, faults };
    },
    async lift({ target: text, why, by }) {
      const target = targetOf(text);
      const kill = inForce.get(target);
      if (kill === undefined) throw noSuchKill(target);
      return await turns(target, async () => {
        if (inForce.get(target) !== kill) throw changedMeanwhile(target);
        await audit.append({
          type: "kill.lifted",
          data: { target, why: why.slice(0, WHY_LIMIT), by, set_by: kill.setBy },
        });
        await store.remove(target);
        if (inForce.get(target) !== kill) throw changedMeanwhile(target);
        inForce.delete(target);
        apply(undefined);
        return kill;
      });
    },
  };
}

function targetOf(text: string): string {
  const parsed = parseKillTarget(text);
  if (parsed.ok) return parsed.target;
  throw new Problem("invalid_request", { detail: parsed.problem, remedy: parsed.remedy });
}

/** Whatever it is that fails: the kill is in force already, and must be answered as such. */
async function attempt(work: Promise<void>, failed: (fault: string) => void): Promise<void> {
  try {
    await work;
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error));
  }
}

function noSuchKill(target: string): Problem {
  return new Problem("invalid_request", {
    detail: `there is no kill of \`${target.replaceAll("`", "?")}\` in force`,
    remedy: "List the kills with `doorward status`.",
  });
}

function changedMeanwhile(target: string): Problem {
  return new Problem("invalid_request", {
    detail: `the kill of \`${target.replaceAll("`", "?")}\` was set again or lifted meanwhile`,
    remedy: "Look at `doorward status`, and lift it again if it should not be in force.",
  });
}
