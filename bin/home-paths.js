/**
 * Where the daemon's socket and the agents' keys are. Plain JavaScript for the stdio relay, which loads nothing else;
 * the same as `src/config/home.ts`, and a test holds them together.
 */
import { join, resolve } from "node:path";

const MAX_SOCKET_PATH_BYTES = 103;

/**
 * @param {{ home?: string | undefined }} flags
 * @param {{ home?: string | undefined, userHome: string }} environment
 * @param {{ temporary: string, uid: number | undefined }} places
 * @returns {Promise<{ home: string, agents: string, socket: string }>}
 */
export async function homePaths(flags, environment, places) {
  const home = resolve(flags.home ?? environment.home ?? join(environment.userHome, ".doorward"));
  return { home, agents: join(home, "agents"), socket: join(await socketFolder(home, places), "doorward.sock") };
}

/**
 * @param {string} home
 * @param {{ temporary: string, uid: number | undefined }} places
 */
async function socketFolder(home, { temporary, uid }) {
  if (fits(home)) return home;
  const { createHash } = await import("node:crypto");
  const name = `doorward-${uid ?? "user"}-${createHash("sha256").update(home).digest("hex").slice(0, 24)}`;
  const short = join(temporary, name);
  return fits(short) ? short : join("/tmp", name);
}

/** @param {string} folder */
function fits(folder) {
  return Buffer.byteLength(join(folder, "doorward.sock")) <= MAX_SOCKET_PATH_BYTES;
}
