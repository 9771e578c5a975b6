import assert from "node:assert/strict";
import { test } from "node:test";
import { childEnvironment } from "./child-environment.ts";

const BASE = { path: "/usr/bin", scratch: "/tmp" };
const PROXY = { url: "http://127.0.0.1:3128", caFile: "/run/doorward/ca.pem" };

test("a child has a few variables and its own, and none of the daemon's", () => {
  const all = childEnvironment(BASE, new Map([["TOKEN", "placeholder"]]), undefined);
  assert.deepEqual(Object.fromEntries(all), {
    PATH: "/usr/bin",
    HOME: "/tmp",
    TMPDIR: "/tmp",
    LANG: "C.UTF-8",
    TOKEN: "placeholder",
  });
});

test("nothing of the child's own leads past the proxy, or trusts another authority", () => {
  const own = new Map(
    ["HTTPS_PROXY", "NO_PROXY", "no_proxy", "ALL_PROXY", "SSL_CERT_FILE"].map((name) => [name, "mine"]),
  );
  const all = childEnvironment(BASE, own, PROXY);
  assert.ok(![...all.values()].includes("mine"));
  for (const name of ["HTTPS_PROXY", "http_proxy"]) assert.equal(all.get(name), PROXY.url);
  for (const name of ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "GIT_SSL_CAINFO"])
    assert.equal(all.get(name), PROXY.caFile);
  assert.equal(all.get("NODE_USE_ENV_PROXY"), "1");
});

test("a proxy that shows no leaves leaves the authorities as they are", () => {
  assert.equal(childEnvironment(BASE, new Map(), { ...PROXY, caFile: undefined }).get("SSL_CERT_FILE"), undefined);
});

test("a program that is told of the proxy after its start is not told before", () => {
  const all = childEnvironment(BASE, new Map([["HTTP_PROXY", "mine"]]), { ...PROXY, named: "itself" });
  assert.equal(all.get("DOORWARD_PROXY"), PROXY.url);
  assert.equal(all.get("NODE_USE_ENV_PROXY"), "1");
  assert.deepEqual(
    [...all.keys()].filter((name) => /^https?_proxy$/i.test(name)),
    [],
  );
});
