import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { EXAMPLE, oneService } from "./example.testing.ts";
import { type ParseConfigOptions, parseConfig, toFindings } from "./parse-config.ts";
import type { Config, Finding } from "./schema.ts";

function load(text: string, options: ParseConfigOptions = {}): Config {
  const result = parseConfig(text, options);
  assert.ok(result.ok, result.ok ? "" : JSON.stringify(result.findings, null, 1));
  return result.config;
}

function faults(text: string | Uint8Array, options: ParseConfigOptions = {}): readonly Finding[] {
  const result = parseConfig(text, options);
  assert.ok(!result.ok, "the file was taken");
  return result.findings.filter(({ severity }) => severity === "error");
}

const lines = (findings: readonly Finding[]) => findings.map(({ line, column, path }) => `${line}:${column} ${path}`);

describe("a good file", () => {
  test("has our names, and units resolved", () => {
    const config = load(EXAMPLE);
    const registrar = config.services.get("registrar");
    assert.equal(registrar?.kind, "http");
    assert.deepEqual(registrar.url, {
      origin: "https://api.registrar.example",
      protocol: "https:",
      host: "api.registrar.example",
      port: 443,
      basePath: "/v1",
    });
    assert.deepEqual(registrar.limits, {
      timeoutMs: 30_000,
      requestBytes: 1_048_576,
      responseBytes: 1_048_576,
      rate: undefined,
    });
    assert.deepEqual(registrar.credential, { kind: "bearer", secret: "local:registrar" });
    assert.deepEqual(registrar.operations.get("records:delete")?.query, {
      type: { enum: ["A", "AAAA", "CNAME", "TXT"] },
    });
    assert.equal(registrar.operations.get("records:delete")?.approval?.expiresSeconds, 900);
    assert.equal(registrar.operations.get("domains:read")?.ranges, false);
    const header = config.services.get("intranet")?.credential;
    assert.deepEqual(header, { kind: "header", name: "x-api-key", secret: "env:INTRANET_KEY", prefix: undefined });
    assert.deepEqual(config.roles.get("dns-reader")?.rate, { count: 60, perSeconds: 60 });
    assert.deepEqual(config.agents.get("dns-bot")?.expires, new Date("2027-02-01T00:00:00Z"));
    assert.deepEqual(config.policies[0]?.on, ["*"]);
  });

  test("may be empty: nothing is allowed then", () => {
    for (const text of ["", "version: 1", "# only a comment\n", "version: 1\nservices:\nroles:\n"]) {
      const config = load(text);
      assert.equal(config.services.size + config.roles.size + config.agents.size + config.policies.length, 0);
      assert.deepEqual(config.server.listen, { host: "127.0.0.1", port: 7420 });
    }
  });

  test("may use names that objects inherit", () => {
    const config = load(
      oneService("url: https://a.example", "operations: { constructor: { effect: read, allow: [GET /] } }").replace(
        "api:",
        "constructor:",
      ),
    );
    assert.ok(config.services.get("constructor")?.operations.has("constructor"));
    assert.equal(config.services.get("to-string"), undefined);
  });

  test("may begin with a byte order mark, end lines with CRLF and use aliases", () => {
    const text = `\ufeff${EXAMPLE.replace("dns-reader: {", "dns-reader: &r {").replaceAll("\n", "\r\n")}`;
    assert.equal(load(text).services.size, 4);
    assert.deepEqual(
      load("version: 1\nagents:\n  one: &a { purposes: [x] }\n  two: *a\n").agents.get("two")?.purposes,
      ["x"],
    );
  });

  test("names files relative to its own folder", () => {
    const config = load("server: { tls: { cert: file:tls/c.pem, key: file:/k.pem } }\nversion: 1", {
      path: "/etc/doorward/doorward.yaml",
    });
    assert.deepEqual(config.server.tls, {
      cert: "/etc/doorward/tls/c.pem",
      key: "/k.pem",
      clientCa: undefined,
      clientCrl: undefined,
    });
  });

  test("warns of what is idle", () => {
    const result = parseConfig(
      'version: 1\nservices: { a: { url: https://a.example } }\nroles: { r: { allow: ["a:read", "b:*", "*"] } }',
    );
    assert.ok(result.ok);
    assert.deepEqual(lines(result.warnings), ["2:16 services.a", "3:23 roles.r.allow[0]", "3:33 roles.r.allow[1]"]);
  });
});

