import { homedir } from "node:os";

/** What the process's environment says, read once at the start. The only reader of `process.env`. */
export interface Environment {
  /** `DOORWARD_HOME` and `DOORWARD_CONFIG`; empty ones count as absent. */
  readonly home: string | undefined;
  readonly config: string | undefined;
  /** The person's own folder. */
  readonly userHome: string;
  /** `XDG_CONFIG_HOME`, else `~/.config`. */
  readonly configHome: string;
  /** Whether the terminal shall get no colours (`NO_COLOR`). */
  readonly noColor: boolean;
  /** One variable, for `env:` references to secrets and `--from-env`. `undefined` when it is not set. */
  readonly get: (name: string) => string | undefined;
  /** A copy of all of it for a child process that may see it. */
  readonly all: () => NodeJS.ProcessEnv;
}

/** Reads the environment. `source` is for tests. */
export function readEnvironment(source: NodeJS.ProcessEnv = process.env): Environment {
  const get = (name: string) => (Object.hasOwn(source, name) ? source[name] : undefined);
  const userHome = get("HOME") || homedir();
  return {
    home: get("DOORWARD_HOME") || undefined,
    config: get("DOORWARD_CONFIG") || undefined,
    userHome,
    configHome: get("XDG_CONFIG_HOME") || `${userHome}/.config`,
    noColor: (get("NO_COLOR") ?? "") !== "",
    get,
    all: () => ({ ...source }),
  };
}
