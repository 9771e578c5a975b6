import assert from "node:assert/strict";
import { test } from "node:test";
import { passHeaders } from "./answer-headers.ts";
import { wordScrubber } from "./egress.testing.ts";

const VIEW = { origin: "https://api.example", basePath: "", path: "/a", publicBase: "/api/x" };

/** Names of the headers that a program is shown. */
function shown(headers: Record<string, string | string[]>, scrubber = wordScrubber("s3cr3t")) {
  return passHeaders(headers, { view: VIEW, scrubber, rangesAllowed: false, names: "program" });
}

test("a program sees what its host says of itself, and no session, framing or other way to the host", () => {
  const { headers } = shown({
    "content-type": "text/plain",
    "www-authenticate": 'Basic realm="x"',
    "x-oauth-scopes": "repo",
    "docker-distribution-api-version": "registry/2.0",
    date: "today",
    location: "https://elsewhere.example/b",
    "set-cookie": ["a=b", "c=d"],
    "transfer-encoding": "chunked",
    "content-length": "5",
    "content-encoding": "gzip",
    connection: "close",
    "alt-svc": 'h3=":443"',
    "proxy-authenticate": "Basic",
    "doorward-request-id": "req_1",
    "content-range": "bytes 0-1/2",
    "accept-ranges": "bytes",
  });
  assert.deepEqual(headers, [
    ["content-type", "text/plain"],
    ["www-authenticate", 'Basic realm="x"'],
    ["x-oauth-scopes", "repo"],
    ["docker-distribution-api-version", "registry/2.0"],
    ["date", "today"],
    ["location", "https://elsewhere.example/b"],
  ]);
});

test("values are scrubbed, and a name that could be a secret does not pass", () => {
  const { headers, redacted } = shown({
    "x-echo": "s3cr3t",
    location: "/b?token=s3cr3t",
    "x-9fq2mzx7lrt4vb8nkc3wdj6shy1pae5urtgo": "1",
    ghp_9fq2mzx7lrt4vb8: "1",
  });
  assert.deepEqual(headers, [
    ["x-echo", "[redacted]"],
    ["location", "/b?token=[redacted]"],
  ]);
  assert.equal(redacted, 2);
});
