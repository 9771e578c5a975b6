/** `doorward exec` with a real daemon: ordinary commands that never hold a key. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { issueCertificate, makeAuthority } from "../../src/egress/certificates.testing.ts";
import { DOORWARD, makeHome, startDaemon, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type RunOptions, run } from "../harness/run.testing.ts";
import { cannotRun } from "./live-sandbox.ts";

const KEY = "ghp_9fQ2mZx7LrT4vB8nKc3WdJ6sHy1PaE5uRtGo";
const HEAD = "1".repeat(40);
const ROOT = makeAuthority("test root");
const options = { skip: cannotRun };

let home: TestHome;
let daemon: TestDaemon;
let port: number;
const seen: { readonly url: string; readonly authorization: string | undefined }[] = [];

const upstream = createServer(issueCertificate(ROOT, "localhost"), (request, response) => {
  const { url = "", headers } = request;
  seen.push({ url, authorization: headers.authorization });
  request.resume();
  if (!url.includes("/info/refs")) {
    if (url === "/v1/never") return;
    response.end(JSON.stringify({ url, authorization: headers.authorization ?? null }));
    return;
  }
  const line = `${HEAD} HEAD\0agent=test\n`;
  response
    .writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" })
    .end(`001e# service=git-upload-pack\n0000${(line.length + 4).toString(16).padStart(4, "0")}${line}0000`);
});

before(async () => {
  if (cannotRun !== false) return;
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  port = (upstream.address() as AddressInfo).port;
  home = await makeHome({ secrets: { api: KEY, tool: KEY }, config: "version: 1\n" });
  mkdirSync(join(home.folder, "work"));
  writeFileSync(join(home.folder, "ca.pem"), ROOT.cert);
  home.writeConfig(`version: 1
services:
  api:
    url: https://localhost:${port}/v1
    private: true
    tls: { ca: file:${join(home.folder, "ca.pem")} }
    credential: { kind: basic, username: git, secret: "local:api" }
    operations: { read: { effect: read, allow: ["GET /{path...}"] } }
  tool:
    mcp: { command: /bin/true }
    private: true
    tls: { ca: file:${join(home.folder, "ca.pem")} }
    credential: { kind: env, name: TOKEN, secret: "local:tool", hosts: ["localhost:${port}"] }
    operations: { read: { effect: read, allow: ["GET /tool/{path...}"] } }
  closed:
    url: https://localhost:${port}/closed
    private: true
    operations: { read: { effect: read, allow: ["GET /{path...}"] } }
roles: { reader: { allow: ["api:read", "tool:read"] } }
agents: { bot: { roles: [reader] }, late: { roles: [reader], expires: 2020-01-01 } }
`);
  for (const agent of ["bot", "late"]) await home.json(["agent", "key", agent]);
  daemon = await startDaemon(home);
});

after(async () => {
  if (cannotRun !== false) return;
  await daemon.stop();
  upstream.closeAllConnections();
  upstream.close();
  home[Symbol.dispose]();
});

function exec(words: readonly string[], more: RunOptions = {}) {
  const args = [DOORWARD, "exec", "--home", home.home, "--agent", "bot", ...words];
  return run(process.execPath, args, { env: home.env, cwd: join(home.folder, "work"), ...more });
}

/** What the evidence holds of a type, in order. */
async function eventsOf(type: string) {
  const { stdout } = await home.cli(["audit", "search", "--type", type, "--json"]);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as { readonly [field: string]: unknown });
}

test(
  "a command has its input, outputs, folder and status, and neither the home nor the person's variables",
  options,
  async () => {
    const script = `cat; echo err >&2; touch made; ls -A "${home.folder}" "${home.home}" 2>&1; env; exit 7`;
    const env = { ...home.env, CANARY: "1" };
    const { status, stdout, stderr } = await exec(["--", "sh", "-c", script], { input: "in\n", env });
    assert.equal(status, 7);
    assert.equal(stderr, "err\n");
    assert.match(stdout, /^in\n/);
    assert.doesNotMatch(stdout, /CANARY|doorward\.yaml|kek|state\.db/);
    const { stdout: listed } = await run("ls", [join(home.folder, "work")]);
    assert.equal(listed, "made\n");
    const { stdout: refused } = await exec(["--read-only", "--", "sh", "-c", "touch more 2>&1; true"]);
    assert.match(refused, /Read-only/);
  },
);

test(
  "curl reaches the agent's service with the key that it never sees, whatever it sends itself",
  options,
  async () => {
    seen.length = 0;
    const url = `https://localhost:${port}/v1/a?x=1`;
    const { stdout, stderr, status } = await exec(["--", "curl", "-sS", "-H", "Authorization: Bearer mine", url]);
    assert.equal(status, 0, stderr);
    assert.equal(seen[0]?.authorization, `Basic ${Buffer.from(`git:${KEY}`).toString("base64")}`);
    assert.match(stdout, /redacted/);
    assert.ok(!stdout.includes(KEY));
    const [start] = (await eventsOf("exec.started")).toReversed();
    const [call] = (await eventsOf("call.decided")).toReversed();
    assert.equal(call?.["door"], "egress");
    assert.deepEqual(call?.["during"], [start?.["request_id"]]);
  },
);

