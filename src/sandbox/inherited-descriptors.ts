import { openSync, readdirSync, readFileSync } from "node:fs";

/** `O_CLOEXEC` in the octal flags of `/proc/self/fdinfo`: Node sets it on all that it opens. */
const CLOSE_ON_EXEC = 0o2000000;
let opened: number | undefined;

/**
 * Descriptors beyond the standard three that every program started by this process would have too: those that it was
 * started with itself, by a shell, a supervisor or a test runner. One of them may be a way to the host.
 *
 * @returns Empty where the system does not tell (no `/proc`).
 */
export function inheritedDescriptors(): readonly number[] {
  try {
    return readdirSync("/proc/self/fdinfo")
      .map(Number)
      .filter((fd) => fd > 2 && passesOn(fd));
  } catch {
    return [];
  }
}

function passesOn(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    return false;
  }
}

/** The null device, opened once for the life of the process. */
export function nullDevice(): number {
  opened ??= openSync("/dev/null", "r");
  return opened;
}
