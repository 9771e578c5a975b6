/** `curl` on `/api/…`, as people type it. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../harness/run.testing.ts";
import {
  ALL_BYTES,
  COMPRESSED_TEXT,
  holdsDoorwardKey,
  openStage,
  type Service,
  type Stage,
  sha256,
  VENDOR_SECRETS,
} from "./vendor.testing.ts";

const MISSING = (await run("curl", ["--version"]).catch(() => undefined))?.status !== 0;

describe("curl", { skip: MISSING ? "curl is not installed" : false }, () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage?.[Symbol.asyncDispose]());

  const curl = (...args: string[]) =>
    run("curl", ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", ...args]);
  const bearer = () => ["-H", `Authorization: Bearer ${stage.key}`];
  const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

  test("GET: the vendor sees its own key, and nothing of Doorward's", async () => {
    const got = await curl(...bearer(), `${stage.base()}/items?page=1&tag=%C3%A4`);
    assert.deepEqual(json(got.stdout), { items: ["a", "b"], query: "?page=1&tag=%C3%A4" });
    const seen = stage.vendor.last();
    assert.equal(seen.url, "/v1/items?page=1&tag=%C3%A4");
    assert.equal(seen.headers.authorization, `Bearer ${VENDOR_SECRETS.bearer}`);
    assert.equal(seen.headers.host, new URL(stage.vendor.url).host);
    assert.equal(holdsDoorwardKey(seen, stage.key), false);
  });

  test("the path alone, and with nothing after `?`", async () => {
    for (const [end, arrives] of [
      ["/items?", "/v1/items?"],
      ["/", "/v1/"],
      ["", "/v1/"],
    ] as const) {
      const got = await curl(...bearer(), "-o", "/dev/null", "-w", "%{http_code}", `${stage.base()}${end}`);
      assert.equal(got.stdout, "200", end);
      assert.ok(
        [arrives, arrives.replace("?", "")].includes(stage.vendor.last().url),
        `${end} arrived as ${stage.vendor.last().url}`,
      );
    }
  });

  test("-u: the token as password, and as user name", async () => {
    for (const pair of [`anyone:${stage.key}`, `${stage.key}:`]) {
      const got = await curl("-u", pair, "-w", "%{http_code}", "-o", "/dev/null", `${stage.base("basic")}/items`);
      assert.equal(got.stdout, "200");
      const seen = stage.vendor.last();
      assert.equal(
        seen.headers.authorization,
        `Basic ${Buffer.from(`acme:${VENDOR_SECRETS.password}`).toString("base64")}`,
      );
      assert.equal(holdsDoorwardKey(seen, stage.key), false);
    }
  });

  test("the service's own header", async () => {
    const got = await curl(
      "-H",
      `X-Api-Key: ${stage.key}`,
      "-w",
      "%{http_code}",
      "-o",
      "/dev/null",
      `${stage.base("keyed")}/items`,
    );
    assert.equal(got.stdout, "200");
    const seen = stage.vendor.last();
    assert.equal(seen.headers["x-api-key"], VENDOR_SECRETS.header);
    assert.equal(seen.headers.authorization, undefined);
    assert.equal(holdsDoorwardKey(seen, stage.key), false);
  });

  test("the service's own query parameter, wherever it stands", async () => {
    for (const query of [`?api_key=${stage.key}&page=2`, `?page=2&api_key=${stage.key}`]) {
      const got = await curl(`${stage.base("queried")}/items${query}`);
      assert.equal(json(got.stdout)["items"] !== undefined, true);
      const seen = new URL(stage.vendor.last().url, stage.vendor.url);
      assert.deepEqual(
        [seen.searchParams.get("page"), seen.searchParams.getAll("api_key")],
        ["2", [VENDOR_SECRETS.query]],
      );
      assert.equal(holdsDoorwardKey(stage.vendor.last(), stage.key), false);
      assert.ok(!got.stdout.includes(VENDOR_SECRETS.query), "the echoed query is scrubbed");
    }
  });

  test("POST of a form, of JSON, of a file", async () => {
    const file = join(stage.home.folder, "upload.bin");
    writeFileSync(file, ALL_BYTES);
    const cases: readonly (readonly [string[], Buffer, string])[] = [
      [["-d", "a=1&b=%20x"], Buffer.from("a=1&b=%20x"), "application/x-www-form-urlencoded"],
      [["--json", '{"n": 1.50, "t": "ü"}'], Buffer.from('{"n": 1.50, "t": "ü"}'), "application/json"],
      [
        ["--data-binary", `@${file}`, "-H", "Content-Type: application/octet-stream"],
        ALL_BYTES,
        "application/octet-stream",
      ],
      [
        ["-X", "PUT", "-T", file, "-H", "Content-Type: application/octet-stream"],
        ALL_BYTES,
        "application/octet-stream",
      ],
    ];
    for (const [args, sent, type] of cases) {
      const got = await curl(...bearer(), ...args, `${stage.base()}/items`);
      const seen = stage.vendor.last();
      assert.deepEqual(seen.body, sent, args[0]);
      assert.equal(seen.headers["content-type"], type);
      if (seen.method === "POST") assert.equal(json(got.stdout)["sha256"], sha256(sent));
    }
    rmSync(file);
  });

  test("a large upload with `Expect: 100-continue`, and one in chunks", async () => {
    const file = join(stage.home.folder, "large.bin");
    const bytes = Buffer.concat(Array.from({ length: 1_000 }, () => ALL_BYTES));
    writeFileSync(file, bytes);
    for (const more of [
      ["-H", "Expect: 100-continue"],
      ["-H", "Transfer-Encoding: chunked"],
    ]) {
      const got = await curl(
        ...bearer(),
        ...more,
        "-H",
        "Content-Type: application/octet-stream",
        "--data-binary",
        `@${file}`,
        `${stage.base()}/items`,
      );
      assert.equal(json(got.stdout)["sha256"], sha256(bytes), more[1]);
    }
    rmSync(file);
  });

  test("an upload over the limit: 413, and curl reads the answer", async () => {
    const file = join(stage.home.folder, "huge.bin");
    writeFileSync(file, Buffer.alloc(9 * 1024 * 1024));
    const before = stage.vendor.received.length;
    const got = await curl(
      ...bearer(),
      "-w",
      "\n%{http_code}",
      "-H",
      "Content-Type: application/octet-stream",
      "--data-binary",
      `@${file}`,
      `${stage.base()}/items`,
    );
    const [body = "", status] = got.stdout.split("\n");
    assert.deepEqual([status, json(body)["code"]], ["413", "too_large"]);
    assert.equal(stage.vendor.received.length, before);
    rmSync(file);
  });

  test("-I", async () => {
    const got = await curl(...bearer(), "-I", `${stage.base()}/items`);
    assert.match(got.stdout, /^HTTP\/1\.1 200 /);
    assert.match(got.stdout, /^etag: "v1"/im);
    assert.match(got.stdout, /^doorward-request-id: req_/im);
    assert.equal(stage.vendor.last().method, "HEAD");
  });

  test("-I of a refusal: the code is in a header", async () => {
    const got = await curl("-I", `${stage.base()}/items`);
    assert.match(got.stdout, /^HTTP\/1\.1 401 /);
    assert.match(got.stdout, /^doorward-error: invalid_token/im);
  });

  test("--compressed, and an answer that is compressed whether or not one asked", async () => {
    for (const more of [["--compressed"], []]) {
      const got = await curl(...bearer(), ...more, "-D", "-", `${stage.base()}/gzip`);
      const [head = "", body] = got.stdout.split("\r\n\r\n");
      assert.equal(body, COMPRESSED_TEXT);
      assert.doesNotMatch(head, /content-encoding/i);
    }
  });

  test("bytes come as they are", async () => {
    const got = await curl(...bearer(), `${stage.base()}/bytes`);
    assert.deepEqual(got.bytes, ALL_BYTES);
  });

  test("-L follows a redirect within the service, through Doorward", async () => {
    const got = await curl(...bearer(), "-L", "-w", "\n%{url_effective} %{num_redirects}", `${stage.base()}/moved`);
    const [body = "", where] = got.stdout.split("\n");
    assert.deepEqual(json(body)["items"], ["a", "b"]);
    assert.equal(where, `${stage.base()}/items?page=2 1`);
  });

  test("-H of a header that is not on the list is dropped; one that is passes", async () => {
    await curl(
      ...bearer(),
      "-H",
      "X-Feature: on",
      "-H",
      "X-Other: off",
      "-H",
      "Cookie: sid=1",
      "-H",
      "X-HTTP-Method-Override: DELETE",
      `${stage.base()}/items`,
    );
    const { headers } = stage.vendor.last();
    assert.deepEqual(
      [headers["x-feature"], headers["x-other"], headers.cookie, headers["x-http-method-override"]],
      ["on", undefined, undefined, undefined],
    );
  });

  test("the key that the vendor echoes is taken out, and counted", async () => {
    const got = await curl(...bearer(), "-D", "-", `${stage.base()}/echo`);
    assert.ok(!got.stdout.includes(VENDOR_SECRETS.bearer));
    assert.match(got.stdout, /^doorward-redacted: 1/im);
  });

  for (const name of ["vendor", "basic", "keyed", "queried"] as const satisfies readonly Service[]) {
    test(`no token, a wrong one and a mistyped one get the same words from ${name}`, async () => {
      const before = stage.vendor.received.length;
      const answers: unknown[] = [];
      const mistyped = `${stage.key.slice(0, -1)}${stage.key.endsWith("a") ? "b" : "a"}`;
      for (const header of [
        [],
        ["-H", "Authorization: Bearer nonsense"],
        ["-H", `Authorization: Bearer ${mistyped}`],
      ]) {
        const got = await curl(...header, "-w", "\n%{http_code}", `${stage.base(name)}/items`);
        const [body = "", status] = got.stdout.split("\n");
        const { request_id: id } = json(body);
        answers.push([status, body.replaceAll(String(id), "ID")]);
      }
      assert.deepEqual(answers[1], answers[0]);
      assert.deepEqual(answers[2], answers[0]);
      assert.equal((answers[0] as string[])[0], "401");
      assert.equal(stage.vendor.received.length, before);
    });
  }

  test("X-Forwarded-For of a caller that is no trusted proxy counts for nothing", async () => {
    const got = await curl(
      ...bearer(),
      "-H",
      "X-Forwarded-For: 203.0.113.9",
      "-o",
      "/dev/null",
      "-D",
      "-",
      `${stage.base()}/items`,
    );
    const id = /^doorward-request-id: (\S+)/im.exec(got.stdout)![1]!;
    const { stdout } = await stage.home.cli(["audit", "search", "--request", id, "--json"]);
    assert.equal(json(stdout.split("\n")[0]!)["ip"], "127.0.0.1");
  });

  test("a path that could be read in two ways is refused", async () => {
    const before = stage.vendor.received.length;
    for (const path of ["/a/../items", "/a/%2e%2e/items", "//items", "/items%00", "/items%5cx"]) {
      const got = await curl(...bearer(), "--path-as-is", `${stage.base()}${path}`);
      assert.equal(json(got.stdout)["code"], "not_canonical", path);
    }
    // An encoded slash has a form, for patterns that say `:encoded`; here none does.
    const encoded = await curl(...bearer(), "--path-as-is", `${stage.base()}/a%2fitems`);
    assert.equal(json(encoded.stdout)["code"], "not_canonical");
    assert.equal(stage.vendor.received.length, before);
  });
});
