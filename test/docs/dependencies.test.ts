/** What is installed with Doorward is known, stated and justified. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ROOT, readPage } from "./markdown.testing.ts";

interface Locked {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as Manifest;
const lock = JSON.parse(readFileSync(`${ROOT}package-lock.json`, "utf8")) as {
  readonly packages: Readonly<Record<string, Locked>>;
};
const installed = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && dev !== true);

test("the README states how many packages are installed at run time", () => {
  const stated = /\*\*(\d+) packages\*\*/.exec(readPage("README.md").text)?.[1];
  const always = installed.filter(([, { optional }]) => optional !== true);
  assert.equal(Number(stated), always.length, "write `**N packages**` into README.md");
});

test("no package that is installed at run time has an install script", () => {
  const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path);
  assert.deepEqual(scripted, []);
});

test("every dependency has its line in docs/dependencies.md, and no line is left over", () => {
  const rows = readPage("docs/dependencies.md").text.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm);
  const reasons = new Map(Array.from(rows, ([, name = "", reason = ""]) => [name, reason.trim()]));
  const { dependencies, optionalDependencies, devDependencies } = manifest;
  const declared = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies });
  assert.deepEqual([...reasons.keys()].sort(), declared.sort());
  for (const [name, reason] of reasons) assert.ok(reason.length > 20, `${name} needs a reason`);
});

test("every dependency is pinned to one version", () => {
  const { dependencies, optionalDependencies, devDependencies } = manifest;
  const loose = Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[a-z0-9.]+)?$/.test(version),
  );
  assert.deepEqual(loose, []);
});
