import { Problem } from "../base/problem.ts";

/** Primary result codes of SQLite that speak of the statement, not of the file: a bug of ours or a constraint that held. */
const CALLERS_FAULT: ReadonlySet<number> = new Set([
  1, // SQLITE_ERROR
  19, // SQLITE_CONSTRAINT
  20, // SQLITE_MISMATCH
  25, // SQLITE_RANGE
]);

const DAMAGED: ReadonlySet<number> = new Set([
  11, // SQLITE_CORRUPT
  26, // SQLITE_NOTADB
]);

/** Whether an error of node:sqlite is about the statement and should keep its own form. */
export function isCallersFault(error: unknown): boolean {
  const code = sqliteErrorCode(error);
  if (code !== undefined) return CALLERS_FAULT.has(code);
  return !(error instanceof Error && "code" in error && error.code === "ERR_INVALID_STATE");
}

/** The refusal for a state file that cannot be used, with what the owner can do about it. */
export function storeProblem(path: string, error: unknown, kind?: "damaged"): Problem {
  const code = sqliteErrorCode(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (kind === "damaged" || (code !== undefined && DAMAGED.has(code))) {
    return new Problem("store_unavailable", {
      detail: `the state \`${path}\` is damaged`,
      remedy: `Stop Doorward and put back a backup of \`${path}\`; keep the damaged file, the evidence in \`audit/\` is whole.`,
      reason,
      cause: error,
    });
  }
  return new Problem("store_unavailable", {
    detail: `the state \`${path}\` cannot be used: ${reason.replaceAll(/\s+/g, " ")}`,
    remedy: "Look for a full or read-only disk, wrong permissions, or another program that has the file open.",
    reason,
    cause: error,
  });
}

/** The primary result code (extended codes keep it in their low byte); `undefined` for an error that is not SQLite's. */
export function sqliteErrorCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}
