import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { pairingsOf } from "./credential-pairings.ts";
import { oneService } from "./example.testing.ts";
import { parseHostPort, printOrigin } from "./host-port.ts";
import { parseNpxArguments } from "./npx-package.ts";
import { parseConfig } from "./parse-config.ts";
import { checkSandboxPaths } from "./sandbox-path.ts";
import type { McpServiceConfig } from "./schema.ts";

const classifyHost = (host: string) => {
  if (/^169\.254\.|^fe80:/.test(host)) return "forbidden";
  if (/^(?:127|10)\.|^::1$/.test(host)) return "private";
  return /^[0-9.]+$|:/.test(host) ? "public" : "name";
};
const PATH = "/etc/doorward/doorward.yaml";
const TOOLS = "operations: { o: { effect: read, tools: [a] } }";
const COMMAND = "mcp: { command: node, args: [server.js] }";
const REMOTE = "mcp: { url: https://mcp.example/mcp }";
const env = (more: string) => `credential: { kind: env, name: KEY, secret: local:k, ${more} }`;
const ENV = env("hosts: [api.example]");

function load(...keys: readonly string[]): McpServiceConfig {
  const result = parseConfig(oneService(...keys), { classifyHost, path: PATH });
  assert.ok(result.ok, result.ok ? "" : JSON.stringify(result.findings));
  const service = result.config.services.get("api");
  assert.equal(service?.kind, "mcp");
  return service as McpServiceConfig;
}

/** `path: problem; remedy` of each fault. */
function faults(...keys: readonly string[]): readonly string[] {
  const result = parseConfig(oneService(...keys), { classifyHost, path: PATH });
  if (result.ok) return [];
  return result.findings
    .filter(({ severity }) => severity === "error")
    .map(({ path, problem, remedy }) => `${path.replace("services.api.", "")}: ${problem}; ${remedy}`);
}

