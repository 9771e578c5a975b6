import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, statSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { gzipSync } from "node:zlib";
import { operation, policy } from "../policy/policy.testing.ts";
import { KEY, openConnect, openRig, startUpstream, through } from "./egress-proxy.testing.ts";

test("a request to a declared host leaves with the key in the placeholder's place, and the answer is clean", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const answer = await through(rig.open, `https://api.test:${upstream.port}/user?a=1`, {
    headers: {
      authorization: `Bearer ${rig.placeholder}`,
      "x-github-api-version": "2022-11-28",
      cookie: "a=b",
      "x-forwarded-for": "10.0.0.1",
      "proxy-authorization": "Basic YTpi",
      "x-http-method-override": "DELETE",
    },
  });
  assert.equal(answer.status, 200);
  const [seen] = upstream.seen;
  assert.equal(seen?.headers.authorization, `Bearer ${KEY}`);
  assert.equal(seen?.headers["x-github-api-version"], "2022-11-28");
  assert.equal(seen?.url, "/user?a=1");
  for (const name of ["cookie", "x-forwarded-for", "proxy-authorization", "x-http-method-override"]) {
    assert.equal(seen?.headers[name], undefined, name);
  }
  assert.match(answer.body, /"hello":"\/user\?a=1"/);
  assert.ok(!JSON.stringify(answer).includes(KEY));
  assert.equal(answer.headers["x-echo"], "Bearer [redacted]");
  const [decided, completed] = rig.events;
  assert.equal(decided?.type, "call.decided");
  assert.equal(decided?.agent, "service:tool");
  assert.deepEqual(decided?.rules, ["service:tool"]);
  const { door, during, origin } = decided?.data ?? {};
  assert.deepEqual([door, during, origin], ["egress", ["req_tool_call"], `https://api.test:${upstream.port}`]);
  assert.equal(completed?.type, "call.completed");
  assert.deepEqual(rig.leases, [{ service: "tool", origin: `https://api.test:${upstream.port}` }]);
  assert.deepEqual(rig.faults, []);
});

test("a plain HTTP service that is private is served through a tunnel and by absolute url", async (t) => {
  const upstream = await startUpstream(t, "http:");
  const rig = await openRig(t, { hosts: [{ host: "127.0.0.1", port: upstream.port }] });
  const headers = { "x-api-key": rig.placeholder };
  const tunnelled = await through(rig.open, `http://127.0.0.1:${upstream.port}/a`, { headers });
  assert.equal(tunnelled.status, 200);
  const absolute = await rawAnswer(
    rig.open.socket,
    `GET http://127.0.0.1:${upstream.port}/b HTTP/1.1\r\nHost: 127.0.0.1:${upstream.port}\r\nX-Api-Key: ${rig.placeholder}\r\nConnection: close\r\n\r\n`,
  );
  assert.match(absolute, /^HTTP\/1\.1 200 /);
  assert.deepEqual(
    upstream.seen.map(({ url, headers: { "x-api-key": key } }) => [url, key]),
    [
      ["/a", KEY],
      ["/b", KEY],
    ],
  );
  assert.ok(!(tunnelled.body + absolute).includes(KEY));
});

test("by absolute url: the Host header must agree, and only http urls of declared hosts are served", async (t) => {
  const upstream = await startUpstream(t, "http:");
  const rig = await openRig(t, { hosts: [{ host: "127.0.0.1", port: upstream.port }] });
  const ask = (url: string, host: string) =>
    rawAnswer(rig.open.socket, `GET ${url} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const declared = `127.0.0.1:${upstream.port}`;
  assert.match(await ask(`http://${declared}/`, "evil.test"), /^HTTP\/1\.1 421 /);
  assert.match(await ask(`http://${declared}/`, `${declared}\r\nHost: evil.test`), /^HTTP\/1\.1 4/);
  assert.match(await ask("http://evil.test/", "evil.test"), /^HTTP\/1\.1 403 /);
  assert.match(await ask(`http://x@${declared}/`, declared), /^HTTP\/1\.1 400 /);
  assert.match(await ask(`https://${declared}/`, declared), /^HTTP\/1\.1 400 /);
  assert.match(await ask("/", declared), /^HTTP\/1\.1 400 /);
  assert.equal(upstream.seen.length, 0);
});

test("a tunnel to a public host carries no plain HTTP", async (t) => {
  const upstream = await startUpstream(t);
  const hosts = [{ host: "api.test", port: upstream.port }];
  const rig = await openRig(t, { hosts });
  const open = await rig.proxy.open({
    ...rig.session,
    route: (origin) => (origin.protocol === "https:" ? rig.session.route(origin) : undefined),
  });
  t.after(() => open.close());
  const socket = await openConnect(open.socket, `api.test:${upstream.port}`);
  socket.write(`GET / HTTP/1.1\r\nHost: api.test:${upstream.port}\r\n\r\n`);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  assert.equal(text, "");
  assert.equal(rig.events[0]?.code, "invalid_request");
});

test("an IPv6 host, a body and a packed body arrive", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const url = `https://api.test:${upstream.port}/x`;
  const json = { "content-type": "application/json" };
  const plain = await through(rig.open, url, { method: "POST", body: '{"a":1}', headers: json });
  const body = gzipSync('{"b":2}');
  const packed = await through(rig.open, url, {
    method: "POST",
    body,
    headers: { ...json, "content-encoding": "gzip" },
  });
  assert.deepEqual([plain.status, packed.status], [200, 200]);
  assert.deepEqual(
    upstream.seen.map(({ body: seen }) => seen),
    ['{"a":1}', '{"b":2}'],
  );
});