describe("a faulty file", () => {
  test("gets all its faults at once, each at its place", () => {
    const text = [
      "version: 1",
      "sevices: {}",
      "services:",
      "  api:",
      "    url: http://api.example",
      "    operations:",
      "      read: { effect: raed, allow: [] }",
      "roles:",
      "  a: { extends: [b] }",
      "  b: { extends: [a], alow: [] }",
      "agents:",
      "  bot: { roles: [aa], networks: [10.0.0.1/8] }",
      "policies:",
      '  - { id: p, effect: forbid, on: "*" }',
      '  - { id: p, effect: ask, on: "*", approvers: { quorum: 0 } }',
      '  - { id: p, effect: permit, on: "*", approvers: {} }',
    ].join("\n");
    assert.deepEqual(lines(faults(text)), [
      "2:1 sevices",
      "5:10 services.api.url",
      "7:23 services.api.operations.read.effect",
      "7:36 services.api.operations.read.allow",
      "9:17 roles.a.extends",
      "10:22 roles.b.alow",
      "12:18 agents.bot.roles[0]",
      "12:34 agents.bot.networks[0]",
      "15:57 policies[1].approvers.quorum",
      "16:11 policies[2].id",
      "16:50 policies[2].approvers",
    ]);
  });

  test("is told the nearest key, value and name", () => {
    const remedyOf = (text: string) => faults(text)[0]?.remedy;
    assert.equal(remedyOf("version: 1\nagnets: {}"), "write `agents`");
    assert.equal(remedyOf(oneService("url: https://a.example", "privat: true")), "write `private`");
    assert.equal(
      remedyOf(oneService("url: https://a.example", "credential: { kind: baerer, secret: local:x }")),
      "write `bearer`",
    );
    assert.equal(remedyOf("version: 1\nroles: { reader: {} }\nagents: { a: { roles: [raeder] } }"), "write `reader`");
    assert.equal(remedyOf("version: 1\nroles: { My_Role: {} }"), "write `my-role`");
  });

  test("is named as what it is when it is no YAML", () => {
    const cases: readonly (readonly [RegExp, string | Uint8Array])[] = [
      [/holds a NUL/, "version: 1\n# \u0000"],
      [/not UTF-8/, Buffer.from([0x61, 0x3a, 0x20, 0xff, 0x0a])],
      [/`version` stands twice/, "version: 1\nversion: 1"],
      [/`version` stands twice/, 'version: 1\n"version": 1'],
      [/several documents/, "version: 1\n---\nversion: 1"],
      [/tag `tag:yaml.org,2002:str`/, oneService("url: !!str https://a.example")],
      [/merge keys/, "version: 1\nroles:\n  a: &a {}\n  b: { <<: *a }"],
      [/not a plain text/, "version: 1\n[a]: 1"],
      [/`__proto__`/, "version: 1\n__proto__: { a: 1 }"],
      [/leads nowhere/, "version: 1\nroles: &a { b: *a }"],
      [/not YAML/, 'version: "1'],
      [/directive/, "%YAML 1.1\n---\nversion: 1"],
      [/is a list/, "- 1"],
      [/alias/, "version: 1\nroles: { a: { allow: [*] } }"],
    ];
    for (const [problem, text] of cases) assert.match(faults(text)[0]?.problem ?? "", problem);
    assert.deepEqual(lines(faults("version: 1\nroles: {}\nroles: {}")), ["3:1 roles"]);
    assert.deepEqual(lines(faults(Buffer.concat([Buffer.from("version: 1\nä: "), Buffer.from([0xc3])]))), ["2:4 "]);
  });

  test("never lets its rest be loaded, but be checked", () => {
    const result = parseConfig(
      EXAMPLE.replace("effect: read ", "effect: raed ").replace("id: ask-before", "id: Ask-before"),
    );
    assert.ok(!result.ok);
    assert.deepEqual(
      [...(result.partial?.config.services.get("registrar")?.operations.keys() ?? [])],
      ["records:delete"],
    );
    const [finding] = toFindings(
      [{ path: ["services", "registrar", "operations", "records:delete", "allow", 0], problem: "p", remedy: "r" }],
      result.partial!.locate,
    );
    assert.deepEqual(
      { ...finding },
      {
        line: 18,
        column: 17,
        path: "services.registrar.operations.records:delete.allow[0]",
        problem: "p",
        remedy: "r",
        severity: "error",
      },
    );
  });

  test("costs no more than its size: bombs are refused", () => {
    const bombs: Readonly<Record<string, string>> = {
      aliases: Array.from(
        { length: 30 },
        (_, i) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1},*a${i - 1},*a${i - 1},*a${i - 1}`}]`,
      ).join("\n"),
      "flow depth": "[".repeat(100_000),
      "flow map depth": "{".repeat(100_000),
      "block depth": Array.from({ length: 400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      "dashes on a line": "- ".repeat(50_000),
      "question marks": "? ".repeat(50_000),
      size: "#".repeat(4_194_305),
      documents: "---\n".repeat(10_000),
    };
    for (const [name, text] of Object.entries(bombs)) assert.ok(faults(text).length > 0, name);
  });

  test("law: whatever the bytes, there is an answer, and every fault has a place and a remedy", () => {
    const words = fc.constantFrom(
      "version",
      ": ",
      "1",
      "\n",
      "  ",
      "services",
      "a",
      "url",
      "https://a.b",
      "{",
      "}",
      "[",
      "]",
      ", ",
      "- ",
      "&a",
      "*a",
      "!t",
      '"',
      "'",
      "|",
      ">",
      "#",
      "?",
      "__proto__",
      "null",
      "\t",
      "ä",
      "roles",
      "policies",
      "~",
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
        const result = parseConfig(parts.join(""));
        if (result.ok) return;
        assert.ok(result.findings.some(({ severity }) => severity === "error"));
        for (const { line, column, problem, remedy } of result.findings)
          assert.ok(line >= 1 && column >= 1 && problem !== "" && remedy !== "");
      }),
      { numRuns: 400 },
    );
  });
});

