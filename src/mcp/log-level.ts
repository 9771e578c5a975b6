import type { JsonValue } from "../base/json.ts";

/** Where a stateless request says which log messages it wants. */
export const LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel";

/** From the least severe on (RFC 5424). */
export const LOG_LEVELS: readonly string[] = [
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency",
];

/**
 * Whether a log message is severe enough for whoever wants messages from a level on.
 *
 * @param unsaid - What is wanted by somebody who named no level.
 */
export function wantsLog(
  level: JsonValue | undefined,
  wanted: string | undefined,
  unsaid: "nothing" | "everything",
): boolean {
  if (wanted === undefined) return unsaid === "everything";
  const least = LOG_LEVELS.indexOf(wanted);
  return least !== -1 && typeof level === "string" && LOG_LEVELS.indexOf(level) >= least;
}
