import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { tempFolder } from "../identity/temp-store.testing.ts";
import { createPackages } from "./create-packages.ts";
import { type NpmMood, writeFakeNpm } from "./fake-npm.testing.ts";
import { npmEnvironment } from "./npm-environment.ts";

/** Packages of a home with a stand-in for npm. */
function stage(context: TestContext, mood: NpmMood = "honest", signal?: AbortSignal) {
  const folder = tempFolder(context);
  const { npm, runs } = writeFakeNpm(folder, mood);
  const home = join(folder, "home");
  mkdirSync(home);
  const make = (changes: { readonly npm?: undefined } = {}) =>
    createPackages({
      folder: join(home, "packages"),
      places: { node: process.execPath, searchPath: "", closed: [home] },
      tools: {
        node: process.execPath,
        npm,
        environment: npmEnvironment({
          PATH: "/bin",
          npm_config_registry: "https://r.example",
          STRIPE_KEY: "sk_live_1",
        }),
        say() {},
        signal,
        ...changes,
      },
    });
  const runsSeen = () =>
    (existsSync(runs) ? readFileSync(runs, "utf8").trim().split("\n") : []).map(
      (line) => JSON.parse(line) as { args: string[]; env: Record<string, string> },
    );
  return { home, packages: make(), make, runs: runsSeen, left: () => readdirSync(join(home, "packages")) };
}

const npx = (...args: readonly string[]) => ({ command: "npx", args, cwd: undefined });

describe("npx NAME@VERSION", () => {
  test("is installed once, without scripts, and runs on node with the given arguments", async (context) => {
    const { packages, runs, left, home } = stage(context);
    const server = npx("-y", "@scope/server@1.2.3", "--flag");
    const [one, other] = await Promise.all([packages.resolve(server), packages.resolve(server)]);
    assert.deepEqual(one, other);
    assert.deepEqual(await packages.resolve(server), one);
    assert.equal(runs().length, 1);
    assert.ok(runs()[0]?.args.includes("--ignore-scripts"));
    assert.ok(runs()[0]?.args.includes("--allow-git=none"));
    assert.deepEqual(left(), ["@scope+server@1.2.3"]);
    const folder = join(home, "packages", "@scope+server@1.2.3");
    assert.equal(one.command, process.execPath);
    assert.deepEqual(one.args, [join(folder, "node_modules/@scope/server/dist/index.js"), "--flag"]);
    assert.ok(one.programFiles.includes(folder));
    assert.equal(one.package?.name, "@scope/server@1.2.3");
    assert.equal(one.package?.integrity, "sha512-x");
    assert.equal(statSync(join(home, "packages")).mode & 0o077, 0);
  });

  test("npm sees its own configuration and no other variable", async (context) => {
    const { packages, runs } = stage(context);
    await packages.resolve(npx("a@1.0.0"));
    const env = runs()[0]?.env;
    assert.equal(env?.["npm_config_registry"], "https://r.example");
    assert.equal(env?.["STRIPE_KEY"], undefined);
  });

  const REFUSED: Readonly<Record<string, readonly [NpmMood, RegExp]>> = {
    "npm fails": ["fails", /npm says: 404 Not Found - GET https:\/\/registry\.example/],
    "another version comes": ["other_version", /another version/],
    "a dependency has no hash": ["no_hash", /`dep` has no hash/],
    "a dependency is a link": ["linked", /`dep` has no hash/],
  };
  for (const [what, [mood, detail]] of Object.entries(REFUSED)) {
    test(`is refused when ${what}, and nothing is left behind`, async (context) => {
      const { packages, left } = stage(context, mood);
      await assert.rejects(packages.resolve(npx("a@1.0.0")), (error: Error & { code: string }) => {
        assert.equal(error.code, "upstream_unreachable");
        assert.match(error.message, detail);
        assert.doesNotMatch(error.message, /password/);
        return true;
      });
      assert.deepEqual(left(), []);
    });
  }

  test("an installation that is broken off leaves nothing, and the next one succeeds", async (context) => {
    const controller = new AbortController();
    const { packages, left } = stage(context, "hangs", controller.signal);
    const resolving = packages.resolve(npx("a@1.0.0"));
    controller.abort();
    await assert.rejects(resolving, /it was broken off/);
    assert.deepEqual(left(), []);
  });

  test("without npm, or without one version, the remedy is named", async (context) => {
    const { make, packages } = stage(context);
    await assert.rejects(make({ npm: undefined }).resolve(npx("a@1.0.0")), /no npm on this machine/);
    for (const args of [["a"], ["a@latest"], ["a@^1.0.0"], ["git+https://x.example/a"], ["-p", "a@1.0.0", "b"], []])
      await assert.rejects(packages.resolve(npx(...args)), { code: "upstream_unreachable" });
  });

  test("what an earlier process left unfinished is cleared away, and what another one does is not", async (context) => {
    const { packages, left, home } = stage(context);
    for (const name of [".unfinished-old", ".unfinished-new"])
      mkdirSync(join(home, "packages", name), { recursive: true });
    utimesSync(join(home, "packages", ".unfinished-old"), 0, 0);
    await packages.resolve(npx("a@1.0.0"));
    assert.deepEqual(left().sort(), [".unfinished-new", "a@1.0.0"]);
  });

  const TOUCHED: Readonly<Record<string, (folder: string) => void>> = {
    "a file is edited": (folder) => appendFileSync(join(folder, "node_modules/a/dist/index.js"), "evil()"),
    "a file is added": (folder) => writeFileSync(join(folder, "node_modules/evil.js"), ""),
    "a file is taken away": (folder) => rmSync(join(folder, "node_modules/a/dist/index.js")),
    "a link is added": (folder) => symlinkSync("/etc/passwd", join(folder, "node_modules/link")),
    "a link leads elsewhere": (folder) => {
      rmSync(join(folder, "node_modules/own"));
      symlinkSync("b", join(folder, "node_modules/own"));
    },
    "the lock is edited": (folder) => appendFileSync(join(folder, "package-lock.json"), " "),
  };
  for (const [what, touch] of Object.entries(TOUCHED)) {
    test(`its hashes are others when ${what}, in this process and in the next`, async (context) => {
      const { packages, make, home } = stage(context);
      await packages.resolve(npx("a@1.0.0"));
      symlinkSync("a", join(home, "packages", "a@1.0.0", "node_modules/own"));
      const before = (await packages.resolve(npx("a@1.0.0"))).package;
      assert.deepEqual((await make().resolve(npx("a@1.0.0"))).package, before);
      touch(join(home, "packages", "a@1.0.0"));
      const after = await Promise.allSettled([packages.resolve(npx("a@1.0.0")), make().resolve(npx("a@1.0.0"))]);
      for (const one of after) if (one.status === "fulfilled") assert.notDeepEqual(one.value.package, before);
      if (what !== "a file is taken away") assert.ok(after.every(({ status }) => status === "fulfilled"));
    });
  }

  test("a program that leads out of its package is refused", async (context) => {
    const { packages, home } = stage(context);
    await packages.resolve(npx("a@1.0.0"));
    const own = join(home, "packages", "a@1.0.0", "node_modules/a");
    for (const bin of ["../../package.json", "dist/out"]) {
      symlinkSync("/bin/sh", join(own, "dist/out"));
      writeFileSync(join(own, "package.json"), JSON.stringify({ bin }));
      await assert.rejects(packages.resolve(npx("a@1.0.0")), /outside of it/);
      rmSync(join(own, "dist/out"));
    }
  });
});