describe("an MCP server that is started", () => {
  test("has its defaults: a strict sandbox that opens nothing", () => {
    const { server, credential, operations } = load(COMMAND, TOOLS);
    assert.deepEqual(server, {
      transport: "stdio",
      command: "node",
      args: ["server.js"],
      cwd: undefined,
      env: new Map(),
      sandbox: {
        mode: "strict",
        network: [],
        read: [],
        write: [],
        memoryBytes: 536_870_912,
        cpu: 1,
        processes: 64,
      },
    });
    assert.equal(credential, undefined);
    assert.deepEqual(operations.get("o")?.tools, ["a"]);
    assert.deepEqual(operations.get("o")?.allow, []);
  });

  test("may have all of its keys; paths are relative to the file's folder, a bare command is not a path", () => {
    const { server, credential } = load(
      'mcp: { command: ./bin/server, args: ["--key", "{credential}", "--max-tokens=100"], cwd: work, env: { NODE_ENV: production, LOG_LEVEL: debug } }',
      env("hosts: [API.Example, 'api.example:8443', '[2001:db8::1]:9'], place: body, file: /run/key"),
      "sandbox: { mode: degraded, network: [b.example], read: [data, ../x], write: [/srv/out], memory: 1GiB, cpu: 0.5, processes: 8 }",
      TOOLS,
    );
    assert.ok(server.transport === "stdio" && credential?.kind === "env");
    assert.deepEqual([server.command, server.cwd], ["/etc/doorward/bin/server", "/etc/doorward/work"]);
    assert.deepEqual(server.sandbox.read, ["/etc/doorward/data", "/etc/x"]);
    assert.deepEqual(server.sandbox.network, [{ host: "b.example", port: 443 }]);
    assert.equal(server.sandbox.memoryBytes, 1_073_741_824);
    assert.deepEqual(credential.hosts, [
      { host: "api.example", port: 443 },
      { host: "api.example", port: 8443 },
      { host: "2001:db8::1", port: 9 },
    ]);
    assert.deepEqual([credential.place, credential.file], ["body", "/run/key"]);
  });

  test("holds no secret in its environment and arguments", () => {
    const cases: Readonly<Record<string, string>> = {
      "mcp: { command: node, env: { API_TOKEN: hunter22 } }": "mcp.env.API_TOKEN",
      "mcp: { command: node, env: { X: aB3dE5fG7hJ9kL1mN3pQ5 } }": "mcp.env.X",
      "mcp: { command: node, args: ['--api-key=hunter22'] }": "mcp.args[0]",
      "mcp: { command: node, args: ['--api-key', hunter22] }": "mcp.args[1]",
      "mcp: { command: docker, args: [run, -e, GITHUB_TOKEN=hunter22] }": "mcp.args[2]",
      "mcp: { command: node, args: [--header, 'X-Api-Key: hunter22'] }": "mcp.args[1]",
    };
    for (const [mcp, path] of Object.entries(cases)) {
      const [fault = "", ...more] = faults(mcp, ENV, TOOLS);
      assert.ok(fault.startsWith(`${path}:`), `${mcp}: ${fault}`);
      assert.match(fault, /kind: env/);
      assert.doesNotMatch(fault, /hunter22|aB3dE5/);
      assert.deepEqual(more, []);
    }
  });

  test("what only looks like a secret by its name is taken", () => {
    for (const mcp of [
      "mcp: { command: node, args: ['--token-file=/run/t', '--max-tokens', '100', '--keyspace=x', '--password', '{credential}'] }",
      "mcp: { command: node, args: ['--token={credential}'], env: { MAX_TOKEN: '5', SECRET: 'false', API_KEY_FILE: /x } }",
      "mcp: { command: npx, args: [--yes, '@scope/name@1.2.3-rc.1', serve] }",
      "mcp: { command: npx, args: [name@1.2.3] }",
    ]) {
      assert.deepEqual(faults(mcp, ENV, TOOLS), [], mcp);
    }
  });

  const wrong: Readonly<Record<string, readonly [readonly string[], string]>> = {
    "a variable that Doorward sets": [["mcp: { command: node, env: { https_proxy: x } }"], "mcp.env.https_proxy"],
    "a loader's variable": [["mcp: { command: node, env: { LD_PRELOAD: x } }"], "mcp.env.LD_PRELOAD"],
    "Node's options": [["mcp: { command: node, env: { NODE_OPTIONS: x } }"], "mcp.env.NODE_OPTIONS"],
    "no name of a variable": [["mcp: { command: node, env: { A-B: x } }"], "mcp.env.A-B"],
    "the credential's own variable": [["mcp: { command: node, env: { KEY: x } }", ENV], "mcp.env.KEY"],
    "an unknown key": [["mcp: { command: node, arg: [x] }"], "mcp.arg"],
    "an unknown key of the sandbox": [[COMMAND, "sandbox: { memroy: 1GiB }"], "sandbox.memroy"],
    "neither command nor url": [["mcp: { args: [x] }"], "mcp"],
    "command and url": [["mcp: { command: x, url: https://a.example }"], "mcp.url"],
    "an API and a server": [["url: https://a.example", COMMAND], "mcp"],
    "npx without a version": [["mcp: { command: npx, args: [-y, server] }"], "mcp.args"],
    "npx with a tag": [["mcp: { command: /usr/bin/npx, args: [-y, server@latest] }"], "mcp.args"],
    "npx with a range": [["mcp: { command: npx, args: [server@^1.2.3] }"], "mcp.args"],
    "npx with a url": [["mcp: { command: npx, args: ['github:a/b'] }"], "mcp.args"],
    "npx with other options": [["mcp: { command: npx, args: [--package=a@1.2.3, a] }"], "mcp.args"],
    "sse of a started server": [["mcp: { command: node, sse: true }"], "mcp.sse"],
    "{credential} that nothing stands for": [["mcp: { command: node, args: ['{credential}'] }"], "mcp.args[0]"],
    "a key on the server itself": [[COMMAND, "credential: { kind: bearer, secret: local:k }"], "credential.kind"],
    "oauth2 on a started server": [[COMMAND, "credential: { kind: oauth2 }"], "credential.kind"],
    "no hosts": [[COMMAND, env("hosts: []")], "credential.hosts"],
    "a pattern of hosts": [[COMMAND, env("hosts: ['*.example']")], "credential.hosts[0]"],
    "userinfo in a host": [[COMMAND, env("hosts: ['a@b.example']")], "credential.hosts[0]"],
    "a url for a host": [[COMMAND, env("hosts: ['https://b.example']")], "credential.hosts[0]"],
    "a path after a host": [[COMMAND, env("hosts: ['b.example/x']")], "credential.hosts[0]"],
    "a private host": [[COMMAND, env("hosts: ['127.0.0.1:8080']")], "credential.hosts[0]"],
    "the metadata service": [[COMMAND, "private: true", env("hosts: [169.254.169.254]")], "credential.hosts[0]"],
    "a public host of a private server": [[COMMAND, "private: true", env("hosts: [8.8.8.8]")], "credential.hosts[0]"],
    "a private address in the network": [[COMMAND, "sandbox: { network: [localhost] }"], "sandbox.network[0]"],
    "the metadata service in the network": [
      [COMMAND, "sandbox: { network: ['169.254.169.254:80'] }"],
      "sandbox.network[0]",
    ],
    "the whole file system": [[COMMAND, "sandbox: { read: [/] }"], "sandbox.read[0]"],
    "the whole file system, relatively": [[COMMAND, "sandbox: { write: [../..] }"], "sandbox.write[0]"],
    "other processes": [[COMMAND, "sandbox: { read: [/proc/1] }"], "sandbox.read[0]"],
    "the machine": [[COMMAND, "sandbox: { read: [/a/../sys] }"], "sandbox.read[0]"],
    "a home by its sign": [[COMMAND, "sandbox: { read: [~/x] }"], "sandbox.read[0]"],
    "too little memory": [[COMMAND, "sandbox: { memory: 1MiB }"], "sandbox.memory"],
    "no processes": [[COMMAND, "sandbox: { processes: 0 }"], "sandbox.processes"],
    "a file that is no path": [[COMMAND, env("hosts: [a.example], file: key")], "credential.file"],
    "a file in /proc": [[COMMAND, env("hosts: [a.example], file: /proc/x")], "credential.file"],
    "plain http elsewhere": [["mcp: { url: http://mcp.example }"], "mcp.url"],
    "a private server elsewhere": [["mcp: { url: https://127.0.0.1/mcp }"], "mcp.url"],
    "env for a server elsewhere": [[REMOTE, ENV], "credential.kind"],
    "a sandbox elsewhere": [[REMOTE, "sandbox: {}"], "sandbox"],
    "arguments elsewhere": [["mcp: { url: https://mcp.example, args: [] }"], "mcp.args"],
    "client credentials without a client": [
      [REMOTE, "credential: { kind: oauth2, grant: client_credentials, secret: local:k }"],
      "credential.client_id",
    ],
    "client credentials without a secret": [
      [REMOTE, "credential: { kind: oauth2, grant: client_credentials, client_id: x }"],
      "credential.secret",
    ],
    "a token endpoint in plain http": [
      [REMOTE, "credential: { kind: oauth2, token_endpoint: http://as.example/token }"],
      "credential.token_endpoint",
    ],
  };
  for (const [name, [keys, path]] of Object.entries(wrong)) {
    test(`refused: ${name}`, () => {
      const [fault = "none", ...more] = faults(...keys, TOOLS);
      assert.ok(fault.startsWith(`${path}:`), fault);
      assert.deepEqual(more, []);
    });
  }

  test("a looser sandbox is taken, and warned of", () => {
    for (const mode of ["degraded", "off"]) {
      const result = parseConfig(oneService(COMMAND, `sandbox: { mode: ${mode} }`, TOOLS), { path: PATH });
      assert.ok(result.ok);
      assert.deepEqual(
        result.warnings.map(({ path }) => path),
        ["services.api.sandbox.mode"],
      );
    }
  });
});