test("git lists a repository over https", options, async () => {
  const remote = `https://localhost:${port}/v1/a/b.git`;
  const { stdout, stderr } = await exec(["--", "git", "-c", "protocol.version=0", "ls-remote", remote]);
  assert.equal(stdout, `${HEAD}\tHEAD\n`, stderr);
});

test("what no service of the agent's holds is refused, and said", options, async () => {
  const elsewhere = await exec(["--", "curl", "-sS", "https://elsewhere.test/"]);
  assert.equal(elsewhere.status, 56);
  assert.match(elsewhere.stderr, /no service that `bot` may use is at `https:\/\/elsewhere.test`/);
  const beside = await exec(["--", "curl", "-sS", `https://localhost:${port}/closed/a`]);
  assert.match(beside.stdout, /"code":"denied"/);
  const raw = await exec(["--", "sh", "-c", `curl -sS --noproxy '*' https://localhost:${port}/v1/a; exit 3`]);
  assert.equal(raw.status, 3);
  assert.match(raw.stderr, /Could not connect|Failed to connect|refused/i);
  const write = await exec(["--", "curl", "-sS", "-d", "{}", `https://localhost:${port}/v1/a`]);
  assert.match(write.stdout, /"code":"unknown_operation"/);
});

test("the key of an MCP server goes to its places alone, by a placeholder", options, async () => {
  seen.length = 0;
  const at = `https://localhost:${port}`;
  const ask = (path: string) => `curl -sS -H "Authorization: Bearer $TOKEN" ${at}${path}`;
  const { stdout, stderr } = await exec(["--env", "TOKEN=tool", "--", "sh", "-c", `echo $TOKEN; ${ask("/tool/a")}`]);
  assert.match(stdout, /^ghp_/, stderr);
  assert.ok(!stdout.includes(KEY));
  assert.equal(seen[0]?.authorization, `Bearer ${KEY}`);
  const { stdout: other } = await exec(["--env", "TOKEN=tool", "--", "sh", "-c", ask("/v1/a")]);
  assert.match(other, /another service's placeholder/);
  const { stdout: bare } = await exec(["--", "curl", "-sS", `${at}/tool/a`]);
  assert.match(bare, /"code":"denied"/);
});

test("who may not act is refused at the start, with status 3", options, async () => {
  const args = [DOORWARD, "exec", "--home", home.home, "--agent", "late", "--", "true"];
  const late = await run(process.execPath, args, { env: home.env, cwd: join(home.folder, "work") });
  assert.equal(late.status, 3);
  assert.match(late.stderr, /has expired/);
  const hidden = await exec(["--env", "X=closed", "--", "true"]);
  const absent = await exec(["--env", "X=absent", "--", "true"]);
  assert.equal(hidden.status, 3);
  assert.equal(hidden.stderr.replace("closed", "absent"), absent.stderr);
});

test("a folder that holds the home is not opened; without a sandbox it says so and records it", options, async () => {
  const wide = await exec(["--", "true"], { cwd: home.folder });
  assert.equal(wide.status, 2);
  const off = await exec(["--sandbox", "off", "--", "curl", "-sS", `https://localhost:${port}/v1/a`]);
  assert.equal(off.status, 0);
  assert.match(off.stderr, /sandbox mode `off`/);
  const [start] = (await eventsOf("exec.started")).toReversed();
  assert.equal(start?.["mode"], "off");
});

test("a kill ends the command, and a signal reaches it", options, async () => {
  const start = () => {
    const args = [DOORWARD, "exec", "--home", home.home, "--agent", "bot", "--"];
    const script = `trap 'exit 5' TERM; echo up; curl -sS https://localhost:${port}/v1/never & wait`;
    const child = spawn(process.execPath, [...args, "sh", "-c", script], {
      env: home.env,
      cwd: join(home.folder, "work"),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = { out: "", err: "" };
    child.stdout.on("data", (chunk: Buffer) => {
      said.out += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      said.err += chunk.toString();
    });
    const ended = once(child, "close").then(([status]) => status as number | null);
    return { child, said, ended };
  };
  const first = start();
  await until(
    () => first.said.out,
    (out) => out.includes("up"),
  );
  first.child.kill("SIGTERM");
  assert.equal(await first.ended, 5);

  seen.length = 0;
  const second = start();
  await until(
    () => seen.length,
    (count) => count > 0,
  );
  const kill = await home.json(["kill", "agent:bot", "--why", "test"]);
  assert.equal(kill["children_ended"], 1);
  assert.equal(await second.ended, 3);
  assert.match(second.said.err, /was stopped by/);
  const refused = await exec(["--", "true"]);
  assert.equal(refused.status, 3);
  await home.json(["resume", "agent:bot", "--why", "test"]);
});
