import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import type { Environment } from "./environment.ts";

/** The longest path that a unix socket can be bound to everywhere (macOS: 104 with its NUL). In bytes. */
const MAX_SOCKET_PATH_BYTES = 103;

/** The absolute paths of one home. Nothing is created by naming them. */
export interface Home {
  readonly home: string;
  /** doorward.yaml; may lie outside the home. */
  readonly config: string;
  /** SQLite database. */
  readonly state: string;
  readonly audit: string;
  /** Folder of `NAME.key` files. */
  readonly agents: string;
  /** The admin socket. In {@link Home.socketFolder}, which its creator makes with mode 0700. */
  readonly socket: string;
  readonly socketFolder: string;
  readonly ownerKey: string;
}

/** `--home` and `--config`; relative ones are resolved from the working folder. */
export interface HomeFlags {
  readonly home?: string | undefined;
  readonly config?: string | undefined;
}

/**
 * Finds the home and the config: flags, then environment, then `~/.doorward`.
 *
 * A home whose path is too long for a socket gets one in a short folder of the temporary directory that follows from the home
 * alone, so that daemon and CLI agree on it. Who binds it must check that the folder is its own and 0700: others can write
 * beside it.
 *
 * @param places.temporary - `os.tmpdir()`. @param places.uid - Keeps accounts apart there; `undefined` where there are none.
 */
export function findHome(
  flags: HomeFlags,
  environment: Pick<Environment, "home" | "config" | "userHome">,
  places: { readonly temporary: string; readonly uid: number | undefined },
): Home {
  const home = resolve(flags.home ?? environment.home ?? join(environment.userHome, ".doorward"));
  const config = resolve(flags.config ?? environment.config ?? join(home, "doorward.yaml"));
  const socketFolder = socketFolderOf(home, places);
  return {
    home,
    config,
    state: join(home, "state.db"),
    audit: join(home, "audit"),
    agents: join(home, "agents"),
    socket: join(socketFolder, "doorward.sock"),
    socketFolder,
    ownerKey: join(home, "owner.key"),
  };
}

function socketFolderOf(
  home: string,
  { temporary, uid }: { readonly temporary: string; readonly uid: number | undefined },
): string {
  const fits = (folder: string) => Buffer.byteLength(join(folder, "doorward.sock")) <= MAX_SOCKET_PATH_BYTES;
  if (fits(home)) return home;
  const name = `doorward-${uid ?? "user"}-${createHash("sha256").update(home).digest("hex").slice(0, 24)}`;
  const short = join(temporary, name);
  return fits(short) ? short : join("/tmp", name);
}
