import type { ServerResponse } from "node:http";

/** A caller that takes nothing for this long is let go. */
const STALLED_READER_MS = 60_000;

/**
 * Cuts the connection of a reader that stopped taking its answer, and with it what the answer holds in memory.
 *
 * @param response - Ended; what the system has not taken over yet is what the reader must take.
 */
export function letGoWhenStalled(response: ServerResponse): void {
  if (response.writableLength === 0) return;
  const { socket } = response;
  if (socket === null) return;
  const cut = () => void response.destroy();
  socket.setTimeout(STALLED_READER_MS, cut);
  // Node sets the time of an idle connection itself when the answer is out.
  response.on("finish", () => socket.removeListener("timeout", cut));
}
