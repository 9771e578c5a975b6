import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Problem } from "../base/problem.ts";
import { classifyAddress, mayDial } from "./classify-address.ts";

/** Asks for all addresses of a name. Throws an error with a `code` when there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** A resolver that keeps an answer waiting longer is given up on. */
const DNS_TIMEOUT_MS = 5_000;

/** More addresses than any honest name has. */
const ADDRESSES_MAX = 64;

/** The system's resolver: hosts file, search domains and all, as every other program on the machine sees names. */
export const systemResolve: Resolve = async (host) => {
  const answers = await lookup(host, { all: true, order: "verbatim" });
  return answers.map(({ address }) => address);
};

/**
 * Resolves a host once and judges every address of the answer; these and no others may then be dialled.
 *
 * One forbidden address refuses the whole answer: a name that mixes public and private addresses is an attack
 * (DNS rebinding) or a mistake, and either way nothing good comes of dialling the rest.
 *
 * @param host - A name, or a literal address without brackets, which is judged like a resolved one.
 * @returns At least one address.
 * @throws {Problem} `upstream_forbidden_address`, or `upstream_unreachable` when the name has no address in time.
 */
export async function resolvePinned(
  host: string,
  options: { readonly private: boolean; readonly resolve: Resolve; readonly timeoutMs?: number },
): Promise<readonly string[]> {
  const addresses = isIP(host) === 0 ? await resolveInTime(host, options) : [host];
  if (addresses.length === 0 || addresses.length > ADDRESSES_MAX) {
    throw new Problem("upstream_unreachable", {
      detail: "the name of the service does not resolve",
      reason: `dns: ${addresses.length} addresses`,
    });
  }
  for (const address of addresses) {
    const kind = classifyAddress(address);
    if (!mayDial(kind, options)) {
      throw new Problem("upstream_forbidden_address", { reason: `address ${address} is ${kind}` });
    }
  }
  return addresses;
}

async function resolveInTime(
  host: string,
  { resolve, timeoutMs = DNS_TIMEOUT_MS }: { readonly resolve: Resolve; readonly timeoutMs?: number },
): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("dns timeout")), timeoutMs);
  });
  try {
    return await Promise.race([resolve(host), tooLate]);
  } catch (cause) {
    throw new Problem("upstream_unreachable", {
      detail: "the name of the service does not resolve",
      reason: `dns: ${errorCode(cause) ?? "no answer in time"}`,
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** The machine-readable code of an error, if it has one; never text that an upstream could have written. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z0-9_]{1,80}$/.test(code) ? code : undefined;
}