const UNDECLARED: Record<string, (port: number) => string> = {
  "another host": (port) => `other.test:${port}`,
  "another port": (port) => `api.test:${port + 1}`,
  "a subdomain": (port) => `x.api.test:${port}`,
  "a trailing label": (port) => `api.test.evil.test:${port}`,
  "the address itself": (port) => `127.0.0.1:${port}`,
  "the address in another notation": (port) => `2130706433:${port}`,
  "the address in IPv6": (port) => `[::ffff:127.0.0.1]:${port}`,
  "cloud metadata": () => "169.254.169.254:80",
  "no port": () => "api.test",
  "port zero": () => "api.test:0",
  "a port beyond": () => "api.test:65536",
  userinfo: (port) => `api.test@evil.test:${port}`,
  "a path": (port) => `api.test:${port}/x`,
  "a url": (port) => `https://api.test:${port}`,
  "two ports": (port) => `api.test:${port}:${port}`,
  "a fullwidth host": (port) => `api%2Etest:${port}`,
  nothing: () => "",
};

for (const [name, authority] of Object.entries(UNDECLARED)) {
  test(`a tunnel to ${name} is refused and recorded`, async (t) => {
    const upstream = await startUpstream(t);
    const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
    await assert.rejects(openConnect(rig.open.socket, authority(upstream.port)), /HTTP\/1\.1 40[03] /);
    assert.equal(upstream.seen.length, 0);
    if (name === "nothing") return;
    assert.equal(rig.events.length, 1);
    assert.equal(rig.events[0]?.decision, "deny");
    assert.equal(rig.events[0]?.agent, "service:tool");
    assert.deepEqual(rig.events[0]?.data?.["during"], ["req_tool_call"]);
  });
}

test("an undeclared host is denied with a rule and a remedy", async (t) => {
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: 443 }] });
  const refusal = await openConnect(rig.open.socket, "evil.test:443").then(String, (error: Error) => error.message);
  assert.match(refusal, /^HTTP\/1\.1 403 /);
  assert.match(refusal, /"code":"denied".*does not declare `https:\/\/evil\.test`.*"rule":"service:tool"/);
  assert.deepEqual(rig.events[0]?.rules, ["service:tool"]);
  assert.equal(rig.events[0]?.data?.["target"], "evil.test:443");
});

test("host names are compared without their case", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const socket = await openConnect(rig.open.socket, `API.Test:${upstream.port}`);
  socket.destroy();
});

test("tunnel, TLS and Host header must name one host", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const url = `https://api.test:${upstream.port}/`;
  for (const host of [
    "evil.test",
    `evil.test:${upstream.port}`,
    "api.test",
    "api.test:443",
    `api.test.:${upstream.port}0`,
    "",
  ]) {
    const answer = await through(rig.open, url, { host });
    assert.equal(answer.status, 421, host);
  }
  await assert.rejects(through(rig.open, url, { sni: "evil.test" }));
  assert.equal((await through(rig.open, url, { path: "https://api.test/x" })).status, 400);
  assert.equal((await through(rig.open, url, { path: "//evil.test/x" })).status, 400);
  assert.equal((await through(rig.open, url, { path: "*", method: "OPTIONS" })).status, 400);
  assert.equal(upstream.seen.length, 0);
  assert.ok(rig.events.every(({ decision }) => decision === "deny"));
  assert.equal(rig.events.length, 10);
});

