/** Ordinary programs behind the egress proxy, with nothing but the variables that a sandbox sets. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { bridge, KEY, openRig, type Seen, startUpstream } from "../../src/sandbox/egress-proxy.testing.ts";

/** Runs a program with the environment of a sandbox. @returns Its output; with `missing` where it is not installed. */
function run(command: string, args: readonly string[], env: Record<string, string>) {
  return new Promise<{ stdout: string; stderr: string; code: number | string }>((resolve) => {
    const options = { env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...env }, timeout: 20_000 };
    execFile(command, args, options, (error, stdout, stderr) => resolve({ stdout, stderr, code: error?.code ?? 0 }));
  });
}

/** A program's way out, as it sees it. */
async function openProgram(t: TestContext, answer?: (seen: Seen, response: ServerResponse) => void) {
  const upstream = await startUpstream(t, "https:", answer);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const proxy = `http://127.0.0.1:${await bridge(t, rig.open.socket)}`;
  const ca = join(rig.folder, "ca.pem");
  writeFileSync(ca, rig.open.caPem);
  const env = {
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    http_proxy: proxy,
    SSL_CERT_FILE: ca,
    CURL_CA_BUNDLE: ca,
    REQUESTS_CA_BUNDLE: ca,
    GIT_SSL_CAINFO: ca,
    NODE_EXTRA_CA_CERTS: ca,
    NODE_USE_ENV_PROXY: "1",
    TOKEN: rig.placeholder,
  };
  return { upstream, rig, env, url: `https://api.test:${upstream.port}` };
}

test("curl sends the key and sees the placeholder", async (t) => {
  const { upstream, env, url, rig } = await openProgram(t);
  const args = [
    "-sSi",
    "-H",
    `Authorization: Bearer ${rig.placeholder}`,
    "-d",
    '{"a":1}',
    "-H",
    "Content-Type: application/json",
  ];
  const { stdout, stderr, code } = await run("curl", [...args, `${url}/a`], env);
  if (code === "ENOENT") return t.skip("no curl");
  assert.equal(code, 0, stderr);
  assert.equal(upstream.seen[0]?.headers.authorization, `Bearer ${KEY}`);
  assert.equal(upstream.seen[0]?.body, '{"a":1}');
  assert.ok(!stdout.includes(KEY));
  const refused = await run("curl", ["-sS", "https://elsewhere.test/"], env);
  assert.equal(refused.code, 56);
  assert.match(refused.stderr, /403/);
});

test("node's fetch and https module go through it", async (t) => {
  const { upstream, env, url } = await openProgram(t);
  const script = `
    const headers = { authorization: "Bearer " + process.env.TOKEN };
    const answer = await fetch("${url}/fetch", { headers });
    console.log(answer.status, (await answer.text()).length > 0);
    const { get } = await import("node:https");
    await new Promise((done) => get("${url}/https", { headers }, (r) => { console.log(r.statusCode); r.resume(); r.on("end", done); }));
    await fetch("https://elsewhere.test/").catch((error) => console.log("refused"));`;
  const { stdout, stderr } = await run(process.execPath, ["--input-type=module", "-e", script], env);
  assert.equal(stdout, "200 true\n200\nrefused\n", stderr);
  assert.deepEqual(
    upstream.seen.map(({ headers }) => headers.authorization),
    [`Bearer ${KEY}`, `Bearer ${KEY}`],
  );
});

test("python's urllib verifies the certificate", async (t) => {
  const { env, url, upstream } = await openProgram(t);
  const script = `
import os, ssl, urllib.request
context = ssl.create_default_context()
context.verify_flags |= ssl.VERIFY_X509_STRICT
request = urllib.request.Request("${url}/py", headers={"X-Api-Key": os.environ["TOKEN"]})
print(urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({"https": os.environ["https_proxy"]})).open(request).status)`;
  const { stdout, stderr, code } = await run("python3", ["-c", script], env);
  if (code === "ENOENT") return t.skip("no python3");
  assert.equal(stdout, "200\n", stderr);
  assert.equal(upstream.seen[0]?.headers["x-api-key"], KEY);
});

test("git answers the challenge of a host with the placeholder", async (t) => {
  const refs = "001e# service=git-upload-pack\n0000";
  const line = `${"1".repeat(40)} HEAD\0agent=test\n`;
  const advertised = `${refs}${(line.length + 4).toString(16).padStart(4, "0")}${line}0000`;
  const { env, upstream, rig } = await openProgram(t, ({ headers }, response) => {
    const expected = `Basic ${Buffer.from(`x-access-token:${KEY}`).toString("base64")}`;
    if (headers.authorization !== expected) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="test"' }).end();
      return;
    }
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" }).end(advertised);
  });
  const remote = `https://x-access-token:${rig.placeholder}@api.test:${upstream.port}/a/b.git`;
  const git = ["-c", "protocol.version=0", "ls-remote", remote];
  const { stdout, stderr, code } = await run("git", git, {
    ...env,
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_NOSYSTEM: "1",
  });
  if (code === "ENOENT") return t.skip("no git");
  assert.equal(stdout, `${"1".repeat(40)}\tHEAD\n`, stderr);
  assert.deepEqual(
    rig.events.filter(({ type }) => type === "call.completed").map(({ data }) => data?.["status"]),
    [401, 200],
  );
});
