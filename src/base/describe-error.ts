/** Names and stacks of our own errors, for the log; a message may hold what a caller sent, so it is shortened. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return `${error.name}: ${error.message.slice(0, 200)}\n${(error.stack ?? "").split("\n").slice(1, 6).join("\n")}`;
}