test("a tunnel carries TLS or, to a private host, HTTP, and nothing else", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const authority = `api.test:${upstream.port}`;
  for (const bytes of ["SSH-2.0-x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\x08\x04\xd2\x16\x2f"]) {
    const socket = await openConnect(rig.open.socket, authority);
    socket.resume();
    socket.write(bytes, "latin1");
    await once(socket, "close");
  }
  const socket = await openConnect(rig.open.socket, authority);
  const h2 = connectTls({ socket, ca: rig.open.caPem, servername: "api.test", ALPNProtocols: ["h2"] });
  await assert.rejects(once(h2, "secureConnect"));
  const nested = await openConnect(rig.open.socket, authority);
  const inner = connectTls({ socket: nested, ca: rig.open.caPem, servername: "api.test" });
  inner.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  assert.match(String((await once(inner, "data"))[0]), /^HTTP\/1\.1 405 /);
  assert.equal(upstream.seen.length, 0);
});

test("no WebSocket, and the offer of another protocol is passed over", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const url = `https://api.test:${upstream.port}/`;
  const socket = await through(rig.open, url, { headers: { upgrade: "websocket", connection: "upgrade" } });
  assert.equal(socket.status, 400);
  const h2c = await through(rig.open, url, {
    headers: { upgrade: "h2c", connection: "upgrade", "http2-settings": "AAM" },
  });
  assert.equal(h2c.status, 200);
  assert.equal(upstream.seen.length, 1);
});

test("a redirect is the answer, and where it leads is refused", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const answer = await through(rig.open, `https://api.test:${upstream.port}/redirect`, {
    headers: { authorization: `token ${rig.placeholder}` },
  });
  assert.deepEqual([answer.status, answer.headers.location], [302, "https://elsewhere.test/x"]);
  await assert.rejects(openConnect(rig.open.socket, "elsewhere.test:443"), /403/);
});

test("a host of the sandbox's network is reached without the key, and the placeholder may not go there", async (t) => {
  const upstream = await startUpstream(t);
  const open = { host: "api.test", port: upstream.port };
  const rig = await openRig(t, { hosts: [{ host: "key.test", port: 443 }], network: [open] });
  const url = `https://api.test:${upstream.port}/`;
  assert.equal((await through(rig.open, url)).status, 200);
  const refused = await through(rig.open, url, { headers: { authorization: `Bearer ${rig.placeholder}` } });
  assert.equal(refused.status, 403);
  assert.match(refused.body, /"rule":"placeholder:tool"/);
  assert.deepEqual(
    upstream.seen.map(({ headers }) => headers["authorization"]),
    [undefined],
  );
  // Leased all the same, to look for it in the answer.
  assert.equal(rig.leases.length, 1);
});

test("the placeholder of another program is only text", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const other = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const url = `https://api.test:${upstream.port}/`;
  const answer = await through(rig.open, url, { headers: { "x-api-key": other.placeholder } });
  assert.equal(answer.status, 200);
  assert.equal(upstream.seen[0]?.headers["x-api-key"], other.placeholder);
});

test("the file, not the door, says where the key goes", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "key.test", port: 443 }] });
  // A door that lets everything through.
  const open = await rig.proxy.open({
    ...rig.session,
    route: () => ({ service: "tool", basePath: "", requestBytes: 1_000 }),
  });
  t.after(() => open.close());
  const answer = await through(open, `https://api.test:${upstream.port}/`, { headers: { "x-a": "1" } });
  assert.equal(answer.status, 403);
  assert.match(answer.body, /does not declare/);
  assert.equal(upstream.seen.length, 0);
});

test("where operations list endpoints, no other is reached; policies that forbid hold", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, {
    hosts: [{ host: "api.test", port: upstream.port }],
    operations: [
      operation("issues", { allow: ["GET /repos/{owner}/issues"] }),
      operation("close", { effect: "write", allow: ["POST /repos/{owner}/issues"] }),
    ],
    rules: { policies: [policy("no-writes", "forbid", { effects: ["write"] })] },
  });
  const base = `https://api.test:${upstream.port}`;
  const ask = async (method: string, path: string) => {
    const { status, body } = await through(rig.open, base + path, { method });
    return status === 200 ? 200 : (JSON.parse(body) as { code: string; rule?: string });
  };
  assert.equal(await ask("GET", "/repos/a/issues"), 200);
  assert.equal(((await ask("GET", "/repos/a/pulls")) as { code: string }).code, "unknown_operation");
  assert.deepEqual(((await ask("POST", "/repos/a/issues")) as { rule?: string }).rule, "policy:no-writes");
  assert.equal(upstream.seen.length, 1);
  assert.equal(rig.events.find(({ decision }) => decision === "permit")?.operation, "issues");
});

test("a kill of the service stops its server's requests", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const url = `https://api.test:${upstream.port}/`;
  assert.equal((await through(rig.open, url)).status, 200);
  rig.kill("service:tool");
  const answer = await through(rig.open, url, { headers: { "x-foo": rig.placeholder } });
  assert.match(answer.body, /"code":"killed"/);
  assert.equal(upstream.seen.length, 1);
});

