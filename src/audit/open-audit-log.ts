import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { type CommitJournal, openJournal } from "./commit-journal.ts";
import { syncFolder, writeSmallFile } from "./durable-files.ts";
import type { AuditEvent } from "./event.ts";
import { type FileAuditLog, SegmentedAuditLog } from "./file-audit-log.ts";
import { interruptedCall } from "./interrupted-call.ts";
import { AuditDamage, type LoadedChain, loadChain } from "./load-chain.ts";
import { type Replayed, replayJournal } from "./replay-journal.ts";
import { createSegment, fillReserve, reopenSegment, SEGMENT_BYTES } from "./segment-file.ts";
import { createNoteSigner, type NoteSigner, parseVkey } from "./signed-note.ts";

/** The node's name where there is one node. */
export const DEFAULT_NODE = "node-1";

/** What a log is opened with. */
export interface AuditLogOptions {
  /** `<home>/audit`. Who opens it holds the home's lock: two writers would destroy each other's lines. */
  readonly folder: string;
  /** `[a-z][a-z0-9-]*`; {@link DEFAULT_NODE} when absent. */
  readonly node?: string;
  /** Of this home: what {@link FileAuditLog.digest} is keyed with. */
  readonly digestKey: Buffer;
  /** 32 bytes: the Ed25519 seed that checkpoints are signed with. The same at every start. */
  readonly signingSeed: Buffer;
  readonly now: () => Date;
  /** What `node.started` says about this process: version, level of assurance. */
  readonly started?: JsonObject;
  /**
   * `"set_aside"`: a damaged chain is moved to `<node>-damaged-<time>` and a new one begins, which says so in its first
   * event. Without it damage is an error.
   */
  readonly damage?: "refuse" | "set_aside";
  /** {@link SEGMENT_BYTES} when absent. */
  readonly segmentBytes?: number;
}

/**
 * Opens a node's evidence for appending, and records what a crash left open.
 *
 * In this order: what a loss of power took is put back from the journal, a torn last line is cut (both `audit.repaired`),
 * each permitted call without outcome is completed as `interrupted`, then `node.started` and a checkpoint. All of it is
 * durable when this returns.
 *
 * @throws {Problem} `audit_unavailable` when the chain's end is damaged, or nothing can be written.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<FileAuditLog> {
  const { folder, node = DEFAULT_NODE, damage = "refuse", now } = options;
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(node)) throw new TypeError(`\`${node}\` is not a node's name`);
  const signer = createNoteSigner(node, options.signingSeed);
  const home = join(folder, node);
  try {
    const found = await loadOrSetAside(home, { signer, damage, now: now() });
    const log = await startLog(home, found.loaded, { ...options, node, signer });
    await recordOpening(log, { ...found, started: options.started }).catch(async (error: unknown) => {
      await log.close();
      throw error;
    });
    return log;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw openingProblem(home, error);
  }
}

interface SetAside {
  readonly moved_to: string;
  readonly segment: string;
  readonly problem: string;
}

interface Found {
  readonly loaded: LoadedChain;
  readonly replayed: Replayed | undefined;
  readonly aside: SetAside | undefined;
}

async function loadOrSetAside(
  home: string,
  { signer, damage, now }: { readonly signer: NoteSigner; readonly damage: "refuse" | "set_aside"; readonly now: Date },
): Promise<Found> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const key = parseVkey(signer.vkey)!;
  try {
    const replayed = await replayJournal(home);
    return { replayed, loaded: await loadChain(home, key), aside: undefined };
  } catch (error) {
    if (!(error instanceof AuditDamage) || damage === "refuse") throw error;
    const aside = `${home}-damaged-${now.toISOString().replace(/[-:.]/g, "").toLowerCase()}`;
    await rename(home, aside);
    await mkdir(home, { mode: 0o700 });
    await syncFolder(dirname(home));
    const moved = { moved_to: aside.slice(dirname(home).length + 1), segment: error.segment, problem: error.message };
    return { replayed: undefined, loaded: await loadChain(home, key), aside: moved };
  }
}

interface StartOptions extends AuditLogOptions {
  readonly node: string;
  readonly signer: NoteSigner;
}

async function startLog(home: string, loaded: LoadedChain, options: StartOptions): Promise<SegmentedAuditLog> {
  await writeSmallFile(home, "key.pub", `${options.signer.vkey}\n`);
  const journal = await openJournal(home);
  return startWithJournal(home, { loaded, journal }, options).catch(async (error: unknown) => {
    await journal?.close();
    throw error;
  });
}

async function startWithJournal(
  home: string,
  { loaded, journal }: { readonly loaded: LoadedChain; readonly journal: CommitJournal | undefined },
  options: StartOptions,
): Promise<SegmentedAuditLog> {
  const { tip, segment, open } = loaded;
  // A torn line is cut here: it stands behind `offset`.
  const file =
    segment === undefined ? await createSegment(home, 1, journal) : await reopenSegment(home, segment, tip, journal);
  await syncFolder(dirname(home));
  const reserved = await fillReserve(home).then(
    () => true,
    () => false,
  );
  return new SegmentedAuditLog({
    folder: home,
    node: options.node,
    signer: options.signer,
    digestKey: options.digestKey,
    now: options.now,
    segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
    tip,
    segment: file,
    journal,
    open,
    reserved,
  });
}

async function recordOpening(
  log: SegmentedAuditLog,
  opening: Found & { readonly started: JsonObject | undefined },
): Promise<void> {
  const { torn, open } = opening.loaded;
  const events: AuditEvent[] = [];
  if (opening.aside !== undefined)
    events.push({ type: "audit.repaired", code: "set_aside", data: { ...opening.aside } });
  if (opening.replayed !== undefined)
    events.push({ type: "audit.repaired", code: "journal_replayed", data: { ...opening.replayed } });
  if (torn !== undefined) events.push({ type: "audit.repaired", code: "torn_line", data: { ...torn } });
  for (const call of open) events.push(interruptedCall(call));
  events.push({ type: "node.started", data: { ...opening.started } });
  await Promise.all(events.map((event) => log.append(event)));
  await log.checkpoint();
}

function openingProblem(home: string, error: unknown): Problem {
  if (error instanceof AuditDamage) {
    return new Problem("audit_unavailable", {
      detail: `the evidence in \`${join(home, error.segment)}\` is damaged: ${error.message}`,
      remedy:
        "Run `doorward audit verify` and keep a copy; then start once with `--set-aside-damaged-audit`, which moves the folder aside and begins a new chain.",
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new Problem("audit_unavailable", {
    detail: `the evidence in \`${home}\` cannot be opened: ${reason}`,
    cause: error,
  });
}
