import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { answer, rawUpstream, requestTo, run, testEgress } from "./egress.testing.ts";
import { resolvePinned } from "./resolve-pinned.ts";

const PUBLIC = "93.184.215.14";

/** A resolver with one answer after another, the last one for ever. */
function answering(...answers: readonly string[][]) {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1] ?? [];
  };
  return { resolve, asked };
}

const refusals: Record<string, { private: boolean; answers: string[] }> = {
  "a public service on a private address": { private: false, answers: ["10.0.0.1"] },
  "a public service on loopback": { private: false, answers: ["127.0.0.1"] },
  "a public service on loopback, mapped": { private: false, answers: ["::ffff:127.0.0.1"] },
  "a private service on a public address": { private: true, answers: [PUBLIC] },
  "a private service on the metadata address": { private: true, answers: ["169.254.169.254"] },
  "a private service on a link-local address": { private: true, answers: ["fe80::1"] },
  "a private service on an interface": { private: true, answers: ["::1%lo"] },
  "a public service behind NAT64": { private: false, answers: ["64:ff9b::5db8:d70e"] },
  "a public service with one private address among public ones": {
    private: false,
    answers: [PUBLIC, "1.1.1.1", "10.0.0.1"],
  },
  "a private service with one public address among private ones": { private: true, answers: ["10.0.0.1", PUBLIC] },
  "nonsense of a resolver": { private: true, answers: ["localhost"] },
};

for (const [name, { private: isPrivate, answers }] of Object.entries(refusals)) {
  test(`${name} is refused before anything is dialled`, async (t) => {
    const egress = testEgress(t, { resolve: async () => answers });
    const target = { origin: "https://things.example", private: isPrivate, ca: undefined };
    const { problem } = await run(egress, requestTo("", { target }));
    assert.equal(problem?.code, "upstream_forbidden_address");
    assert.ok(!problem?.message.includes(answers.at(-1)!), "the address is for the audit alone");
  });
}

test("a literal address is judged like a resolved one, and nobody is asked about it", async (t) => {
  const { resolve, asked } = answering([PUBLIC]);
  const egress = testEgress(t, { resolve });
  for (const host of [
    "127.0.0.1",
    "[::1]",
    "10.0.0.1",
    "[::ffff:127.0.0.1]",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "0.0.0.0",
  ]) {
    const target = { origin: `https://${host}`, private: false, ca: undefined };
    assert.equal((await run(egress, requestTo("", { target }))).problem?.code, "upstream_forbidden_address", host);
  }
  assert.deepEqual(asked, []);
});

test("odd notations of an address are judged as what they are", async (t) => {
  const egress = testEgress(t);
  for (const host of ["0x7f.1", "2130706433", "017700000001", "127.1", "0"]) {
    const target = { origin: `https://${host}`, private: false, ca: undefined };
    assert.equal((await run(egress, requestTo("", { target }))).problem?.code, "upstream_forbidden_address", host);
  }
});

test("a name is asked for once for each connection, and what was judged is what is dialled", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.end(answer("x", ["connection: close"])));
  const { resolve, asked } = answering(["127.0.0.1"], ["169.254.169.254"]);
  const egress = testEgress(t, { resolve });
  const request = requestTo(upstream.origin.replace("127.0.0.1", "rebinding.example"));
  assert.equal((await run(egress, request)).body.toString(), "x");
  assert.deepEqual(asked, ["rebinding.example"]);
  assert.equal((await run(egress, request)).problem?.code, "upstream_forbidden_address");
  assert.deepEqual(asked, ["rebinding.example", "rebinding.example"]);
  assert.equal(upstream.requests.length, 1);
});

test("of several addresses one that answers is enough", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const egress = testEgress(t, { resolve: async () => ["127.0.0.2", "::1", "127.0.0.1"] });
  const outcome = await run(egress, requestTo(upstream.origin.replace("127.0.0.1", "things.example")));
  assert.equal(outcome.body.toString(), "x");
});

test("a private service on an allowed address works over IPv6 too", async (t) => {
  const server = createServer((socket) => socket.on("data", () => socket.write(answer("six"))).on("error", () => {}));
  server.listen(0, "::1");
  const listening = await Promise.race([
    once(server, "listening").then(() => true),
    once(server, "error").then(() => false),
  ]);
  if (!listening) return t.skip("this machine has no IPv6");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  assert.equal((await run(testEgress(t), requestTo(`http://[::1]:${port}`))).body.toString(), "six");
});

test("a name without an address, a resolver that fails, and one that never answers", async () => {
  const cases: Record<string, () => Promise<string[]>> = {
    "dns: 0 addresses": async () => [],
    "dns: 65 addresses": async () => new Array<string>(65).fill("127.0.0.1"),
    "dns: ENOTFOUND": async () => {
      throw Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" });
    },
    "dns: no answer in time": () => new Promise(() => {}),
  };
  for (const [reason, resolve] of Object.entries(cases)) {
    await assert.rejects(resolvePinned("things.example", { private: true, resolve, timeoutMs: 10 }), {
      code: "upstream_unreachable",
      reason,
    });
  }
});

test("a port that refuses, and one that never answers a handshake", async (t) => {
  const upstream = await rawUpstream(t, () => {});
  const egress = testEgress(t, { connectTimeoutMs: 30 });
  const target = { origin: upstream.origin.replace("http:", "https:"), private: true, ca: undefined };
  const silent = await run(egress, requestTo("", { target }));
  assert.deepEqual([silent.problem?.code, silent.problem?.reason], ["upstream_unreachable", "no connection in time"]);
  upstream.server.close();
  for (const socket of upstream.sockets) socket.destroy();
  await once(upstream.server, "close");
  const refused = await run(egress, requestTo(upstream.origin));
  assert.deepEqual([refused.problem?.code, refused.problem?.reason], ["upstream_unreachable", "connect: ECONNREFUSED"]);
});

test("a failed connection is not the end: the next call tries again", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const { resolve } = answering([], ["10.0.0.1", PUBLIC], ["127.0.0.1"]);
  const egress = testEgress(t, { resolve });
  const request = requestTo(upstream.origin.replace("127.0.0.1", "things.example"));
  assert.equal((await run(egress, request)).problem?.code, "upstream_unreachable");
  assert.equal((await run(egress, request)).problem?.code, "upstream_forbidden_address");
  assert.equal((await run(egress, request)).body.toString(), "x");
});

test("no proxy variable of the environment is heeded", async (t) => {
  const proxy = await rawUpstream(t, ({ socket }) => socket.write(answer("proxied")));
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("direct")));
  for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "NODE_USE_ENV_PROXY"]) {
    process.env[name] = name.startsWith("NODE") ? "1" : proxy.origin;
    t.after(() => delete process.env[name]);
  }
  assert.equal((await run(testEgress(t), requestTo(upstream.origin))).body.toString(), "direct");
});
