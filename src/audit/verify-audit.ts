import { basename, resolve } from "node:path";
import { listNodeFolders } from "./read-lines.ts";
import { type Checkpoint, type NoteVerifier, originOf, parseCheckpoint, parseVkey } from "./signed-note.ts";
import { type AuditFinding, verifyNode } from "./verify-node.ts";

/** What to verify, and what to hold it against. */
export interface VerifyOptions {
  /** An `audit/` folder, one node's folder in it, or a home. */
  readonly folder: string;
  /** The text of a signed note that was kept elsewhere: shows truncation, rollback and rewriting. */
  readonly checkpoint?: string;
  /** The text of a file with one vkey per line, kept elsewhere. Absent: each node's own `key.pub` is believed. */
  readonly publicKey?: string;
  /** Running nodes and their last durable line: what follows it is not judged, and open calls are no findings. */
  readonly live?: ReadonlyMap<string, { readonly seq: number; readonly hash: string }>;
}

/** The verdict: `ok` when there is not one finding. */
export interface AuditVerdict {
  readonly ok: boolean;
  readonly events: number;
  readonly checkpoints: number;
  /** `unpinned`: whoever could replace the lines could have replaced the key beside them. */
  readonly key: "pinned" | "unpinned";
  readonly findings: readonly AuditFinding[];
}

/**
 * Verifies evidence offline: form, chain, signatures and completeness.
 *
 * A chain alone shows edits, not that its end is missing: only `checkpoint` shows that, and only a `publicKey` from
 * elsewhere shows that the whole was written anew under another key.
 *
 * @throws The system's error when a file cannot be read.
 */
export async function verifyAudit(options: VerifyOptions): Promise<AuditVerdict> {
  const findings: AuditFinding[] = [];
  const kept = parseKept(options.checkpoint, findings);
  const pinned = parsePinned(options.publicKey, findings);
  const folders = await listNodeFolders(resolve(options.folder));
  if (folders.length === 0) findings.push({ segment: options.folder, seq: null, problem: "there is no evidence here" });
  if (kept !== undefined && !folders.some((folder) => originOf(basename(folder)) === kept.checkpoint.origin)) {
    const problem = `the checkpoint that was kept is of \`${kept.checkpoint.origin}\`, which is not here`;
    findings.push({ segment: options.folder, seq: null, problem });
  }
  let events = 0;
  let checkpoints = 0;
  for (const folder of folders) {
    const node = basename(folder);
    const verdict = await verifyNode(folder, {
      pinned,
      kept: kept?.checkpoint.origin === originOf(node) ? kept : undefined,
      live: options.live?.get(node),
    });
    events += verdict.events;
    checkpoints += verdict.checkpoints;
    findings.push(...verdict.findings);
  }
  return {
    ok: findings.length === 0,
    events,
    checkpoints,
    key: pinned === undefined ? "unpinned" : "pinned",
    findings,
  };
}

function parseKept(
  note: string | undefined,
  findings: AuditFinding[],
): { readonly note: string; readonly checkpoint: Checkpoint } | undefined {
  if (note === undefined) return undefined;
  const checkpoint = parseCheckpoint(note);
  if (checkpoint !== undefined) return { note, checkpoint };
  findings.push({ segment: "checkpoint", seq: null, problem: "the checkpoint that was kept cannot be read" });
  return undefined;
}

function parsePinned(text: string | undefined, findings: AuditFinding[]): NoteVerifier[] | undefined {
  if (text === undefined) return undefined;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const keys = lines.map(parseVkey);
  if (keys.length === 0 || keys.includes(undefined)) {
    findings.push({ segment: "public key", seq: null, problem: "the public key that was given cannot be read" });
  }
  return keys.filter((key) => key !== undefined);
}
