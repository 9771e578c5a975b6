import type { SeccompArch } from "./seccomp-numbers.ts";

/** The filter's name for an architecture of Node; `undefined` where there is no filter. */
export function seccompArch(arch: NodeJS.Architecture): SeccompArch | undefined {
  return arch === "x64" || arch === "arm64" ? arch : undefined;
}
