/** The command line as scripts see it: statuses, JSON, with and without a daemon. */
import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";

const CONFIG = `version: 1
# the owner's words stay
services:
  registrar:
    url: http://127.0.0.1:9/v1
    private: true
    credential: { kind: bearer, secret: "local:registrar" }
    operations:
      domains:read: { effect: read, allow: ["GET /domains"] }
      records:delete: { effect: destructive, allow: ["DELETE /domains/{domain}/records"], approval: { message: "Delete {path.domain}" } }
roles:
  editor: { allow: ["registrar:*"] }
agents:
  dns-bot: { roles: [editor] }
`;
const SECRET = "rk_live_cli_4f1d2c3b";

for (const running of [true, false]) {
  describe(`commands ${running ? "with" : "without"} a running daemon`, () => {
    const stack = new AsyncDisposableStack();
    let home: TestHome;
    before(async () => {
      home = stack.use(await makeHome({ config: CONFIG, secrets: { registrar: SECRET } }));
      if (running) stack.use(await startDaemon(home));
    });
    after(() => stack.disposeAsync());

    test("secret set, list, rotate, remove: names and dates, never a value", async () => {
      const set = await home.cli(["secret", "set", "spare", "--stdin", "--json"], { input: "first-value-123\n" });
      assert.equal(set.status, 0, set.stderr);
      const rotated = await home.json<{ version: number }>(["secret", "rotate", "spare", "--from-env", "SPARE"], {
        env: { SPARE: "second-value-456" },
      });
      assert.equal(rotated.version, 2);
      const { stdout, stderr } = await home.cli(["secret", "list", "--json"]);
      const listed = JSON.parse(stdout) as Record<string, unknown>[];
      const registrar = listed.find(({ name }) => name === "registrar")!;
      for (const field of ["name", "version", "created_at", "rotated_at", "expires_at", "used_by"])
        assert.ok(field in registrar, field);
      assert.deepEqual(registrar["used_by"], ["registrar"]);
      for (const value of [SECRET, "first-value-123", "second-value-456"])
        assert.ok(!`${stdout}${stderr}`.includes(value));
      assert.equal((await home.cli(["secret", "remove", "spare"])).status, 0);
      assert.equal((await home.json<unknown[]>(["secret", "list"])).length, 1);
    });

    test("secret set of a value under 8 bytes needs --short, which says what it means", async () => {
      const short = await home.cli(["secret", "set", "pin", "--stdin"], { input: "1234" });
      assert.notEqual(short.status, 0);
      assert.match(short.stderr, /--short/);
      const taken = await home.cli(["secret", "set", "pin", "--stdin", "--short"], { input: "1234" });
      assert.equal(taken.status, 0);
      assert.match(taken.stderr, /scrub/);
      await home.json(["secret", "remove", "pin"]);
    });

    test("agent add writes the file and the key; key, list, revoke", async () => {
      const added = await home.json<Record<string, string>>(["agent", "add", "new-bot", "--role", "editor"]);
      assert.equal(added["agent"], "new-bot");
      assert.match(added["key"]!, /^dw_[a-z0-9-]+_/);
      assert.ok(added["key_id"] && Date.parse(added["expires_at"]!) > 0);
      assert.equal(home.key("new-bot"), added["key"]);
      assert.equal(statSync(join(home.home, "agents/new-bot.key")).mode & 0o777, 0o600);
      assert.match(home.readConfig(), /new-bot/);
      assert.match(home.readConfig(), /# the owner's words stay/);
      const shown = await home.json<Record<string, string>>(["agent", "key", "new-bot", "--ttl", "1h", "--print-only"]);
      assert.equal(home.key("new-bot"), added["key"], "--print-only writes nothing");
      const listed = await home.json<{ name: string; keys: { key_id: string }[] }[]>(["agent", "list"]);
      const keys = listed.find(({ name }) => name === "new-bot")!.keys.map(({ key_id }) => key_id);
      assert.deepEqual(keys.sort(), [added["key_id"], shown["key_id"]].sort());
      const { stdout } = await home.cli(["agent", "list", "--json"]);
      assert.ok(!stdout.includes(added["key"]!));
      const revoked = await home.json<{ revoked: string[] }>(["agent", "revoke", "new-bot"]);
      assert.deepEqual(revoked.revoked.toSorted(), keys.toSorted());
    });

    test("a key lives 90 days at most", async () => {
      const asked = await home.cli(["agent", "key", "dns-bot", "--ttl", "91d"]);
      assert.notEqual(asked.status, 0);
      assert.match(asked.stderr, /90/);
    });

    test("service add, show, list, remove", async () => {
      const words = [
        "service",
        "add",
        "intranet",
        "--url",
        "http://127.0.0.1:8080",
        "--private",
        "--header",
        "X-Api-Key",
        "registrar",
        "--allow",
        "GET /a",
        "--allow",
        "GET /b/{c}",
      ];
      const added = await home.json<Record<string, unknown>>(words);
      assert.deepEqual(added["operations"], [
        { scope: "intranet:read", effect: "read", allow: ["GET /a", "GET /b/{c}"] },
      ]);
      assert.equal((await home.json(["service", "show", "intranet"]))["url"], "http://127.0.0.1:8080");
      assert.deepEqual(
        (await home.json<{ name: string }[]>(["service", "list"])).map(({ name }) => name),
        ["registrar", "intranet"],
      );
      assert.equal((await home.cli(words)).status, 2, "twice");
      assert.equal((await home.cli(["service", "add", "bad", "--url", "http://api.example"])).status, 2, "plain HTTP");
      assert.doesNotMatch(home.readConfig(), /bad/, "a file that would not hold is not written");
      await home.json(["service", "remove", "intranet"]);
      assert.doesNotMatch(home.readConfig(), /intranet/);
    });

    test("policy explain", async () => {
      const explain = (method: string, path: string) =>
        home.json<Record<string, unknown>>([
          "policy",
          "explain",
          "--agent",
          "dns-bot",
          "--service",
          "registrar",
          "--method",
          method,
          "--path",
          path,
        ]);
      const allowed = await explain("GET", "/domains");
      assert.equal(allowed["decision"], "permit");
      for (const rule of allowed["rules"] as Record<string, unknown>[])
        for (const field of ["id", "effect", "matched", "why"]) assert.ok(field in rule, field);
      assert.equal((await explain("DELETE", "/domains/a.example/records"))["decision"], "ask");
      assert.deepEqual(
        [(await explain("PUT", "/domains"))["decision"], (await explain("PUT", "/domains"))["code"]],
        ["deny", "unknown_operation"],
      );
    });

    test("kill and resume", async () => {
      const killed = await home.json(["kill", "agent:dns-bot", "--why", "test"]);
      for (const field of [
        "target",
        "at",
        "effective_ms",
        "streams_cut",
        "children_ended",
        "leases_revoked",
        "tokens_revoked",
      ])
        assert.ok(field in killed, field);
      assert.equal((await home.cli(["kill", "agent:nobody-of-the-file"])).status, 2, "without --why");
      assert.equal((await home.cli(["kill", "nonsense", "--why", "x"])).status, 2);
      const status = await home.json<{ running: boolean; kills: { target: string }[]; assurance: number }>(["status"]);
      assert.deepEqual(
        [status.running, status.kills.map(({ target }) => target), status.assurance],
        [running, ["agent:dns-bot"], 0],
      );
      assert.equal((await home.cli(["resume", "agent:dns-bot", "--why", "done"])).status, 0);
    });

    test("approvals list is a list; an id that is not there fails", async () => {
      assert.deepEqual(await home.json<unknown[]>(["approvals", "list"]), []);
      assert.equal((await home.cli(["approvals", "approve", "apr_nothing"])).status, 1);
    });

    test("audit verify, search, show, checkpoint", async () => {
      const verdict = await home.json<Record<string, unknown>>(["audit", "verify"]);
      assert.deepEqual([verdict["ok"], verdict["findings"], verdict["key"]], [true, [], "unpinned"]);
      const { stdout } = await home.cli(["audit", "search", "--type", "secret.set", "--json"]);
      const [first] = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.deepEqual(Object.keys(first!).slice(0, 6), ["v", "seq", "at", "node", "type", "request_id"]);
      const note = join(home.folder, "checkpoint");
      assert.equal((await home.cli(["audit", "checkpoint", "--out", note])).status, 0);
      assert.ok(existsSync(note));
      assert.equal((await home.json<{ ok: boolean }>(["audit", "verify", "--checkpoint", note])).ok, true);
    });

    test("--json puts data on stdout and talk on stderr", async () => {
      for (const words of [["agent", "key", "dns-bot"], ["secret", "list"], ["status"]]) {
        const ran = await home.cli([...words, "--json"]);
        assert.equal(ran.stdout.trim().split("\n").length, 1, words.join(" "));
        JSON.parse(ran.stdout);
      }
    });
  });
}

describe("statuses", () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG, secrets: { registrar: SECRET } }));
  });
  after(() => stack.disposeAsync());

  test("commands that are not built say so and fail with 1", async () => {
    const ran = await Promise.all(
      ["import", "restore", "inventory", "grants", "report"].map((word) => home.cli([word])),
    );
    for (const { status, stderr } of ran) {
      assert.equal(status, 1);
      assert.match(stderr, /not built yet/);
    }
  });

  test("wrong usage is 2, and help is 0", async () => {
    for (const words of [
      ["nonsense"],
      ["secret", "set"],
      ["policy", "explain"],
      ["serve", "--listen", "nowhere"],
      ["secret", "set", "a", "--stdin", "--from-env", "X"],
      ["agent", "key", "dns-bot", "--ttl", "soon"],
    ]) {
      assert.equal((await home.cli(words)).status, 2, words.join(" "));
    }
    for (const words of [["--help"], ["secret", "set", "--help"], ["--version"]])
      assert.equal((await home.cli(words)).status, 0, words.join(" "));
  });

  test("policy check: all findings with line, column, path and remedy; 2, or 0 when it holds", async () => {
    const held = await home.json<{ ok: boolean; findings: unknown[] }>(["policy", "check"]);
    assert.deepEqual([held.ok, held.findings], [true, []]);
    const file = join(home.folder, "bad.yaml");
    writeFileSync(
      file,
      'version: 1\nservices:\n  a: { url: "http://api.example", operations: { read: { effect: reed, allow: ["GET"] } } }\nrols: {}\n',
    );
    const ran = await home.cli(["policy", "check", file, "--json"]);
    assert.equal(ran.status, 2);
    const { ok, findings } = JSON.parse(ran.stdout) as {
      ok: boolean;
      findings: { line: number; column: number; path: string; problem: string; remedy: string }[];
    };
    assert.equal(ok, false);
    assert.ok(
      findings.some(({ path, line }) => path === "services.a.operations.read.effect" && line === 3),
      ran.stdout,
    );
    assert.ok(
      findings.some(({ path, remedy }) => path === "rols" && /roles/.test(remedy)),
      ran.stdout,
    );
    for (const finding of findings)
      assert.ok(finding.line > 0 && finding.column > 0 && finding.problem !== "" && finding.remedy !== "");
    for (const bytes of [Buffer.from([0]), Buffer.from([0xff, 0xfe, 0xff]), Buffer.from("version: 1\nversion: 1\n")]) {
      writeFileSync(file, bytes);
      assert.equal((await home.cli(["policy", "check", file, "--json"])).status, 2);
    }
    assert.equal((await home.cli(["policy", "check", join(home.folder, "none.yaml")])).status, 2);
  });

  test("audit verify of altered evidence is 4", async () => {
    const audit = join(home.home, "audit");
    const { findings } = await home.json<{ findings: unknown[] }>(["audit", "verify"]);
    assert.deepEqual(findings, []);
    const copy = join(home.folder, "copy");
    const { cpSync, readdirSync, readFileSync } = await import("node:fs");
    cpSync(audit, copy, { recursive: true });
    const node = readdirSync(copy)[0]!;
    const segment = join(copy, node, readdirSync(join(copy, node)).find((name) => name.endsWith(".jsonl"))!);
    writeFileSync(segment, readFileSync(segment, "utf8").replace('"type":"secret.set"', '"type":"secret.sat"'));
    const ran = await home.cli(["audit", "verify", copy, "--json"]);
    assert.equal(ran.status, 4);
    assert.equal((JSON.parse(ran.stdout) as { ok: boolean }).ok, false);
  });

  test("a home whose file does not hold: the findings and 2, no stack", async () => {
    const good = home.readConfig();
    home.writeConfig("version: 1\nservces: {}\n");
    const ran = await home.cli(["serve"]);
    home.writeConfig(good);
    assert.equal(ran.status, 2);
    assert.match(ran.stderr, /2:1 servces: .*services/);
    assert.doesNotMatch(ran.stderr, /\n\s+at /);
  });

  test("init keeps what is there", async () => {
    const before = home.readConfig();
    const again = await home.json<{ made: boolean; config_made: boolean }>(["init", "--yes"]);
    assert.deepEqual([again.made, again.config_made, home.readConfig()], [false, false, before]);
    assert.equal(statSync(home.home).mode & 0o777, 0o700);
    assert.equal((await home.json<unknown[]>(["secret", "list"])).length, 1);
  });
});

describe("edits at the same time", () => {
  for (const running of [true, false]) {
    test(`20 processes ${running ? "with" : "without"} a daemon: none is lost`, async () => {
      await using stack = new AsyncDisposableStack();
      const home = stack.use(await makeHome({ config: CONFIG, secrets: { registrar: SECRET } }));
      let daemon: TestDaemon | undefined;
      if (running) daemon = stack.use(await startDaemon(home));
      const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
      const ran = await Promise.all(
        names.map((name, i) =>
          home.cli(
            i % 2 === 0
              ? ["service", "add", name, "--url", `https://${name}.example`]
              : ["agent", "add", name, "--role", "editor"],
          ),
        ),
      );
      assert.deepEqual(
        ran.filter(({ status }) => status !== 0).map(({ stderr }) => stderr),
        [],
      );
      const services = (await home.json<{ name: string }[]>(["service", "list"])).map(({ name }) => name);
      const agents = (await home.json<{ name: string }[]>(["agent", "list"])).map(({ name }) => name);
      assert.deepEqual([...services, ...agents].filter((name) => names.includes(name)).sort(), names.toSorted());
      assert.match(home.readConfig(), /# the owner's words stay/);
      await daemon?.stop();
    });
  }
});
