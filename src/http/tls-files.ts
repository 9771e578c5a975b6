import { readFile } from "node:fs/promises";
import { Problem } from "../base/problem.ts";
import type { ServerTlsConfig } from "../config/schema.ts";

/** What a listener's TLS is made of: PEM texts. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Who issues the certificates of clients; absent: none is asked for. */
  readonly clientCa: string | undefined;
  readonly clientCrl: string | undefined;
}

/** How often the files are read again: certificates are renewed, and clients' taken back, while we serve. */
const RENEWAL_MS = 30_000;

/** Reads the files of `server.tls`. @throws {Problem} `invalid_request` naming the one that cannot be read. */
export async function readTlsFiles(tls: ServerTlsConfig): Promise<TlsMaterial> {
  const optional = (path: string | undefined) => (path === undefined ? undefined : readPem(path));
  return {
    cert: await readPem(tls.cert),
    key: await readPem(tls.key),
    clientCa: await optional(tls.clientCa),
    clientCrl: await optional(tls.clientCrl),
  };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Problem("invalid_request", {
      detail: `\`${path}\` cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`,
      remedy: "Correct `server.tls` of doorward.yaml.",
      cause: error,
    });
  }
}

/**
 * Takes what changed in the files of `server.tls` into force, for the time it serves.
 *
 * @param deps.renew - Throws when the material does not hold; the one in force then stays.
 * @param deps.failed - Told of what could not be read or does not hold, once for each content.
 * @returns Ends it.
 */
export function renewTls(
  files: ServerTlsConfig,
  first: TlsMaterial,
  deps: { readonly renew: (tls: TlsMaterial) => void; readonly failed: (why: string) => void },
): () => void {
  let current = JSON.stringify(first);
  let told: string | undefined;
  const look = async (): Promise<void> => {
    try {
      const material = await readTlsFiles(files);
      const text = JSON.stringify(material);
      if (text === current) return;
      deps.renew(material);
      current = text;
      told = undefined;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why !== told) deps.failed(why);
      told = why;
    }
  };
  const timer = setInterval(() => void look(), RENEWAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