describe("an MCP server elsewhere", () => {
  test("its endpoint keeps the final slash", () => {
    const paths = [
      "https://mcp.example",
      "https://mcp.example/",
      "https://mcp.example/mcp",
      "https://mcp.example/mcp/",
    ];
    assert.deepEqual(
      paths.map((url) => {
        const { server } = load(`mcp: { url: ${url} }`, TOOLS);
        return server.transport === "http" ? server.url.origin + server.url.basePath : "";
      }),
      ["https://mcp.example/", "https://mcp.example/", "https://mcp.example/mcp", "https://mcp.example/mcp/"],
    );
  });

  test("takes a key as an API does, or OAuth", () => {
    for (const credential of [
      "credential: { kind: bearer, secret: local:k }",
      "credential: { kind: header, name: X-Api-Key, secret: local:k }",
      "credential: { kind: query, name: key, secret: local:k }",
      "credential: { kind: oauth2 }",
      "credential: { kind: oauth2, grant: client_credentials, client_id: me, secret: local:k, scopes: [a, b] }",
    ]) {
      assert.deepEqual(faults(REMOTE, credential, TOOLS), [], credential);
    }
    assert.deepEqual(load(REMOTE, "credential: { kind: oauth2 }", TOOLS).credential, {
      kind: "oauth2",
      secret: undefined,
      clientId: undefined,
      grant: "authorization_code",
      scopes: [],
      tokenEndpoint: undefined,
    });
  });

  test("a client's secret without the client it is of is warned of", () => {
    const warned = (credential: string) => {
      const result = parseConfig(oneService(REMOTE, credential, TOOLS), { path: PATH });
      assert.ok(result.ok);
      return result.warnings.map(({ path }) => path);
    };
    assert.deepEqual(warned("credential: { kind: oauth2, secret: local:k }"), ["services.api.credential.secret"]);
    assert.deepEqual(warned("credential: { kind: oauth2, client_id: me, secret: local:k }"), []);
    assert.deepEqual(warned("credential: { kind: oauth2 }"), []);
  });
});

