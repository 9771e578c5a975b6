/** Node's `fetch` and undici on `/api/…`. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { Agent, Pool, request, fetch as undiciFetch } from "undici";
import {
  ALL_BYTES,
  COMPRESSED_TEXT,
  holdsDoorwardKey,
  LARGE_BYTES,
  largeBlock,
  openStage,
  type Stage,
  VENDOR_SECRETS,
} from "./vendor.testing.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage?.[Symbol.asyncDispose]());

const authorized = () => ({ authorization: `Bearer ${stage.key}` });

for (const [name, doFetch] of [
  ["Node's fetch", fetch],
  ["undici's fetch", undiciFetch as unknown as typeof fetch],
] as const) {
  describe(name, () => {
    test("GET JSON", async () => {
      const answer = await doFetch(`${stage.base()}/items?q=1`, { headers: authorized() });
      assert.deepEqual(await answer.json(), { items: ["a", "b"], query: "?q=1" });
      assert.equal(answer.headers.get("x-request-id"), "up-1");
      const seen = stage.vendor.last();
      assert.equal(seen.headers.authorization, `Bearer ${VENDOR_SECRETS.bearer}`);
      assert.equal(holdsDoorwardKey(seen, stage.key), false);
    });

    test("POST JSON, a form, bytes and a stream", async () => {
      const bytes = new Uint8Array(ALL_BYTES);
      const stream = new ReadableStream({
        start(controller) {
          controller.enqueue(bytes.subarray(0, 1_000));
          controller.enqueue(bytes.subarray(1_000));
          controller.close();
        },
      });
      const cases: readonly (readonly [RequestInit["body"] & {}, string | undefined, Buffer])[] = [
        [JSON.stringify({ a: [1, "ü"] }), "application/json", Buffer.from('{"a":[1,"ü"]}')],
        [new URLSearchParams({ a: "1", b: "x y" }), undefined, Buffer.from("a=1&b=x+y")],
        [bytes, "application/octet-stream", ALL_BYTES],
        [stream, "application/octet-stream", ALL_BYTES],
      ];
      for (const [body, type, sent] of cases) {
        const headers = { ...authorized(), ...(type === undefined ? {} : { "content-type": type }) };
        const answer = await doFetch(`${stage.base()}/items`, {
          method: "POST",
          headers,
          body,
          duplex: "half",
        } as RequestInit);
        assert.equal(answer.status, 201);
        await answer.text();
        assert.deepEqual(stage.vendor.last().body, sent);
      }
    });

    test("multipart/form-data with a file", async () => {
      const form = new FormData();
      form.set("note", "hello");
      form.set("file", new Blob([ALL_BYTES]), "all.bin");
      // Each fetch knows its own FormData: the bytes are what this is about.
      const { headers, body } = await encodeForm(form);
      const answer = await doFetch(`${stage.base()}/items`, {
        method: "POST",
        headers: { ...authorized(), ...headers },
        body,
      });
      assert.equal(answer.status, 201);
      assert.deepEqual(stage.vendor.last().body, Buffer.from(body));
    });

    test("204, 304, HEAD", async () => {
      const none = await doFetch(`${stage.base()}/none`, { headers: authorized() });
      assert.deepEqual([none.status, await none.text()], [204, ""]);
      const unchanged = await doFetch(`${stage.base()}/unchanged`, {
        headers: { ...authorized(), "if-none-match": '"v1"' },
      });
      assert.deepEqual([unchanged.status, await unchanged.text(), unchanged.headers.get("etag")], [304, "", '"v1"']);
      const head = await doFetch(`${stage.base()}/items`, { method: "HEAD", headers: authorized() });
      assert.deepEqual([head.status, await head.text(), head.headers.get("etag")], [200, "", '"v1"']);
    });

    test("a redirect within the service is followed through Doorward", async () => {
      const answer = await doFetch(`${stage.base()}/moved`, { headers: authorized() });
      assert.deepEqual([answer.url, answer.status], [`${stage.base()}/items?page=2`, 200]);
      await answer.text();
    });

    test("one that leads away keeps its status and loses its Location", async () => {
      const before = stage.vendor.received.length;
      const answer = await doFetch(`${stage.base()}/away`, { headers: authorized(), redirect: "manual" });
      assert.deepEqual([answer.status, answer.headers.get("location"), await answer.text()], [307, null, "away"]);
      assert.equal(stage.vendor.received.length, before + 1, "it was not followed");
    });

    test("gzip of the vendor is decoded; bytes are exact; cookies and unlisted headers stay out", async () => {
      assert.equal(await (await doFetch(`${stage.base()}/gzip`, { headers: authorized() })).text(), COMPRESSED_TEXT);
      assert.deepEqual(
        Buffer.from(await (await doFetch(`${stage.base()}/bytes`, { headers: authorized() })).arrayBuffer()),
        ALL_BYTES,
      );
      const cookie = await doFetch(`${stage.base()}/cookie`, { headers: authorized() });
      await cookie.text();
      assert.deepEqual(
        [cookie.headers.get("set-cookie"), cookie.headers.get("x-internal"), cookie.headers.get("retry-after")],
        [null, null, "3"],
      );
    });

    test("an idempotency key and trace context pass", async () => {
      const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
      const headers = {
        ...authorized(),
        "idempotency-key": "k-1",
        traceparent: trace,
        "content-type": "application/json",
      };
      await (await doFetch(`${stage.base()}/items`, { method: "POST", headers, body: "{}" })).text();
      const seen = stage.vendor.last().headers;
      assert.deepEqual([seen["idempotency-key"], seen["traceparent"]], ["k-1", trace]);
    });

    test("a refusal is problem+json with the request id of its header", async () => {
      const answer = await doFetch(`${stage.daemon.url}/api/nothing/items`, { headers: authorized() });
      const problem = (await answer.json()) as Record<string, unknown>;
      assert.deepEqual(
        [answer.status, answer.headers.get("content-type"), problem["code"]],
        [404, "application/problem+json", "unknown_service"],
      );
      assert.equal(answer.headers.get("doorward-request-id"), problem["request_id"]);
    });
  });
}

async function encodeForm(
  form: FormData,
): Promise<{ readonly headers: Record<string, string>; readonly body: Uint8Array<ArrayBuffer> }> {
  const encoded = new Response(form);
  return {
    headers: { "content-type": encoded.headers.get("content-type") ?? "" },
    body: new Uint8Array(await encoded.arrayBuffer()),
  };
}

describe("connections", () => {
  test("undici's request keeps one connection, here and at the vendor", async () => {
    const pool = new Pool(stage.daemon.url, { connections: 1 });
    const from = stage.vendor.received.length;
    const ports = new Set<number>();
    pool.on("connect", () => ports.add(ports.size));
    for (let i = 0; i < 5; i++) {
      const { statusCode, body } = await pool.request({
        method: "GET",
        path: "/api/vendor/items",
        headers: authorized(),
      });
      assert.equal(statusCode, 200);
      await body.dump();
    }
    await pool.close();
    assert.equal(ports.size, 1);
    assert.equal(new Set(stage.vendor.received.slice(from).map(({ connection }) => connection)).size, 1);
  });

  test("pipelined requests are answered in order", async () => {
    const agent = new Agent({ connections: 1, pipelining: 8 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const { body } = await request(`${stage.base()}/items?n=${i}`, { headers: authorized(), dispatcher: agent });
        return ((await body.json()) as { query: string }).query;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 8 }, (_, i) => `?n=${i}`),
    );
    await agent.close();
  });

  test("two requests in one packet, the first one refused: both are answered", async () => {
    const { hostname, port } = new URL(stage.daemon.url);
    const head = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n${more}\r\n`;
    const answers = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString("latin1")));
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      const authorization = `Authorization: Bearer ${stage.key}\r\n`;
      socket.write(head("/api/vendor/items") + head("/api/vendor/items", `${authorization}Connection: close\r\n`));
    });
    assert.deepEqual(
      [...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ["401", "200"],
    );
  });

  test("HTTP/1.0 is answered, and the connection closed", async () => {
    const { hostname, port } = new URL(stage.daemon.url);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString("latin1")));
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      socket.write(`GET /api/vendor/bytes HTTP/1.0\r\nHost: ${hostname}\r\nAuthorization: Bearer ${stage.key}\r\n\r\n`);
    });
    const [head = "", body = ""] = answer.split("\r\n\r\n", 2);
    assert.match(head, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(head, /transfer-encoding|trailer/i);
    assert.deepEqual(Buffer.from(answer.slice(head.length + 4), "latin1").length, ALL_BYTES.length, body.slice(0, 40));
  });

  test("20 MiB come whole, block for block", async () => {
    const { statusCode, headers, body } = await request(`${stage.base()}/large`, { headers: authorized() });
    assert.equal(statusCode, 200, JSON.stringify(headers));
    const answer = Buffer.from(await body.arrayBuffer());
    assert.equal(answer.length, LARGE_BYTES);
    for (let i = 0; i < LARGE_BYTES / 65_536; i++) {
      assert.ok(answer.subarray(i * 65_536, (i + 1) * 65_536).equals(largeBlock(i)), `block ${i}`);
    }
  });
});
