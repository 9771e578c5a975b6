import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** Names that npm needs besides its own `npm_config_*`: where it is, how it gets out, whom it trusts. Compared in lower case. */
const PASSED = new Set([
  "path",
  "home",
  "userprofile",
  "appdata",
  "localappdata",
  "systemroot",
  "tmpdir",
  "temp",
  "tmp",
  "lang",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "all_proxy",
  "node_extra_ca_certs",
  "node_use_env_proxy",
  "npm_token",
  "node_auth_token",
  "ssl_cert_file",
  "ssl_cert_dir",
  "xdg_config_home",
  "xdg_cache_home",
]);

/** The part of our environment that npm may see: its configuration and the way to its registry, and no other secret. */
export function npmEnvironment(all: { readonly [name: string]: string | undefined }): {
  readonly [name: string]: string;
} {
  const passed = Object.entries(all).filter(
    ([name, value]) => value !== undefined && (PASSED.has(name.toLowerCase()) || /^npm_config_/i.test(name)),
  );
  return Object.fromEntries(passed) as { [name: string]: string };
}

/** Finds npm's program: beside the node that runs, else in the path of programs. @returns `undefined` when there is none. */
export function findNpm(node: string, searchPath: string | undefined): string | undefined {
  const beside = dirname(node);
  const known = [
    join(beside, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
    join(beside, "node_modules", "npm", "bin", "npm-cli.js"),
  ];
  const inPath = (searchPath ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .flatMap((folder) => [join(folder, "npm"), join(folder, "node_modules", "npm", "bin", "npm-cli.js")]);
  for (const path of [...known, ...inPath]) {
    if (!existsSync(path)) continue;
    const real = realpathSync(path);
    if (real.endsWith("npm-cli.js")) return real;
    const behind = join(dirname(real), "..", "lib", "node_modules", "npm", "bin", "npm-cli.js");
    if (existsSync(behind)) return realpathSync(behind);
  }
  return undefined;
}
