import { type FileHandle, open } from "node:fs/promises";
import { MAX_CONFIG_BYTES } from "./decode-config.ts";
import { type ParseConfigOptions, type ParsedConfig, parseConfig } from "./parse-config.ts";
import type { Finding } from "./schema.ts";

/** The bytes of the file, or why they cannot be had. */
export type ConfigText =
  | { readonly ok: true; readonly bytes: Buffer; readonly missing: boolean }
  | { readonly ok: false; readonly finding: Finding };

/**
 * Reads and parses doorward.yaml. A missing file is an empty configuration: nothing is allowed.
 *
 * @returns Never throws: what the system refuses is a finding.
 */
export async function loadConfig(path: string, options: Omit<ParseConfigOptions, "path"> = {}): Promise<ParsedConfig> {
  const text = await readConfigText(path);
  return text.ok ? parseConfig(text.bytes, { ...options, path }) : { ok: false, findings: [text.finding] };
}

/** Reads the file's bytes, never more than {@link MAX_CONFIG_BYTES} and one. */
export async function readConfigText(path: string): Promise<ConfigText> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const facts = await file.stat();
    if (!facts.isFile()) return refuse("is not a file", "name a file with `--config`");
    return { ok: true, bytes: await readAtMost(file, MAX_CONFIG_BYTES + 1), missing: false };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === "ENOENT") return { ok: true, bytes: Buffer.alloc(0), missing: true };
    return refuse(`cannot be read (${code})`, "make it readable for the account that Doorward runs under");
  } finally {
    await file?.close();
  }
}

async function readAtMost(file: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.min(maxBytes, (await file.stat()).size + 1));
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    length += bytesRead;
    if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length);
  }
}

function refuse(problem: string, remedy: string): ConfigText {
  return {
    ok: false,
    finding: { line: 1, column: 1, path: "", problem: `doorward.yaml ${problem}`, remedy, severity: "error" },
  };
}
