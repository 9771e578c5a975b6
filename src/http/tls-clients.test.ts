import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as tlsConnect } from "node:tls";
import {
  type ClientTestCertificate,
  inDays,
  issueCertificate,
  issueClientCertificate,
  makeAuthority,
  makeCrl,
  type TestCertificate,
} from "../egress/certificates.testing.ts";
import { listenTcp } from "./listen.ts";
import type { TlsMaterial } from "./tls-files.ts";

const authority = makeAuthority("server authority");
const clients = makeAuthority("client authority");
const foreign = makeAuthority("client authority");
const own = issueCertificate(authority, "localhost");
const bot = issueClientCertificate(clients, "bot", { uris: ["spiffe://acme.example/bot"] });
const base: TlsMaterial = { ...own, clientCa: clients.cert, clientCrl: undefined };

/** A TLS listener that answers with the URIs of the client's certificate, and what it was told of failures. */
async function listen(t: TestContext, tls: TlsMaterial = base) {
  const told: string[] = [];
  let waiting = Promise.resolve();
  let seen = () => {};
  const listener = await listenTcp(
    (request, response) => {
      seen();
      const answer = () => response.end(JSON.stringify(listener.certificateOf(request.socket)?.uris ?? "none"));
      void waiting.then(answer);
    },
    { host: "127.0.0.1", port: 0, tls, broken: ({ message }) => void told.push(message) },
  );
  t.after(async () => {
    listener.server.closeAllConnections();
    await listener.close();
  });
  const port = Number(new URL(listener.address).port);
  /** Answers wait until they are released. */
  const hold = () => {
    const gate = Promise.withResolvers<void>();
    waiting = gate.promise;
    const held = new Promise<void>((resolve) => {
      seen = resolve;
    });
    return { held, release: gate.resolve };
  };
  return { listener, told, port, hold };
}

function ask(port: number, client?: TestCertificate, agent?: Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { host: "127.0.0.1", port, servername: "localhost", ca: authority.cert, agent: agent ?? false };
  const request = httpsRequest(
    { ...options, ...(client === undefined ? {} : { cert: client.cert, key: client.key }) },
    (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    },
  );
  request.on("error", reject).end();
  return promise;
}

test("a client with a certificate of ours is known by it, one without is let through to show a key", async (t) => {
  const { port, told } = await listen(t);
  assert.equal(await ask(port, bot), '["spiffe://acme.example/bot"]');
  assert.equal(await ask(port), '"none"');
  assert.deepEqual(told, []);
});

test("without a client authority no certificate is asked for", async (t) => {
  const { port } = await listen(t, { ...base, clientCa: undefined });
  assert.equal(await ask(port, bot), '"none"');
});

const refusedClients: Readonly<Record<string, readonly [ClientTestCertificate | TestCertificate, RegExp]>> = {
  "of a foreign authority of the same name": [issueClientCertificate(foreign, "bot"), /CERT_SIGNATURE_FAILURE/],
  "of an unknown authority": [issueClientCertificate(authority, "bot"), /UNABLE_TO|SELF_SIGNED_CERT_IN_CHAIN/],
  "that has expired": [issueClientCertificate(clients, "bot", { expires: inDays(-1) }), /CERT_HAS_EXPIRED/],
  "that is not valid yet": [issueClientCertificate(clients, "bot", { from: inDays(1) }), /CERT_NOT_YET_VALID/],
  "that is a server's": [issueClientCertificate(clients, "bot", { usage: "server" }), /INVALID_PURPOSE/],
};

for (const [what, [certificate, reason]] of Object.entries(refusedClients)) {
  test(`a certificate ${what} ends the connection, and is told`, async (t) => {
    const { port, told } = await listen(t);
    await assert.rejects(ask(port, certificate), /ECONNRESET|socket hang up/);
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", reason);
    assert.equal(await ask(port, bot), '["spiffe://acme.example/bot"]');
  });
}

test("a revoked certificate is refused, and an expired list lets nobody in", async (t) => {
  const revoked = issueClientCertificate(clients, "bot", { uris: ["spiffe://acme.example/bot"] });
  const { port, told, listener } = await listen(t, { ...base, clientCrl: makeCrl(clients, [revoked.serial]) });
  assert.equal(await ask(port, bot), '["spiffe://acme.example/bot"]');
  await assert.rejects(ask(port, revoked));
  assert.match(told[0] ?? "", /CERT_REVOKED/);
  listener.renewTls({ ...base, clientCrl: makeCrl(clients, [], inDays(-1)) });
  await assert.rejects(ask(port, bot));
  assert.match(told[1] ?? "", /CRL_HAS_EXPIRED/);
  assert.equal(await ask(port), '"none"');
});

test("a connection that is open when a certificate is taken back has no next request", async (t) => {
  const { port, listener } = await listen(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal(await ask(port, bot, agent), '["spiffe://acme.example/bot"]');
  listener.renewTls({ ...base, clientCrl: makeCrl(clients, [bot.serial]) });
  await assert.rejects(ask(port, bot, agent));
  await assert.rejects(ask(port, bot, agent));
});

test("a connection with an answer under way keeps that one, and has no next request", async (t) => {
  const { port, listener, hold } = await listen(t);
  const { held, release } = hold();
  const socket = tlsConnect({ host: "127.0.0.1", port, ca: authority.cert, servername: "localhost", ...bot });
  await once(socket, "secureConnect");
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (text.endsWith(']"') || text.endsWith('"]')) socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  });
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await held;
  listener.renewTls(base);
  release();
  await once(socket, "close");
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 1);
});

test("material that does not hold is refused, and the old one stays", async (t) => {
  const { port, listener } = await listen(t);
  assert.throws(() => listener.renewTls({ ...base, cert: "no certificate" }));
  assert.equal(await ask(port, bot), '["spiffe://acme.example/bot"]');
});

test("no session is resumed, so that each connection's certificate is verified", async (t) => {
  const { port } = await listen(t);
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const options = { host: "127.0.0.1", port, ca: authority.cert, servername: "localhost", maxVersion, ...bot };
    const first = tlsConnect(options);
    let session: Buffer | undefined;
    first.on("session", (offered: Buffer) => {
      session = offered;
    });
    await once(first, "secureConnect");
    first.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await once(first.resume(), "close");
    const second = tlsConnect({ ...options, session: session ?? first.getSession() });
    await once(second, "secureConnect");
    const resumed = second.isSessionReused();
    second.destroy();
    assert.equal(resumed, false, maxVersion);
  }
});

test("what is no TLS is told once", async (t) => {
  const { port, told } = await listen(t);
  const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  socket.on("error", () => {});
  await once(socket.resume(), "close");
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /the TLS handshake failed \(ERR_SSL_/);
});
