import type { PackageFacts } from "./pins.ts";

/** What a stdio server is to be started with; a `StdioServerConfig` is one. */
export interface StdioCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Absolute. */
  readonly cwd: string | undefined;
}

/** A command that can be started as it stands: nothing is looked up or downloaded any more. */
export interface ResolvedCommand {
  /** Absolute path of the program, without symbolic links. */
  readonly command: string;
  readonly args: readonly string[];
  /** Absolute paths (files and folders) that it must be able to read: its own. Those of the system are left out. */
  readonly programFiles: readonly string[];
  /** The npm package that it runs from, which `pins.judgePackage` must see before the start; `undefined` for other commands. */
  readonly package: PackageFacts | undefined;
}

/** Finds what a server's command means on this machine. */
export interface Packages {
  /**
   * Finds the program and its files; `npx NAME@VERSION` is that package, installed below the home when it is not there. Its files
   * are looked over at each call, so that `pins.judgePackage` sees what is there now.
   *
   * An installation takes seconds to minutes, is shared by all who wait for it, and outlives who asked first.
   *
   * @throws {Problem} `upstream_unreachable` with what is missing and what to do.
   */
  resolve(server: StdioCommand): Promise<ResolvedCommand>;
}