test("a program's own Authorization does not leave where the key goes into a header, and does where it does not", async (t) => {
  const upstream = await startUpstream(t);
  const hosts = [{ host: "api.test", port: upstream.port }];
  const url = `https://api.test:${upstream.port}/`;
  const headers = { authorization: "Bearer an-account-of-somebody-else" };
  const inHeader = await openRig(t, { hosts });
  assert.equal((await through(inHeader.open, url, { headers })).status, 403);
  const inBody = await openRig(t, { hosts, place: "body" });
  assert.equal((await through(inBody.open, url, { headers })).status, 200);
  assert.equal(upstream.seen[0]?.headers.authorization, headers.authorization);
});

test("too large a body and too large a head are refused, and the next request is served", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }], requestBytes: 1_000 });
  const url = `https://api.test:${upstream.port}/`;
  assert.equal((await through(rig.open, url, { method: "POST", body: "x".repeat(2_000) })).status, 413);
  const bomb = gzipSync("x".repeat(500_000));
  assert.ok(bomb.length < 1_000);
  const packed = await through(rig.open, url, { method: "POST", body: bomb, headers: { "content-encoding": "gzip" } });
  assert.equal(packed.status, 413);
  assert.match(packed.body, /unpacked/);
  assert.equal((await through(rig.open, url, { headers: { "x-a": "x".repeat(40_000) } })).status, 400);
  assert.equal((await through(rig.open, url)).status, 200);
  assert.equal(upstream.seen.length, 1);
});

test("a program that opens connections without end keeps its own door shut, and no other's", async (t) => {
  const upstream = await startUpstream(t);
  const hosts = [{ host: "api.test", port: upstream.port }];
  const rig = await openRig(t, { hosts });
  const other = await openRig(t, { hosts });
  const sockets = Array.from({ length: 80 }, () => connectSocket(rig.open.socket));
  const dropped = sockets.slice(64).map((socket) => once(socket.on("error", () => {}).resume(), "close"));
  await Promise.all(dropped);
  const url = `https://api.test:${upstream.port}/`;
  assert.equal((await through(other.open, url)).status, 200);
  await Promise.all(sockets.slice(0, 64).map((socket) => once(socket.resume().end(), "close")));
  assert.equal((await through(rig.open, url)).status, 200);
});

test("a program that goes away ends its call, and the evidence says so", async (t) => {
  const upstream = await startUpstream(t, "https:", () => {});
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  const answer = through(rig.open, `https://api.test:${upstream.port}/`);
  answer.catch(() => {});
  while (upstream.seen.length === 0) await new Promise(setImmediate);
  await rig.open.close();
  await assert.rejects(answer);
  while (rig.active.size > 0) await new Promise(setImmediate);
  assert.equal(rig.events.find(({ type }) => type === "call.completed")?.code, "client_closed");
});

test("the socket is the owner's alone, and closing takes it and all connections away", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  assert.equal(statSync(rig.folder).mode & 0o777, 0o700);
  assert.equal(statSync(rig.open.socket).mode & 0o777, 0o600);
  const idle = connectSocket(rig.open.socket);
  const tunnel = await openConnect(rig.open.socket, `api.test:${upstream.port}`);
  idle.resume();
  tunnel.resume();
  await Promise.all([once(idle, "close"), once(tunnel, "close"), rig.open.close()]);
  assert.equal(existsSync(rig.open.socket), false);
  assert.deepEqual(readdirSync(rig.folder), []);
});

test("a program that asks in a loop for what is refused is answered each time, and does not fill the evidence", async (t) => {
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: 443 }] });
  const again = await rig.proxy.open(rig.session);
  t.after(() => again.close());
  for (const { socket } of [rig.open, again])
    for (let time = 0; time < 20; time++) await assert.rejects(openConnect(socket, "evil.test:443"), /HTTP\/1\.1 403 /);
  assert.equal(rig.events.length, 30);
  await again.close();
  assert.equal(rig.events.length, 31);
  assert.equal(rig.events[30]?.data?.["count"], 10);
  assert.equal(rig.events[30]?.service, "tool");
});

test("where the refusal cannot be recorded, it says so, and nothing is sent", async (t) => {
  const upstream = await startUpstream(t);
  const rig = await openRig(t, { hosts: [{ host: "api.test", port: upstream.port }] });
  rig.fail("append:call.decided");
  await assert.rejects(openConnect(rig.open.socket, "evil.test:443"), /HTTP\/1\.1 503 .*audit_unavailable/s);
  assert.equal((await through(rig.open, `https://api.test:${upstream.port}/`)).status, 503);
  assert.equal(upstream.seen.length, 0);
});

/** What a connection answers to these bytes, until it ends. */
async function rawAnswer(path: string, bytes: string): Promise<string> {
  const socket = connectSocket(path);
  socket.write(bytes);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return text;
}
