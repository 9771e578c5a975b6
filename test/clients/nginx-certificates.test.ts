/** Client certificates that nginx verifies and names in a header, as docs/behind-a-proxy.md sets it up. */
import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import { after, before, describe, test } from "node:test";
import {
  issueCertificate,
  issueClientCertificate,
  makeAuthority,
  type TestCertificate,
} from "../../src/egress/certificates.testing.ts";
import { makeHome, startDaemon, until } from "../harness/daemon.testing.ts";
import { replyJson, startDouble } from "../harness/double.testing.ts";
import { makeMutualTls } from "../harness/mutual-tls.testing.ts";
import { findNginx, startNginx, type TestNginx } from "../harness/nginx.testing.ts";

const BOT = "spiffe://acme.example/agents/bot";
const { servers, clients, bot, dial } = makeMutualTls(BOT);
const NGINX = await findNginx();

const CONFIG = `version: 1
server: { trusted_proxies: ["127.0.0.0/8"], client_certificate_header: X-Client-Cert }
services:
  shop: { url: UPSTREAM, private: true, operations: { read: { effect: read, allow: [GET /items] } } }
roles: { clerk: { allow: ["shop:*"] } }
agents: { bot: { roles: [clerk], certificates: ["${BOT}"] } }
`;

describe("nginx names the client certificate", { skip: NGINX === undefined ? "nginx is not installed" : false }, () => {
  const stack = new AsyncDisposableStack();
  let port = 0;
  before(async () => {
    const double = stack.use(await startDouble((_, response) => replyJson(response, 200, { ok: true })));
    const home = stack.use(await makeHome({ config: CONFIG.replace("UPSTREAM", double.url) }));
    const daemon = stack.use(await startDaemon(home));
    port = stack.use(await startVerifyingNginx(daemon.url)).port;
    await until(
      () => call().catch(() => undefined),
      (answer) => answer !== undefined,
    );
  });
  after(() => stack.disposeAsync());

  function call(certificate?: TestCertificate, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const options = { ...dial(port, certificate), agent: false, headers };
    const request = httpsRequest({ ...options, path: "/api/shop/items" }, (response) => {
      response.resume();
      resolve(`${response.statusCode} ${response.headers["doorward-error"] ?? ""}`.trim());
    });
    request.on("error", reject).end();
    return promise;
  }

  test("with a certificate the agent is known; without one nobody is, whatever the client writes in the header", async () => {
    assert.equal(await call(bot), "200");
    assert.equal(await call(), "401 invalid_token");
    assert.equal(await call(undefined, { "X-Client-Cert": encodeURIComponent(bot.cert) }), "401 invalid_token");
    const other = issueClientCertificate(clients, "other", { uris: ["spiffe://acme.example/other"] });
    assert.equal(await call(other, { "X-Client-Cert": encodeURIComponent(bot.cert) }), "401 invalid_token");
    const foreign = issueClientCertificate(makeAuthority("client authority"), "bot", { uris: [BOT] });
    assert.equal(await call(foreign), "400", "nginx itself refuses it");
  });
});

/** nginx that asks clients for a certificate, and names it to the daemon. */
function startVerifyingNginx(daemon: string): Promise<TestNginx> {
  const server = issueCertificate(servers, "localhost");
  const files = { "cert.pem": server.cert, "key.pem": server.key, "clients.pem": clients.cert };
  return startNginx(
    NGINX!,
    ({ folder, port }) => `
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
    ssl_client_certificate ${folder}/clients.pem; ssl_verify_client optional;
    location / { proxy_pass ${daemon}; proxy_set_header X-Client-Cert $ssl_client_escaped_cert; }
  }`,
    files,
  );
}