describe("operations of MCP servers", () => {
  const operation = (text: string) => `operations: { o: { effect: read, ${text} } }`;

  test("`body` is another word for `arguments`", () => {
    const { operations } = load(COMMAND, operation("tools: [a], body: { x: { type: string } }"));
    const { body, arguments: args } = operations.get("o") ?? {};
    assert.deepEqual([body, args], [undefined, { x: { type: "string" } }]);
  });

  test("endpoints of the server's own have their own schemas", () => {
    const { operations } = load(COMMAND, operation('allow: ["POST /x"], body: { x: { type: string } }'));
    assert.deepEqual(operations.get("o")?.body, { x: { type: "string" } });
  });

  const wrong: Readonly<Record<string, readonly [string, string, string]>> = {
    "endpoints of a server elsewhere": [REMOTE, 'allow: ["GET /"]', "operations.o.allow"],
    "nothing at all": [COMMAND, "ranges: false", "operations.o"],
    "an empty list": [COMMAND, "tools: []", "operations.o.tools"],
    "an empty name": [COMMAND, "tools: ['']", "operations.o.tools[0]"],
    "a name with space around": [COMMAND, "tools: [' a']", "operations.o.tools[0]"],
    "both words for arguments": [COMMAND, "tools: [a], body: {}, arguments: {}", "operations.o.body"],
    "a schema that may mean either": [COMMAND, 'tools: [a], allow: ["GET /"], body: {}', "operations.o.body"],
    "arguments of resources": [COMMAND, "resources: [a], arguments: {}", "operations.o.arguments"],
    "a body of resources": [COMMAND, "resources: [a], body: {}", "operations.o.body"],
    "a query of tools": [COMMAND, "tools: [a], query: {}", "operations.o.query"],
    "a preview": [COMMAND, "tools: [a], approval: { preview: GET / }", "operations.o.approval.preview"],
    "tools of an API": ["url: https://a.example", 'allow: ["GET /"], tools: [a]', "operations.o.tools"],
    "arguments of an API": ["url: https://a.example", 'allow: ["GET /"], arguments: {}', "operations.o.arguments"],
    "an API without endpoints": ["url: https://a.example", "ranges: false", "operations.o.allow"],
  };
  for (const [name, [place, text, path]] of Object.entries(wrong)) {
    test(`refused: ${name}`, () => {
      const [fault = "none", ...more] = faults(place, operation(text));
      assert.ok(fault.startsWith(`${path}:`), fault);
      assert.deepEqual(more, []);
    });
  }
});

