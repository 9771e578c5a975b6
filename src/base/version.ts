import { readFileSync } from "node:fs";

/** Doorward's own version, from package.json. */
export const VERSION: string = readVersion();

function readVersion(): string {
  // The same number of folders up from `src/base/` and from the published `dist/base/`.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}
