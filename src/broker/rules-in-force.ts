import { createHash } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import { pairingsOf, peoplePairings } from "../config/credential-pairings.ts";
import type { Finding } from "../config/schema.ts";
import { withKills } from "../policy/compile-snapshot.ts";
import type { Kill } from "../policy/kills.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { Vault } from "../vault/create-vault.ts";
import type { CheckedConfig } from "./check-config.ts";

/** How the file on disk and the rules in force stand to each other. */
export interface RulesState {
  /** Of the rules in force; `undefined` while none were ever loaded. */
  readonly snapshot: string | undefined;
  readonly loadedAt: Date | undefined;
  /** Why the file on disk is not the one in force; empty when it is. */
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
}

export type LoadAnswer =
  | { readonly ok: true; readonly changed: boolean; readonly warnings: readonly Finding[] }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/** The rules that calls are decided on, and how they come to change. */
export interface RulesInForce {
  /** Immutable; read once per call. @throws {Problem} `invalid_request` while no file was ever in force. */
  snapshot(): Snapshot;
  state(): RulesState;
  /**
   * Puts the file on disk in force, if nothing is wrong with it. Otherwise what is in force stays, and the state says why.
   *
   * @param by - Who caused it. `owner`: with the owner's proof, so that at level 1 an edited file is accepted.
   */
  load(by: "start" | "file" | "signal" | "owner"): Promise<LoadAnswer>;
  /** Puts these kills in force at once. */
  setKills(kills: readonly Kill[]): void;
  /** Puts something in force beside the file, as a drill does; `undefined` ends it. */
  setOverlay(overlay: Overlay | undefined): void;
}

/** What turns the rules of the file into those in force. */
type Overlay = (snapshot: Snapshot) => Snapshot;

export interface RulesDeps {
  readonly check: () => Promise<CheckedConfig>;
  readonly vault: Pick<Vault, "bindServices">;
  readonly audit: AuditLog;
  readonly now: () => Date;
  /** Whether the owner must accept a changed file (assurance level 1). */
  readonly guarded: () => boolean;
  /** The digest of the file that the owner accepted last. */
  readonly accepted: { get(): Promise<string | undefined>; put(digest: string): Promise<void> };
  /** Told after each attempt: logs, and everything that hangs on the file. */
  readonly changed: (state: RulesState) => void;
}

export function createRules(deps: RulesDeps): RulesInForce {
  let current: Snapshot | undefined;
  /** What the file says, without kills. */
  let ofFile: Snapshot | undefined;
  let overlay: Overlay | undefined;
  let kills: readonly Kill[] = [];
  let state: RulesState = { snapshot: undefined, loadedAt: undefined, findings: [], warnings: [] };
  let turn: Promise<unknown> = Promise.resolve();

  const refuse = async (findings: readonly Finding[]): Promise<LoadAnswer> => {
    const same = JSON.stringify(state.findings) === JSON.stringify(findings);
    state = { ...state, findings };
    if (!same) {
      await deps.audit
        .append({ type: "config.refused", data: { findings: findings.length, first: describe(firstError(findings)) } })
        .catch(() => {});
      deps.changed(state);
    }
    return { ok: false, findings };
  };

  const load = async (by: Parameters<RulesInForce["load"]>[0]): Promise<LoadAnswer> => {
    const checked = await deps.check();
    if (!checked.ok) return refuse(checked.findings);
    const digest = createHash("sha256").update(checked.bytes).digest("hex");
    const trusted = by === "owner" || !deps.guarded();
    if (!trusted && (await deps.accepted.get()) !== digest) return refuse([unaccepted()]);
    const { snapshot, warnings } = checked;
    if (current !== undefined && current.id === snapshot.id && state.findings.length === 0) {
      await accept(digest);
      return { ok: true, changed: false, warnings };
    }
    const now = deps.now();
    const pairings = [
      ...[...snapshot.services.values()].flatMap(({ config }) => pairingsOf(config)),
      ...peoplePairings(snapshot.config.people),
    ];
    // The evidence first: rules that nobody can prove were loaded are not loaded.
    await deps.audit.append({
      type: "config.loaded",
      data: { snapshot: snapshot.id, digest, services: snapshot.services.size, agents: snapshot.agents.size, by },
    });
    await deps.vault.bindServices(pairings, "bind", now);
    await accept(digest);
    ofFile = snapshot;
    dress();
    state = { snapshot: snapshot.id, loadedAt: now, findings: [], warnings };
    deps.changed(state);
    return { ok: true, changed: true, warnings };
  };

  const dress = () => {
    if (ofFile === undefined) return;
    current = withKills(overlay === undefined ? ofFile : overlay(ofFile), kills);
  };

  const accept = async (digest: string) => {
    if ((await deps.accepted.get()) !== digest) await deps.accepted.put(digest);
  };

  return {
    snapshot() {
      if (current === undefined) throw notLoaded(firstError(state.findings));
      return current;
    },
    state: () => state,
    load(by) {
      const mine = turn.then(
        () => load(by),
        () => load(by),
      );
      turn = mine.catch(() => {});
      return mine;
    },
    setKills(next) {
      kills = next;
      if (current !== undefined) current = withKills(current, kills);
    },
    setOverlay(next) {
      overlay = next;
      dress();
    },
  };
}

function notLoaded(finding: Finding | undefined): Problem {
  return new Problem("invalid_request", {
    detail: `doorward.yaml is not in force: ${describe(finding) ?? "it was not read yet"}`,
    remedy:
      "Run `doorward policy check`, correct the file, and try again; at assurance level 1 also `doorward policy accept`.",
  });
}

function unaccepted(): Finding {
  return {
    line: 1,
    column: 1,
    path: "",
    problem: "the file was changed, and the owner has not accepted it",
    remedy: "look at the change and run `doorward policy accept`",
    severity: "error",
  };
}

/** What keeps a file from loading; warnings stand among the errors, in the order of the file. */
function firstError(findings: readonly Finding[]): Finding | undefined {
  return findings.find(({ severity }) => severity === "error") ?? findings[0];
}

function describe(finding: Finding | undefined): string | undefined {
  return finding === undefined ? undefined : `${finding.line}:${finding.column} ${finding.path}: ${finding.problem}`;
}
