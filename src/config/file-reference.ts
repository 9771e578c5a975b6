import { isAbsolute, resolve } from "node:path";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";

/** `file:tls/cert.pem` → `tls/cert.pem`; relative to the folder of doorward.yaml. */
export function parseFileReference(text: string): Parsed<string> {
  const path = /^file:([^\p{Cc}]{1,1000})$/u.exec(text)?.[1];
  if (path === undefined)
    return unparsed(
      `${quote(text)} is not a reference to a file`,
      "write `file:PATH`, relative to the folder of this file",
    );
  return parsed(path);
}

/** The absolute path of a file that doorward.yaml names; as written when the folder is not known. */
export function resolveFile(path: string, folder: string | undefined): string {
  return folder === undefined || isAbsolute(path) ? path : resolve(folder, path);
}
