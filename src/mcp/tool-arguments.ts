import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";

/** Refuses arguments to a tool that has none. @throws {Problem} `invalid_request`. */
export function noArguments(args: JsonObject): void {
  onlyArguments(args, []);
}

/** Refuses arguments beyond those named. @throws {Problem} `invalid_request` naming the first. */
export function onlyArguments(args: JsonObject, names: readonly string[]): void {
  const unknown = Object.keys(args).find((key) => !names.includes(key));
  if (unknown !== undefined)
    throw new Problem("invalid_request", { detail: `there is no argument \`${unknown.slice(0, 64)}\`` });
}
