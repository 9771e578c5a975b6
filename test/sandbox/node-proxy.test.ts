/** However a Node program makes a request, it goes to the egress proxy. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cannotRun, endOf, folders, sandbox, specOf } from "./live-sandbox.ts";

const socket = join(folders.base, "node-proxy.sock");
const modules = join(folders.read, "node_modules");
const UNDICI = dirname(fileURLToPath(import.meta.resolve("undici/package.json")));
/** Sends, and takes the refusal. */
const CASES = {
  "fetch is called": "await fetch('http://one.test/').catch(() => {});",
  "fetch is called over TLS": "await fetch('https://one.test/').catch(() => {});",
  "an answer is made before": "new Response(); await fetch('http://one.test/').catch(() => {});",
  "fetch is taken from a program's patch":
    "const f = fetch; globalThis.fetch = (...a) => f(...a); await fetch('http://one.test/').catch(() => {});",
  "http's own WebSocket is looked at before":
    "require('node:http').WebSocket; await 0; await fetch('http://one.test/').catch(() => {});",
  "http gets":
    "await new Promise((done) => require('node:http').get('http://one.test/').on('response', done).on('error', done));",
  "https gets": "await new Promise((done) => require('node:https').get('https://one.test/').on('error', done));",
  "a WebSocket is opened": "await new Promise((done) => { new WebSocket('ws://one.test/').onerror = done; });",
  "undici of the program's own requests": "await require('undici').request('http://one.test/').catch(() => {});",
  "undici of the program's own fetches": "await require('undici').fetch('http://one.test/').catch(() => {});",
  "a worker fetches":
    "await new Promise((done) => new (require('node:worker_threads').Worker)(`fetch('http://one.test/').catch(() => {})`, { eval: true }).on('exit', done));",
  "a program that it starts fetches":
    "require('node:child_process').execFileSync('node', ['-e', `fetch('http://one.test/').catch(() => {})`]);",
} as const;

/** How a program comes to its Node. */
const FORMS = {
  words: (code: string) => ["-e", code],
  "a script": (code: string) => [write("program.cjs", code)],
  "a module": (code: string) => [
    write(
      "program.mjs",
      `import { createRequire } from "node:module";
    const require = createRequire(import.meta.url); ${code}`,
    ),
  ],
} as const;
const forms = Object.keys(FORMS) as (keyof typeof FORMS)[];

describe("a Node program's request reaches the proxy when", { skip: cannotRun }, () => {
  let server: Server;
  let asked: string[] = [];
  before(async () => {
    mkdirSync(modules, { recursive: true });
    cpSync(UNDICI, join(modules, "undici"), { recursive: true });
    server = createServer((peer) => {
      peer.on("error", () => {});
      peer.once("data", (chunk) => {
        asked.push(chunk.toString("latin1").split("\r\n")[0] ?? "");
        peer.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      });
    });
    await new Promise<void>((resolve) => void server.listen(socket, resolve));
  });
  after(() => {
    server.close();
    rmSync(socket, { force: true });
    rmSync(modules, { recursive: true });
  });

  const run = async (code: string, form: keyof typeof FORMS = "a script") => {
    asked = [];
    const args = FORMS[form](`(async () => { ${code} })()`);
    const config = { read: [folders.read], memoryBytes: 2 ** 31, processes: 48 };
    return endOf(await sandbox.start(specOf(["node", ...args], { cwd: folders.read, proxySocket: socket, config })));
  };

  const cases = Object.entries(CASES).flatMap(([name, code]) => forms.map((form) => ({ name, code, form })));
  for (const { name, code, form } of cases) {
    test(`${name}, in ${form}`, async () => {
      const { err } = await run(code, form);
      assert.match(asked.join(), /^(CONNECT one\.test:\d+|GET http:\/\/one\.test\/) HTTP\/1\.1$/, err);
    });
  }

  test("it names a dispatcher of its own, but for what that one does", async () => {
    const own = "{ dispatch() { console.log('own'); throw new Error('no'); } }";
    const { out } = await run(
      `require('undici').setGlobalDispatcher(${own}); await require('undici').fetch('http://one.test/').catch(() => {});`,
    );
    assert.equal(out, "own\n");
    assert.deepEqual(asked, []);
  });

  test("it looks at the dispatcher, and names its own then", async () => {
    const { out } = await run(
      `const { getGlobalDispatcher, setGlobalDispatcher } = require('undici'); const former = getGlobalDispatcher();
      setGlobalDispatcher({ dispatch(...all) { console.log('own'); return former.dispatch(...all); } });
      for (const path of 'ab') await require('undici').request('http://one.test/' + path).catch(() => {});`,
    );
    assert.equal(out, "own\nown\n");
    assert.match(asked.join(), /^CONNECT one\.test:80 HTTP\/1\.1,CONNECT one\.test:80 HTTP\/1\.1$/);
  });

  test("its variables are read, and hold nothing else", async () => {
    const { out } = await run("console.log(Object.keys(process.env).filter((n) => /proxy/i.test(n)).sort().join())");
    assert.equal(out, "HTTPS_PROXY,HTTP_PROXY,NODE_USE_ENV_PROXY,http_proxy,https_proxy\n");
  });
});

function write(name: string, code: string): string {
  const file = join(folders.read, name);
  writeFileSync(file, code);
  return file;
}