describe("no secret stands in the file, and no message repeats one", () => {
  const SECRETS = [
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "xoxb-1234567890-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abcdefghijklmnopqrstuvwxyz",
  ];
  const places: Readonly<Record<string, (secret: string) => string>> = {
    "credential.secret": (secret) =>
      oneService("url: https://a.example", `credential: { kind: bearer, secret: "${secret}" }`),
    "after local:": (secret) =>
      oneService("url: https://a.example", `credential: { kind: bearer, secret: "local:${secret}" }`),
    "after env:": (secret) =>
      oneService("url: https://a.example", `credential: { kind: bearer, secret: "env:${secret}" }`),
    "basic username": (secret) =>
      oneService("url: https://a.example", `credential: { kind: basic, username: "${secret}", secret: "local:a" }`),
    "headers.set": (secret) => oneService("url: https://a.example", `headers: { set: { X-Thing: "${secret}" } }`),
    "a description": (secret) => oneService("url: https://a.example", `description: "${secret}"`),
    "the url's path": (secret) => oneService(`url: https://a.example/${secret.replace("Bearer ", "xoxb-")}/x`),
    "a key": (secret) => oneService("url: https://a.example", `"${secret}": 1`),
    "a JSON schema": (secret) =>
      oneService(
        "url: https://a.example",
        `operations: { o: { effect: read, allow: [GET /], query: { k: { const: "${secret}" } } } }`,
      ),
    "a duplicate key": (secret) => `version: 1\n"${secret}": 1\n"${secret}": 1`,
    "broken YAML": (secret) => `version: 1\nservices: { a: "${secret}`,
  };
  for (const [place, write] of Object.entries(places)) {
    test(place, () => {
      for (const secret of SECRETS) {
        const found = faults(write(secret));
        assert.ok(!JSON.stringify(found).includes(secret.slice(-12)), `${place}: ${JSON.stringify(found)}`);
      }
    });
  }

  test("a literal of unknown shape in credential.secret is refused, unrepeated", () => {
    for (const secret of [
      "hunter2",
      "d41d8cd98f00b204e9800998ecf8427e",
      "local:d41d8cd98f00b204e9800998ecf8427eX",
      "pass:word:d41d8cd98f00b204e9800998ecf8427e",
    ]) {
      const [fault] = faults(oneService("url: https://a.example", `credential: { kind: bearer, secret: "${secret}" }`));
      assert.equal(fault?.path, "services.api.credential.secret");
      assert.ok(!`${fault.problem}${fault.remedy}`.includes(secret.slice(-8)));
      assert.match(fault.remedy, /doorward secret set NAME --stdin/);
    }
  });

  test("backends that are not built are named as such", () => {
    const [fault] = faults(
      oneService("url: https://a.example", 'credential: { kind: bearer, secret: "vault:kv/api#token" }'),
    );
    assert.match(fault?.problem ?? "", /`secrets:` are not built yet/);
  });
});

describe("what is known and not built", () => {
  const cases: Readonly<Record<string, readonly [string, string]>> = {
    "vault backends": ["version: 1\nsecrets: { v: {} }", "secrets"],
    "other stores": ["version: 1\nstore: { url: postgres://db }", "store.url"],
  };
  for (const [name, [text, path]] of Object.entries(cases)) {
    test(name, () => {
      const found = faults(text);
      assert.deepEqual(
        found.map((fault) => fault.path),
        [path],
      );
      assert.match(found[0]?.problem ?? "", /not built yet/);
    });
  }
});