test("credentials go to the origins that the file names, and a private host may be plain", () => {
  const origins = (...keys: readonly string[]) => pairingsOf(load(...keys, TOOLS)).map(({ origin }) => origin);
  assert.deepEqual(origins(COMMAND, env("hosts: [a.example, 'a.example:8443', a.example]")), [
    "https://a.example",
    "https://a.example:8443",
  ]);
  assert.deepEqual(origins(COMMAND, "private: true", env("hosts: ['[::1]:8080', '127.0.0.1:80']")), [
    "https://[::1]:8080",
    "http://[::1]:8080",
    "https://127.0.0.1:80",
    "http://127.0.0.1",
  ]);
  assert.deepEqual(origins(REMOTE, "credential: { kind: bearer, secret: local:k }"), ["https://mcp.example"]);
  assert.deepEqual(origins(REMOTE, "credential: { kind: oauth2 }"), []);
  assert.deepEqual(
    origins(REMOTE, "credential: { kind: oauth2, secret: local:k, token_endpoint: https://as.example/token }"),
    ["https://mcp.example", "https://as.example"],
  );
});

test("no sandbox opens Doorward's home, what is in it or what holds it", () => {
  const opened = (path: string, access = "read") => {
    const result = parseConfig(oneService(COMMAND, `sandbox: { ${access}: [${path}] }`, TOOLS), { path: PATH });
    assert.ok(result.ok);
    const places = { home: "/home/me/.doorward", file: "/srv/rules/doorward.yaml" };
    return checkSandboxPaths(result.config, places).map(({ path: at }) => at.join("."));
  };
  for (const path of ["/srv/rules/doorward.yaml", "/srv/rules", "/srv"]) {
    assert.deepEqual(opened(path, "write"), ["services.api.sandbox.write.0"], path);
    assert.deepEqual(opened(path), [], path);
  }
  for (const path of ["/home/me/.doorward", "/home/me/.doorward/audit", "/home/me", "/home", "/home/me/x/.."]) {
    assert.deepEqual(opened(path), ["services.api.sandbox.read.0"], path);
  }
  for (const path of ["/home/me/.doorward-data", "/home/me/docs", "/srv", "/home/you"]) {
    assert.deepEqual(opened(path), [], path);
  }
});

test("law: a host that is read is one name and one port, and its origin reads back the same", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."aB1.:-[]*/@%#?\\ 0x"), maxLength: 16 }), (text) => {
      const result = parseHostPort(text);
      if (!result.ok) return;
      const { host, port } = result.value;
      assert.doesNotMatch(text, /[*/@%#?\\ ]/);
      const url = new URL(printOrigin("https:", { host, port }));
      assert.equal(url.hostname.replace(/^\[|\]$/g, ""), host);
      assert.equal(url.port === "" ? 443 : Number(url.port), port);
      assert.equal(url.pathname + url.search + url.hash + url.username, "/");
    }),
    { numRuns: 500 },
  );
});

test("law: npx runs one version of one package, or nothing", () => {
  const part = fc.constantFrom<string>(
    "-y",
    "--yes",
    "a@1.2.3",
    "@s/a@1.2.3",
    "a",
    "a@1",
    "a@latest",
    "-p@1.2.3",
    "-p",
    "x",
    "a@1.2.3 ",
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (args) => {
      const result = parseNpxArguments(args);
      if (!result.ok) return;
      const { name, version } = result.value;
      assert.match(version, /^\d+\.\d+\.\d+/);
      assert.doesNotMatch(name, /^-/);
      const spec = args.indexOf(`${name}@${version}`);
      assert.ok(args.slice(0, spec).every((arg) => arg === "-y" || arg === "--yes"));
      assert.deepEqual(result.value.args, args.slice(spec + 1));
    }),
  );
});
