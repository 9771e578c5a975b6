/** A request through nginx in front of the daemon, as people set it up. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../harness/daemon.testing.ts";
import { findNginx, startNginx } from "../harness/nginx.testing.ts";
import { run } from "../harness/run.testing.ts";
import { ALL_BYTES, holdsDoorwardKey, openStage, type Stage, sha256, VENDOR_SECRETS } from "./vendor.testing.ts";

const NGINX = await findNginx();

describe("nginx in front", { skip: NGINX === undefined ? "nginx is not installed" : false }, () => {
  let stage: Stage;
  let nginx: Awaited<ReturnType<typeof startProxy>>;
  before(async () => {
    stage = await openStage('server: { public_url: "https://broker.example.test", trusted_proxies: ["127.0.0.0/8"] }');
    nginx = await startProxy(stage.daemon.url);
  });
  after(async () => {
    await nginx?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
  });
  const authorized = () => ({ authorization: `Bearer ${stage.key}` });

  for (const way of ["plain", "headers", "modern"] as const satisfies readonly Way[]) {
    test(`${way}: GET, POST, bytes, a refusal`, async () => {
      const got = await fetch(`${nginx.url(way)}/api/vendor/items?a=1`, { headers: authorized() });
      assert.deepEqual([got.status, await got.json()], [200, { items: ["a", "b"], query: "?a=1" }]);
      const seen = stage.vendor.last();
      assert.equal(seen.headers.authorization, `Bearer ${VENDOR_SECRETS.bearer}`);
      assert.deepEqual([seen.headers["x-forwarded-for"], seen.headers["x-real-ip"]], [undefined, undefined]);
      assert.equal(holdsDoorwardKey(seen, stage.key), false);

      const headers = { ...authorized(), "content-type": "application/octet-stream" };
      const posted = await fetch(`${nginx.url(way)}/api/vendor/items`, {
        method: "POST",
        headers,
        body: new Uint8Array(ALL_BYTES),
      });
      assert.equal(((await posted.json()) as { sha256: string }).sha256, sha256(ALL_BYTES));
      const bytes = await fetch(`${nginx.url(way)}/api/vendor/bytes`, { headers: authorized() });
      assert.deepEqual(Buffer.from(await bytes.arrayBuffer()), ALL_BYTES);

      const refused = await fetch(`${nginx.url(way)}/api/vendor/items`);
      assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [401, "invalid_token"]);
    });

    test(`${way}: a redacted answer`, async () => {
      const got = await fetch(`${nginx.url(way)}/api/vendor/echo`, { headers: authorized() });
      assert.ok(!(await got.text()).includes(VENDOR_SECRETS.bearer));
    });
  }

  test("the address in the evidence is the forwarded one, since the proxy is trusted", async () => {
    const got = await fetch(`${nginx.url("headers")}/api/vendor/items`, {
      headers: { ...authorized(), "x-forwarded-for": "203.0.113.9" },
    });
    await got.text();
    const id = got.headers.get("doorward-request-id")!;
    const { stdout } = await stage.home.cli(["audit", "search", "--request", id, "--json"]);
    // nginx appends who connected to it; that hop is trusted as well, the one before it is not.
    assert.equal((JSON.parse(stdout.split("\n")[0]!) as Record<string, unknown>)["ip"], "203.0.113.9");
  });

  test("the name of the public URL is taken, a foreign one is not", async () => {
    const ask = async (host: string) => {
      const words = ["-s", "--noproxy", "*", "-H", `Host: ${host}`, "-H", `Authorization: Bearer ${stage.key}`];
      return (
        await run("curl", [
          ...words,
          "-o",
          "/dev/null",
          "-w",
          "%{http_code}",
          `${nginx.url("headers")}/api/vendor/items`,
        ])
      ).stdout;
    };
    assert.equal(await ask("broker.example.test"), "200");
    assert.equal(await ask("rebound.example.test"), "421");
  });

  test("MCP through nginx", async () => {
    const message = {
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } },
    };
    const headers = {
      ...authorized(),
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    };
    const answer = await fetch(`${nginx.url("plain")}/mcp`, { method: "POST", headers, body: JSON.stringify(message) });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("mcp-session-id") ?? "", /^ses_/);
  });
});

/** `plain`: `proxy_pass` and nothing else. `headers`: with Host and X-Forwarded-For. `modern`: HTTP/1.1 with kept connections. */
type Way = "plain" | "headers" | "modern";

/** nginx with several ways to the daemon, each by a prefix. */
async function startProxy(daemon: string): Promise<AsyncDisposable & { readonly url: (way: Way) => string }> {
  const nginx = await startNginx(
    NGINX!,
    ({ port }) => `  client_max_body_size 32m;
  upstream doorward { server ${new URL(daemon).host}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location /plain/ { proxy_pass ${daemon}/; }
    location /headers/ {
      proxy_pass ${daemon}/;
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
    location /modern/ {
      proxy_pass http://doorward/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
    }
  }`,
  );
  const { port, ended } = nginx;
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/none`).then(
      (answer) => answer.text(),
      () => undefined,
    );
  await Promise.race([until(answers, (answer) => answer !== undefined), ended.then(() => assert.fail("nginx ended"))]);
  return { url: (way) => `http://127.0.0.1:${port}/${way}`, [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose]() };
}
