import type { LoadAnswer, RulesState } from "../broker/rules-in-force.ts";
import type { Environment } from "../config/environment.ts";
import type { Home } from "../config/home.ts";
import type { Administer } from "../http/admin-api.ts";
import type { KekChoice, KekSources } from "../vault/kek.ts";
import type { UnlockedHome } from "../vault/unlock-home.ts";

/** What the command line needs of an opened home. Made by the composition root. */
export interface Application extends AsyncDisposable {
  readonly administer: Administer;
  /** Whether opening it set the vault up. */
  readonly made: boolean;
  readonly protection: UnlockedHome["protection"];
  /** Whether the file holds. A home opens without it, so that it can be stopped, looked at and put right; it serves nothing. */
  readonly loaded: LoadAnswer;
  level(): 0 | 1;
  reload(by: "signal" | "owner"): Promise<LoadAnswer>;
  /** What proves the owner at level 0: the content of `owner.key`. */
  ownerKey(): Promise<string>;
  /** Opens the doors. @param listen - Instead of `server.listen`. */
  serve(listen: { readonly host: string; readonly port: number } | undefined): Promise<Served>;
}

export interface Served {
  /** `http://127.0.0.1:7420`. */
  readonly address: string;
  readonly socket: string;
  /** Stops accepting, lets calls under way end, then closes. */
  stop(): Promise<void>;
}

export interface ApplicationOptions {
  readonly home: Home;
  readonly environment: Environment;
  /** How a new home protects its key. */
  readonly kek?: KekChoice;
  /** How to ask for a passphrase; empty where there is no terminal. */
  readonly ask: Pick<KekSources, "askPassphrase">;
  readonly lockWaitMs: number;
  readonly damage?: "refuse" | "set_aside";
  readonly log: (line: string) => void;
  readonly rulesChanged: (state: RulesState) => void;
}

export type OpenApplication = (options: ApplicationOptions) => Promise<Application>;
