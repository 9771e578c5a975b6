import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { checkHost, ownNames, SOCKET_NAMES } from "./check-host.ts";

const NAMES = ownNames({ host: "127.0.0.1", port: 7420 }, "https://broker.example.com");

function check(headers: readonly (readonly [string, string])[], names = NAMES): string | undefined {
  return checkHost({ rawHeaders: headers.flat() } as unknown as IncomingMessage, names)?.code;
}

const HOSTS: readonly (readonly [string, string | undefined])[] = [
  ["127.0.0.1:7420", undefined],
  ["127.0.0.1", undefined],
  ["localhost:9", undefined],
  ["LOCALHOST:7420", undefined],
  ["[::1]:7420", undefined],
  ["[::1]", undefined],
  ["broker.example.com", undefined],
  ["broker.example.com:443", undefined],
  ["evil.example", "bad_host"],
  ["localhost.evil.example", "bad_host"],
  ["localhost.", "bad_host"],
  ["127.0.0.1.evil.example", "bad_host"],
  ["127.0.0.2", "bad_host"],
  ["127.1", "bad_host"],
  ["::1", "bad_host"],
  ["[::2]", "bad_host"],
  ["[::1", "bad_host"],
  ["localhost:", "bad_host"],
  ["localhost:x", "bad_host"],
  ["localhost:123456", "bad_host"],
  ["localhost:1:1", "bad_host"],
  ["user@localhost", "bad_host"],
  ["localhost/x", "bad_host"],
  ["localhost, evil.example", "bad_host"],
  [" localhost", "bad_host"],
  ["", "bad_host"],
];

for (const [host, code] of HOSTS) {
  test(`Host ${JSON.stringify(host)}: ${code ?? "ours"}`, () => assert.equal(check([["Host", host]]), code));
}

test("no Host, or two of them, is nobody's", () => {
  assert.equal(check([]), "bad_host");
  assert.equal(
    check([
      ["host", "localhost"],
      ["Host", "localhost"],
    ]),
    "bad_host",
  );
});

const ORIGINS: readonly (readonly [string, string | undefined])[] = [
  ["http://127.0.0.1:7420", undefined],
  ["http://localhost:7420", undefined],
  ["http://[::1]:7420", undefined],
  ["https://broker.example.com", undefined],
  ["null", "bad_origin"],
  ["", "bad_origin"],
  ["http://localhost", "bad_origin"],
  ["http://localhost:7421", "bad_origin"],
  ["https://broker.example.com:8443", "bad_origin"],
  ["http://broker.example.com", "bad_origin"],
  ["https://broker.example.com.evil.example", "bad_origin"],
  ["https://evil.example", "bad_origin"],
];

for (const [origin, code] of ORIGINS) {
  test(`Origin ${JSON.stringify(origin)}: ${code ?? "ours"}`, () =>
    assert.equal(
      check([
        ["Host", "localhost"],
        ["Origin", origin],
      ]),
      code,
    ));
}

test("two Origins are foreign, even two of ours", () => {
  const own = "http://127.0.0.1:7420";
  const headers = [
    ["host", "localhost"],
    ["origin", own],
    ["ORIGIN", own],
  ] as const;
  assert.equal(check(headers), "bad_origin");
});

test("an address that stands for all of them is not a name", () => {
  assert.equal(check([["host", "0.0.0.0"]], ownNames({ host: "0.0.0.0", port: 1 }, undefined)), "bad_host");
  assert.equal(check([["host", "[::]"]], ownNames({ host: "::", port: 1 }, undefined)), "bad_host");
  assert.equal(check([["host", "[fd00::1]:1"]], ownNames({ host: "fd00::1", port: 1 }, undefined)), undefined);
  assert.equal(check([["host", "10.0.0.5"]], ownNames({ host: "10.0.0.5", port: 1 }, undefined)), undefined);
});

test("the local socket has no web pages", () => {
  assert.equal(check([["host", "doorward"]], SOCKET_NAMES), undefined);
  const page = [
    ["host", "localhost"],
    ["origin", "http://localhost"],
  ] as const;
  assert.equal(check(page, SOCKET_NAMES), "bad_origin");
});
