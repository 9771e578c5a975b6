import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** How the stand-in for npm behaves, beyond installing what it was asked for. */
export type NpmMood = "honest" | "fails" | "other_version" | "no_hash" | "hangs" | "linked";

/**
 * Writes a program that stands in for npm: it lays the package that it is asked for where npm would, notes each of its runs in
 * `runs.jsonl` beside itself, and never touches the network.
 */
export function writeFakeNpm(folder: string, mood: NpmMood): { readonly npm: string; readonly runs: string } {
  const npm = join(folder, "npm-cli.js");
  const runs = join(folder, "runs.jsonl");
  writeFileSync(npm, `${HEAD}\nconst mood = ${JSON.stringify(mood)}, runs = ${JSON.stringify(runs)};\n${BODY}`);
  return { npm, runs };
}

const HEAD = `const { appendFileSync, mkdirSync, writeFileSync } = require("node:fs"), { join } = require("node:path");`;

const BODY = `
appendFileSync(runs, JSON.stringify({ args: process.argv.slice(2), env: process.env, cwd: process.cwd() }) + "\\n");
const spec = process.argv.at(-1), at = spec.lastIndexOf("@"), name = spec.slice(0, at), version = spec.slice(at + 1);
const prefix = process.argv.find((arg) => arg.startsWith("--prefix=")).slice(9), own = join(prefix, "node_modules", name);
if (mood === "hangs") setTimeout(() => {}, 60000);
else if (mood === "fails") {
  console.error("npm error code E404\\nnpm error 404 Not Found - GET https://me:pass" + "word@registry.example/x\\nnpm error A complete log of this run");
  process.exitCode = 1;
} else {
  mkdirSync(join(own, "dist"), { recursive: true });
  writeFileSync(join(own, "package.json"), JSON.stringify({ name, version, bin: { [name.split("/").at(-1)]: "dist/index.js" } }));
  writeFileSync(join(own, "dist/index.js"), "#!/usr/bin/env node\\n");
  const entry = { version: mood === "other_version" ? "9.9.9" : version, integrity: "sha512-x" };
  const packages = { "": {}, ["node_modules/" + name]: entry, "node_modules/dep": { version: "1.0.0", integrity: "sha512-y" } };
  if (mood === "no_hash") delete packages["node_modules/dep"].integrity;
  if (mood === "linked") packages["node_modules/dep"].link = true;
  writeFileSync(join(prefix, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages }));
}`;
