import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DOORWARD, makeHome, until } from "../harness/daemon.testing.ts";
import { plainEnvironment, run } from "../harness/run.testing.ts";
import { exchangeRaw, requestBytes } from "../laws/raw-http.testing.ts";
import { readEvidence } from "../laws/stage.testing.ts";
import { readable } from "./contract.testing.ts";

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** A folder of its own, with a home that nothing was made in yet. */
function emptyPlace() {
  const folder = mkdtempSync(join(tmpdir(), "doorward-contract-"));
  const env = plainEnvironment({ HOME: folder, XDG_CONFIG_HOME: join(folder, "config") });
  const home = join(folder, "home");
  const cli = (...args: string[]) =>
    run(process.execPath, [DOORWARD, ...args, "--home", home], { env, detached: true });
  return { folder, env, home, cli, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

// Drain, reload, a service that moved and the passphrase level: test/cli/daemon.test.ts and level-one.test.ts.
describe("contract: starting", () => {
  test("init --yes: mode 0700, idempotent, prints what it made; the key in a 0600 file outside the home, with a warning", async () => {
    using place = emptyPlace();
    const made = await place.cli("init", "--yes");
    assert.equal(made.status, 0, made.stderr);
    assert.ok(made.stdout.includes(place.home));
    assert.match(made.stderr, /warning/);
    assert.equal(mode(place.home), "700");
    for (const file of ["doorward.yaml", "owner.key", "state.db"])
      assert.equal(mode(join(place.home, file)), "600", file);
    const kek = /(\S*\/doorward\/kek-[0-9a-z]+)/.exec(made.stdout)?.[1] ?? "";
    assert.ok(kek.startsWith(join(place.folder, "config/doorward/kek-")));
    assert.equal(mode(kek), "600");
    const before = ["doorward.yaml", "owner.key", "vault.json"].map((name) =>
      readFileSync(join(place.home, name), "utf8"),
    );
    writeFileSync(join(place.home, "doorward.yaml"), `# mine\n${before[0]}`);
    assert.equal((await place.cli("init", "--yes")).status, 0);
    const after = ["doorward.yaml", "owner.key", "vault.json"].map((name) =>
      readFileSync(join(place.home, name), "utf8"),
    );
    assert.deepEqual(after, [`# mine\n${before[0]}`, ...before.slice(1)]);
  });

  test("--kek passphrase without a terminal does not start, and says how to", async () => {
    using place = emptyPlace();
    const { status, stderr } = await place.cli("serve", "--kek", "passphrase", "--listen", "127.0.0.1:0");
    assert.notEqual(status, 0);
    assert.match(stderr, /passphrase/);
    assert.match(stderr, /terminal/);
  });

  test("--kek env:VAR, exec:CMD, file:PATH", async () => {
    for (const [kek, more] of [
      ["env:MY_KEK", { MY_KEK: Buffer.alloc(32, 7).toString("base64") }],
      ["exec:printf %s BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", {}],
      ["file:KEK", {}],
    ] as const) {
      using place = emptyPlace();
      const args = [
        "init",
        "--yes",
        "--kek",
        kek.replace("KEK", kek.startsWith("file") ? join(place.folder, "k") : "KEK"),
        "--home",
        place.home,
      ];
      const ran = await run(process.execPath, [DOORWARD, ...args], { env: { ...place.env, ...more }, detached: true });
      assert.equal(ran.status, 0, `${kek}: ${ran.stderr}`);
    }
  });

  test("serve initialises when the home is empty; the one line; /readyz 200; SIGTERM ends with 0; a second daemon refuses", async () => {
    using place = emptyPlace();
    const daemon = spawn(process.execPath, [DOORWARD, "serve", "--home", place.home, "--listen", "127.0.0.1:0"], {
      env: place.env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise<number | null>((resolve) => daemon.on("close", resolve));
    let said = "";
    daemon.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    await until(
      () => said,
      (text) => text.includes("ready on"),
    );
    const url = /^doorward ready on (http:\/\/127\.0\.0\.1:\d+)$/m.exec(said)?.[1] ?? assert.fail(said);
    assert.ok(existsSync(join(place.home, "doorward.yaml")));
    assert.equal(mode(join(place.home, "doorward.sock")), "600");
    assert.equal(readable(await exchangeRaw(url, requestBytes({ target: "/readyz" }))).status, 200);
    assert.equal(readable(await exchangeRaw(url, requestBytes({ target: "/healthz" }))).status, 200);
    const second = await place.cli("serve", "--listen", "127.0.0.1:0");
    assert.equal(second.status, 1, second.stderr);
    assert.match(second.stderr, /another Doorward process/);
    daemon.kill("SIGTERM");
    assert.equal(await ended, 0);
  });

  test("plain HTTP on an address that is not loopback is refused without trusted_proxies", async () => {
    using home = await makeHome({ config: "version: 1\n" });
    assert.notEqual((await home.cli(["serve", "--listen", "0.0.0.0:0"])).status, 0);
    home.writeConfig("version: 1\nserver: { listen: 0.0.0.0:7420 }\n");
    assert.equal((await home.cli(["serve"])).status, 2);
  });
});

describe("contract: secrets, agents, services, policy", () => {
  test("names: `_` and upper case are refused; a secret under 8 bytes needs --short; list never shows a value", async () => {
    using home = await makeHome();
    for (const name of ["a_b", "A", "1a", "-a", ""])
      assert.equal((await home.cli(["secret", "set", name, "--stdin"], { input: "long-enough" })).status, 2, name);
    assert.equal((await home.cli(["secret", "set", "s", "--stdin"], { input: "1234567" })).status, 2);
    const short = await home.cli(["secret", "set", "s", "--stdin", "--short"], { input: "1234567" });
    assert.equal(short.status, 0);
    assert.match(short.stderr, /scrubbed/);
    await home.json(["secret", "set", "e", "--from-env", "VALUE", "--expires", "2027-01-01"], {
      env: { VALUE: "value-of-env" },
    });
    writeFileSync(join(home.folder, "f"), "value-of-file");
    await home.json(["secret", "set", "f", "--from-file", join(home.folder, "f")]);
    const { stdout } = await home.cli(["secret", "list", "--json"]);
    const list = JSON.parse(stdout) as Record<string, unknown>[];
    for (const one of list)
      for (const field of ["name", "version", "created_at", "rotated_at", "expires_at", "used_by"])
        assert.ok(field in one, field);
    assert.deepEqual(
      list.map(({ name }) => name),
      ["e", "f", "s"],
    );
    assert.ok(!stdout.includes("value-of"));
    assert.equal(
      (await home.cli(["secret", "set", "x", "--stdin", "--from-env", "VALUE"], { input: "12345678" })).status,
      2,
    );
  });

  test("agent add NAME --role R --json → {agent, key, key_id, expires_at}; <home>/agents/NAME.key 0600; --print-only writes none; --ttl 91d refused", async () => {
    using home = await makeHome({ config: "version: 1\nroles: { one: { allow: [] }, two: { allow: [] } } # kept\n" });
    const added = await home.json<Record<string, string>>(["agent", "add", "bot", "--role", "one", "--role", "two"]);
    assert.match(added["key"]!, /^dw_[a-z0-9-]+_[A-Za-z0-9]+_[A-Za-z0-9]+$/);
    assert.equal(added["agent"], "bot");
    assert.equal(Math.round((Date.parse(added["expires_at"]!) - Date.now()) / 86_400_000), 90);
    assert.equal(home.key("bot"), added["key"]);
    assert.equal(mode(join(home.home, "agents/bot.key")), "600");
    assert.match(home.readConfig(), /# kept/);
    const shown = await home.json<Record<string, string>>(["agent", "key", "bot", "--ttl", "1h", "--print-only"]);
    assert.notEqual(shown["key"], added["key"]);
    assert.equal(home.key("bot"), added["key"]);
    assert.equal((await home.cli(["agent", "key", "bot", "--ttl", "91d"])).status, 2);
    assert.notEqual((await home.cli(["agent", "key", "nobody"])).status, 0);
    assert.equal((await home.cli(["agent", "revoke", shown["key_id"]!])).status, 0);
    const [bot] = await home.json<
      { name: string; roles: string[]; keys: { key_id: string; revoked_at: string | null }[] }[]
    >(["agent", "list"]);
    assert.deepEqual(bot?.roles, ["one", "two"]);
    assert.notEqual(bot?.keys.find(({ key_id }) => key_id === shown["key_id"])?.revoked_at, null);
    assert.equal((await home.cli(["agent", "revoke", "bot"])).status, 0);
    assert.ok(readEvidence(home.home).filter(({ type }) => type === "token.revoked").length >= 1);
  });

  test("service add: without --allow `read` that allows GET /{path...}; --basic USER SECRET with options after it", async () => {
    using home = await makeHome({ secrets: { key: "long-enough-1" } });
    type Shown = {
      operations: { scope: string; effect: string; allow: string[] }[];
      credential: Record<string, string>;
    };
    const plain = await home.json<Shown>(["service", "add", "one", "--url", "https://api.example.com/v1"]);
    assert.deepEqual(plain.operations, [{ scope: "one:read", effect: "read", allow: ["GET /{path...}"] }]);
    const basic = await home.json<Shown>([
      "service",
      "add",
      "two",
      "--basic",
      "user",
      "key",
      "--url",
      "http://127.0.0.1:1/x",
      "--private",
      "--allow",
      "POST /a",
      "--allow",
      "GET /b",
      "--effect",
      "write",
    ]);
    assert.deepEqual(
      basic.operations.map(({ effect, allow }) => [effect, allow]),
      [["write", ["POST /a", "GET /b"]]],
    );
    assert.deepEqual(basic.credential, { kind: "basic", username: "user", secret: "local:key" });
    await home.json(["service", "add", "three", "--url", "https://a.example", "--header", "X-Api-Key", "key"]);
    await home.json(["service", "add", "four", "--url", "https://a.example", "--query", "k", "local:key"]);
    await home.json(["service", "add", "five", "--url", "https://a.example", "--bearer", "env:TOKEN"]);
    await home.json([
      "service",
      "add",
      "seven",
      "--url",
      "https://api.stripe.com/v1",
      "--bearer",
      "key",
      "--preset",
      "stripe",
    ]);
    assert.match(home.readConfig(), /allow: \[ ?Stripe-Version ?\]/);
    const nothing = await home.cli(["service", "add", "eight", "--url", "https://a.example", "--preset", "nothing"]);
    assert.equal(nothing.status, 2);
    assert.match(nothing.stderr, /stripe/);
    assert.equal((await home.cli(["service", "add", "six", "--url", "http://a.example"])).status, 2);
    assert.equal((await home.cli(["service", "add", "one", "--url", "https://a.example"])).status === 0, false);
    const [listed] = await home.json<{ name: string; used_by: string[] }[]>(["secret", "list"]);
    assert.deepEqual(listed?.used_by.toSorted(), ["four", "seven", "three", "two"]);
  });

  test("policy check --json → {ok, findings: [{line, column, path, problem, remedy}]}, exit 0 or 2; a missing secret is a warning", async () => {
    using home = await makeHome({
      config: `version: 1
services:
  stripe:
    url: https://api.stripe.com/v1
    credential: { kind: bearer, secret: "local:nothing" }
    operations: { read: { effect: read, allow: ["GET /a/../b"] }, more: { efect: read, allow: [GET /x] } }
policies: [{ id: p, effect: forbid, on: "*", when: "request.nope + 1" }]
`,
    });
    const bad = await home.cli(["policy", "check", "--json"]);
    assert.equal(bad.status, 2);
    const { ok, findings } = JSON.parse(bad.stdout) as {
      ok: boolean;
      findings: { path: string; line: number; column: number; problem: string; remedy: string }[];
    };
    assert.equal(ok, false);
    const paths = findings.map(({ path }) => path);
    assert.ok(paths.includes("services.stripe.operations.read.allow[0]"), paths.join(" "));
    assert.ok(paths.some((path) => path.startsWith("services.stripe.operations.more")));
    assert.ok(paths.includes("policies[0].when"), paths.join(" "));
    assert.ok(
      findings.every(({ line, column, problem, remedy }) => line > 0 && column > 0 && problem !== "" && remedy !== ""),
    );
    assert.match(JSON.stringify(findings), /effect/);
    const file = join(home.folder, "other.yaml");
    writeFileSync(
      file,
      'version: 1\nservices: { a: { url: "https://a.example", credential: { kind: bearer, secret: "local:nothing" }, operations: { read: { effect: read, allow: [GET /x] } } } }\n',
    );
    const good = await home.cli(["policy", "check", file, "--json"]);
    assert.equal(good.status, 0);
    const verdict = JSON.parse(good.stdout) as { ok: boolean; findings: unknown[] };
    assert.equal(verdict.ok, true);
    assert.equal(verdict.findings.length, 1);
    for (const bytes of [
      Buffer.from("version: 1\n\0"),
      Buffer.from([0x76, 0xff]),
      Buffer.from("version: 1\nversion: 1\n"),
    ]) {
      writeFileSync(file, bytes);
      assert.equal((await home.cli(["policy", "check", file, "--json"])).status, 2);
    }
    assert.equal((await home.cli(["policy", "check", join(home.folder, "none.yaml")])).status, 2);
  });
});
