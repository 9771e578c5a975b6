import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";

/**
 * What an action asks of whoever wants it done.
 *
 * `nothing`: reaching the local socket. `key`: the owner's key file too. `owner`: at assurance level 1 also the
 * passphrase, typed; these are the owner actions of the contract.
 */
export type Proof = "nothing" | "key" | "owner";

/** One thing that can be administered: what the admin API, the command line and later the console run. */
export interface AdminAction {
  /** `secret.set`: its route is `/admin/v1/secret.set`. */
  readonly name: string;
  readonly proof: Proof;
  /**
   * @param by - Who asks, for the evidence.
   * @throws {Problem} What was wrong and what to do.
   */
  run(args: JsonObject, by: string): Promise<object> | object;
}

/** Runs one of some actions for somebody who was proven elsewhere. @throws {Problem} `not_found`, and what it refuses with. */
export function runAction(actions: readonly AdminAction[]) {
  return (name: string, args: JsonObject, by: string): Promise<object> | object => {
    const action = actions.find((one) => one.name === name);
    if (action === undefined) throw new Problem("not_found");
    return action.run(args, by);
  };
}

/** Reads one argument of an action. @throws {Problem} `invalid_request` naming it. */
export function textArgument(args: JsonObject, name: string): string {
  const value = args[name];
  if (typeof value !== "string") throw new Problem("invalid_request", { detail: `\`${name}\` must be a text` });
  return value;
}

export function optionalText(args: JsonObject, name: string): string | undefined {
  return args[name] === undefined || args[name] === null ? undefined : textArgument(args, name);
}

export function optionalNumber(args: JsonObject, name: string): number | undefined {
  const value = args[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") throw new Problem("invalid_request", { detail: `\`${name}\` must be a number` });
  return value;
}

/** A list of texts; absent is an empty one. */
export function textList(args: JsonObject, name: string): readonly string[] {
  const value = args[name];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value as string[];
  throw new Problem("invalid_request", { detail: `\`${name}\` must be a list of texts` });
}
