/** What can befall a home: bad rules, damaged state, a full disk. Nothing degrades to "allow", and repair brings it back. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, startDouble } from "../harness/double.testing.ts";
import { exchangeRaw, problemOf, requestBytes } from "../laws/raw-http.testing.ts";
import { administer, readEvidence, startStage } from "../laws/stage.testing.ts";
import { abuseConfig } from "./stage.testing.ts";

let home: TestHome;
let upstream: Double;
before(async () => {
  upstream = await startDouble((_, response) => response.end("ok"));
  home = await makeHome({
    config: abuseConfig(upstream.url),
    secrets: { api: "rk_live_abuse_state" },
    agents: ["bot"],
  });
});
after(async () => {
  await upstream?.[Symbol.asyncDispose]();
  home?.[Symbol.dispose]();
});

const ask = (url: string, key = home.key("bot")) =>
  exchangeRaw(url, requestBytes({ target: "/api/api/x", headers: [["Authorization", `Bearer ${key}`]] }));

interface Rules {
  readonly rules: { readonly current: boolean; readonly findings: readonly object[] };
}

describe("a bad file", { timeout: 60_000 }, () => {
  const BAD: Readonly<Record<string, (good: string) => string | Buffer>> = {
    "cut in the middle": (good) => good.slice(0, good.length / 2),
    "with a NUL": (good) => `${good}\0`,
    "that is not UTF-8": (good) => Buffer.from(`${good}# \xff`, "latin1"),
    "with a duplicate key": (good) => `${good}version: 1\n`,
    "with an alias bomb": () =>
      `version: 1\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nservices: [*c,*c,*c,*c,*c,*c,*c]\n`,
    "nested without end": () => `version: 1\nservices: ${"[".repeat(20_000)}`,
    "of megabytes": (good) => `${good}#${"x".repeat(20 * 1024 * 1024)}`,
    "with a misspelt rule": (good) => good.replace("approval:", "aproval:"),
    "with __proto__": (good) => `${good}__proto__: { services: {} }\n`,
  };

  test("is refused with findings, and the last good rules go on", async () => {
    await using daemon = await startStage(home);
    const good = home.readConfig();
    for (const [name, make] of Object.entries(BAD)) {
      try {
        writeFileSync(join(home.home, "doorward.yaml"), make(good));
        const state = await until(
          () => administer<Rules>(home, "status"),
          ({ rules }) => !rules.current,
        );
        assert.ok(state.rules.findings.length > 0, name);
        assert.equal((await ask(daemon.url))?.status, 200, name);
      } finally {
        home.writeConfig(good);
      }
      await until(
        () => administer<Rules>(home, "status"),
        ({ rules }) => rules.current,
      );
    }
    assert.ok(
      readEvidence(home.home).filter(({ type }) => type === "config.refused").length >= Object.keys(BAD).length,
    );
    assert.doesNotMatch(daemon.said(), /internal error/);
  });

  test("lets no daemon start", async () => {
    const good = home.readConfig();
    home.writeConfig(good.slice(0, good.length / 2));
    const ran = await home.cli(["serve", "--listen", "127.0.0.1:0"]);
    home.writeConfig(good);
    assert.equal(ran.status, 2);
    assert.match(ran.stderr, /\d+:\d+: /);
  });
});

describe("damaged state", { timeout: 60_000 }, () => {
  const segment = () => {
    const folder = join(home.home, "audit");
    const [name = ""] = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((one) => one.endsWith(".jsonl"))
      .toSorted()
      .slice(-1);
    return join(folder, name);
  };
  /** Damages a file, tries, and puts it back. */
  const damaged = async (path: string, damage: (path: string) => void, look: () => Promise<void>) => {
    copyFileSync(path, `${path}.kept`);
    try {
      damage(path);
      await look();
    } finally {
      rmSync(`${path}-wal`, { force: true });
      rmSync(`${path}-shm`, { force: true });
      copyFileSync(`${path}.kept`, path);
      rmSync(`${path}.kept`);
    }
  };
  const refusesToStart = async () => {
    const ran = await home.cli(["serve", "--listen", "127.0.0.1:0"]);
    assert.ok(ran.status === 1 || ran.status === 2 || ran.status === 4, `${ran.status} ${ran.stderr}`);
    assert.doesNotMatch(ran.stderr, /ready on/);
    assert.doesNotMatch(ran.stderr, /\n\s+at /, "no stack for what is not our fault");
  };
  const starts = async () => {
    await using daemon = await startStage(home);
    assert.equal((await ask(daemon.url))?.status, 200);
  };

  for (const [name, damage] of Object.entries<(path: string) => void>({
    "half a state.db": (path) => truncateSync(path, Math.floor(statSync(path).size / 2)),
    "a state.db of noise": (path) => writeFileSync(path, Buffer.alloc(8_192, 0x5a)),
  })) {
    test(`${name}: nothing starts; put back, it serves`, async () => {
      await damaged(join(home.home, "state.db"), damage, refusesToStart);
      await starts();
    });
  }

  test("an edited event is found", async () => {
    const edit = (path: string) =>
      writeFileSync(path, readFileSync(path, "utf8").replace('"agent":"bot"', '"agent":"bob"'));
    await damaged(segment(), edit, async () => {
      assert.equal((await home.cli(["audit", "verify"])).status, 4);
    });
    assert.equal((await home.cli(["audit", "verify"])).status, 0);
  });

  test("half a last line: repaired, and said", async () => {
    appendFileSync(segment(), '{"v":1,"seq":');
    await starts();
    assert.ok(readEvidence(home.home).some(({ type }) => type === "audit.repaired"));
    assert.equal((await home.cli(["audit", "verify"])).status, 0);
  });

  test("noise for an agent's key file: the daemon serves those it knows", async () => {
    const key = home.key("bot");
    await damaged(
      join(home.home, "agents", "bot.key"),
      (path) => writeFileSync(path, Buffer.alloc(64, 0xff)),
      async () => {
        await using daemon = await startStage(home);
        assert.equal((await ask(daemon.url, key))?.status, 200);
        assert.equal((await ask(daemon.url, "\xff".repeat(64)))?.status, 401);
      },
    );
    await starts();
  });
});

