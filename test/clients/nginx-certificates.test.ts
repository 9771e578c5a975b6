/** Client certificates that nginx verifies and names in a header, as docs/behind-a-proxy.md sets it up. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  issueCertificate,
  issueClientCertificate,
  makeAuthority,
  type TestCertificate,
} from "../../src/egress/certificates.testing.ts";
import { makeHome, startDaemon, until } from "../harness/daemon.testing.ts";
import { replyJson, startDouble } from "../harness/double.testing.ts";
import { plainEnvironment, run } from "../harness/run.testing.ts";

const servers = makeAuthority("server authority");
const clients = makeAuthority("client authority");
const BOT = "spiffe://acme.example/agents/bot";
const bot = issueClientCertificate(clients, "bot", { uris: [BOT] });
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
    port = await startNginx(stack, daemon.url);
    await until(
      () => call().catch(() => undefined),
      (answer) => answer !== undefined,
    );
  });
  after(() => stack.disposeAsync());

  function call(certificate?: TestCertificate, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const own = certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key };
    const options = { host: "127.0.0.1", port, servername: "localhost", ca: servers.cert, agent: false, headers };
    const request = httpsRequest({ ...options, ...own, path: "/api/shop/items" }, (response) => {
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

async function findNginx(): Promise<string | undefined> {
  for (const name of ["nginx", "/usr/sbin/nginx"]) {
    const ran = await run(name, ["-v"]).catch(() => undefined);
    if (ran?.status === 0) return name;
  }
  return undefined;
}

async function startNginx(stack: AsyncDisposableStack, daemon: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-nginx-"));
  const port = await freePort();
  const server = issueCertificate(servers, "localhost");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const config = `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  access_log off; ${paths.join(" ")}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
    ssl_client_certificate ${folder}/clients.pem; ssl_verify_client optional;
    location / { proxy_pass ${daemon}; proxy_set_header X-Client-Cert $ssl_client_escaped_cert; }
  }
}
`;
  const files = { "nginx.conf": config, "cert.pem": server.cert, "key.pem": server.key, "clients.pem": clients.cert };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const child = spawn(NGINX!, ["-p", folder, "-c", join(folder, "nginx.conf")], {
    env: plainEnvironment(),
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  stack.defer(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  return port;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
