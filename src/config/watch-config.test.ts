import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { EXAMPLE } from "./example.testing.ts";
import { loadConfig } from "./load-config.ts";
import { watchConfig } from "./watch-config.ts";

const folder = mkdtempSync(join(tmpdir(), "doorward-watch-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("watching", () => {
  test("reports each new content once: written, renamed, linked anew, removed", async () => {
    const path = join(folder, "a.yaml");
    writeFileSync(path, "version: 1");
    let calls = 0;
    const watcher = watchConfig(path, () => void calls++);
    const after = async (change: () => void) => {
      const before = calls;
      change();
      await watcher.check();
      return calls - before;
    };
    await watcher.check();
    assert.equal(calls, 0, "what was there at the start is no change");
    assert.equal(await after(() => writeFileSync(path, "version: 1 ")), 1);
    assert.equal(await after(() => writeFileSync(path, "version: 1 ")), 0, "same content");
    writeFileSync(`${path}.new`, "version: 1 # b");
    assert.equal(await after(() => renameSync(`${path}.new`, path)), 1);
    assert.equal(await after(() => rmSync(path)), 1);
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data/real.yaml"), "version: 1");
    assert.equal(await after(() => symlinkSync(join(folder, "data/real.yaml"), path)), 1);
    assert.equal(await after(() => writeFileSync(join(folder, "data/real.yaml"), "version: 1 # c")), 1);
    watcher.close();
    watcher.close();
    assert.equal(await after(() => writeFileSync(path, "version: 1 # d")), 0, "closed");
  });

  test("tells by itself, without being asked", async () => {
    const path = join(folder, "b.yaml");
    writeFileSync(path, "version: 1");
    const alive = setInterval(() => {}, 1_000);
    const seen = Promise.withResolvers<void>();
    const watcher = watchConfig(path, () => seen.resolve());
    await watcher.check();
    writeFileSync(path, "version: 1 # new");
    await seen.promise;
    watcher.close();
    clearInterval(alive);
  });

  test("reads a file that is being written when it is whole, not before", async () => {
    const path = join(folder, "slow.yaml");
    writeFileSync(path, "version: 1\n");
    const seen: string[] = [];
    const { promise: whole, resolve } = Promise.withResolvers<void>();
    const watcher = watchConfig(path, () => {
      seen.push(readFileSync(path, "utf8"));
      if (seen.at(-1)?.endsWith("end\n")) resolve();
    });
    await watcher.ready;
    writeFileSync(path, "");
    const looking = watcher.check();
    const text = "version: 1\n# rules\n# end\n";
    for (const character of text) {
      await setTimeout(10);
      appendFileSync(path, character);
    }
    await looking;
    await whole;
    watcher.close();
    assert.deepEqual(seen, [text]);
  });

  test("hands a failing callback to the caller and goes on", async () => {
    const path = join(folder, "c.yaml");
    writeFileSync(path, "version: 1");
    const failures: unknown[] = [];
    let calls = 0;
    const watcher = watchConfig(
      path,
      () => {
        calls++;
        throw new Error("stop");
      },
      (error) => failures.push(error),
    );
    await watcher.check();
    for (const text of ["1", "2"]) {
      writeFileSync(path, text);
      await watcher.check();
    }
    watcher.close();
    assert.deepEqual([calls, failures.length], [2, 2]);
  });
});

describe("loading", () => {
  test("reads the file; a missing one is an empty configuration", async () => {
    const path = join(folder, "d.yaml");
    assert.equal((await loadConfig(path)).ok, true);
    writeFileSync(path, EXAMPLE);
    const result = await loadConfig(path);
    assert.ok(result.ok && result.config.services.size === 4);
  });

  test("says what is wrong with what is no file, or no small one", async () => {
    const result = await loadConfig(folder);
    assert.ok(!result.ok);
    assert.match(result.findings[0]?.problem ?? "", /is not a file/);
    const path = join(folder, "big.yaml");
    writeFileSync(path, "#".repeat(5_000_000));
    assert.equal((await loadConfig(path)).ok, false);
  });
});