const root = process.getuid?.() === 0;
const canMount = root && tryMount();

function tryMount(): boolean {
  const folder = join("/tmp", `doorward-mount-${process.pid}`);
  mkdirSync(folder);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).status === 0;
  if (mounted) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true });
  return mounted;
}

describe("the disk", {
  timeout: 60_000,
  skip: canMount ? false : "tmpfs cannot be mounted: A FULL DISK WAS NOT TRIED",
}, () => {
  test("full: nothing is sent, and the caller is told; with room again, it serves", async () => {
    using small = await makeHome();
    spawnSync("rm", ["-rf", small.home]);
    mkdirSync(small.home, { mode: 0o700 });
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", small.home]).status, 0);
    try {
      await small.json(["init", "--yes", "--kek", `file:${join(small.folder, "kek2")}`]);
      small.writeConfig(abuseConfig(upstream.url));
      await small.json(["secret", "set", "api", "--stdin"], { input: "rk_live_full_disk" });
      await small.json(["agent", "key", "bot"]);
      const key = small.key("bot");
      await using daemon = await startStage(small);
      assert.equal((await ask(daemon.url, key))?.status, 200);
      spawnSync("dd", ["if=/dev/zero", `of=${join(small.home, "ballast")}`, "bs=4k"]);
      const before = upstream.received.length;
      let refused = 0;
      for (let i = 0; i < 200; i++) {
        const answer = await ask(daemon.url, key);
        if (answer?.status === 200) continue;
        assert.ok(
          ["audit_unavailable", "store_unavailable", "internal_error"].includes(String(problemOf(answer).code)),
          answer?.wire.toString("latin1"),
        );
        refused += 1;
      }
      assert.ok(refused > 0, "the disk was full");
      const decided = readEvidence(small.home).filter(
        ({ type, decision }) => type === "call.decided" && decision === "permit",
      ).length;
      assert.ok(upstream.received.length - before < decided, "no hit without a decision");
      assert.equal((await exchangeRaw(daemon.url, requestBytes({ target: "/readyz" })))?.status, 503);
      rmSync(join(small.home, "ballast"));
      await until(
        () => ask(daemon.url, key),
        (answer) => answer?.status === 200,
      );
      assert.doesNotMatch(daemon.said(), /internal error/);
      await daemon.stop();
      assert.equal((await small.cli(["audit", "verify"])).status, 0);

      await using again = await startStage(small);
      assert.equal((await ask(again.url, key))?.status, 200);
    } finally {
      spawnSync("umount", ["-l", small.home]);
    }
  });
});
