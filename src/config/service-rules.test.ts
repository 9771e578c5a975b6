import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { oneService } from "./example.testing.ts";
import { parseConfig } from "./parse-config.ts";
import { parseServiceUrl } from "./service-url.ts";

const classifyHost = (host: string) => {
  if (/^169\.254\.|^fe80:/.test(host)) return "forbidden";
  if (/^(?:127|10)\.|^::1$/.test(host)) return "private";
  return /^[0-9.]+$|:/.test(host) ? "public" : "name";
};

function paths(...keys: readonly string[]): readonly string[] {
  const result = parseConfig(oneService(...keys), { classifyHost });
  return result.ok ? [] : result.findings.filter(({ severity }) => severity === "error").map(({ path }) => path);
}

describe("the url of a service", () => {
  const good: Readonly<Record<string, readonly [string, string]>> = {
    "https://api.example": ["https://api.example", ""],
    "https://api.example/": ["https://api.example", ""],
    "https://API.Example:443/v1/": ["https://api.example", "/v1"],
    "https://api.example:8443/a/b": ["https://api.example:8443", "/a/b"],
    "https://bücher.example/x": ["https://xn--bcher-kva.example", "/x"],
    "https://api.example/caf%C3%A9/a%20b": ["https://api.example", "/caf%C3%A9/a%20b"],
    "https://api.example/~me/projects:list/@x": ["https://api.example", "/~me/projects:list/@x"],
    "https://api.example/.well-known/..a": ["https://api.example", "/.well-known/..a"],
    "https://[2001:db8::1]/v1": ["https://[2001:db8::1]", "/v1"],
    "http://0x7f.1:8080": ["http://127.0.0.1:8080", ""],
    "https://my_host.example": ["https://my_host.example", ""],
  };
  test("is split into origin and base path", () => {
    for (const [url, [origin, basePath]] of Object.entries(good)) {
      const result = parseServiceUrl(url);
      assert.ok(result.ok, url);
      assert.deepEqual([result.value.origin, result.value.basePath], [origin, basePath], url);
    }
  });

  test("is refused when it has no unambiguous form", () => {
    const bad = [
      "https://u@api.example",
      "https://u:p@api.example",
      "https://@api.example",
      "https://api.example?x",
      "https://api.example/?",
      "https://api.example#x",
      "https://api.example/#",
      "ftp://api.example",
      "api.example",
      "//api.example",
      "https:/api.example",
      "https:api.example",
      "https:\\\\api.example",
      "https://api.example\\x",
      " https://api.example",
      "https://api.example ",
      "https://api.exa\tmple",
      "https://api.example/a\nb",
      "https://",
      "https:///x",
      "https://api..example",
      "https://.example",
      "https://api.example.",
      "https://-a.example",
      "https://a b.example",
      "https://api.example:0",
      "https://api.example:99999",
      "https://api.example:x",
      "https://api.example/a/../b",
      "https://api.example/.",
      "https://api.example/./a",
      "https://api.example/%2e%2e/a",
      "https://api.example/%2E",
      "https://api.example/a//b",
      "https://api.example//",
      "https://api.example/a%2Fb",
      "https://api.example/a%5Cb",
      "https://api.example/a;b",
      "https://api.example/a%3Bb",
      "https://api.example/%",
      "https://api.example/%zz",
      "https://api.example/%ff",
      "https://api.example/%00",
      "https://api.example/%0a",
      "https://api.example/%252e",
      "https://api.example/%61",
      "https://api.example/caf%c3%a9",
      "https://api.example/é",
      "https://api.example/．．/a",
      "https://api.example/%EF%BC%8F",
      `https://api.example/${"a".repeat(3000)}`,
    ];
    for (const url of bad) assert.equal(parseServiceUrl(url).ok, false, url);
  });

  test("law: what is taken is a fixed point, and a URL parser reads it the same", () => {
    const part = fc.constantFrom(
      "a",
      "b-1",
      "..",
      ".",
      "/",
      "//",
      "%2e",
      "%2F",
      "%41",
      "é",
      "?",
      "#",
      ":",
      "@",
      "8080",
      ".example",
      "xn--",
      "\\",
      " ",
      ";",
      "%",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const result = parseServiceUrl(`https://${parts.join("")}`);
        if (!result.ok) return;
        const { origin, basePath } = result.value;
        assert.deepEqual(parseServiceUrl(`${origin}${basePath}`), result);
        const url = new URL(`${origin}${basePath}`);
        assert.equal(url.origin, origin);
        assert.equal(url.pathname, basePath === "" ? "/" : basePath);
      }),
      { numRuns: 500 },
    );
  });

  const places: Readonly<Record<string, readonly [readonly string[], boolean]>> = {
    "https to a name": [["url: https://api.example"], true],
    "https to a public address": [["url: https://8.8.8.8"], true],
    "http to a name": [["url: http://api.example"], false],
    "http to a private service": [["url: http://intranet", "private: true"], true],
    loopback: [["url: https://127.0.0.1"], false],
    "loopback in disguise": [["url: https://0x7f.1"], false],
    "loopback by name": [["url: https://localhost"], false],
    "loopback by name, private": [["url: http://localhost:3000", "private: true"], true],
    "a private address": [["url: https://10.0.0.1", "private: true"], true],
    "a private address, unsaid": [["url: https://10.0.0.1"], false],
    "a public address, private": [["url: http://8.8.8.8", "private: true"], false],
    metadata: [["url: http://169.254.169.254", "private: true"], false],
    "metadata as a number": [["url: http://2852039166", "private: true"], false],
  };
  for (const [name, [keys, ok]] of Object.entries(places)) {
    test(`${name} is ${ok ? "taken" : "refused"}`, () =>
      assert.deepEqual(paths(...keys), ok ? [] : ["services.api.url"]));
  }
});

describe("headers of a service", () => {
  const allow = (name: string) => paths("url: https://a.example", `headers: { allow: ["${name}"] }`);
  const set = (name: string, value = "x") =>
    paths("url: https://a.example", `headers: { set: { "${name}": "${value}" } }`);
  const carry = (name: string) =>
    paths("url: https://a.example", `credential: { kind: header, name: "${name}", secret: local:a }`);

  test("honest ones may pass", () => {
    for (const name of [
      "Stripe-Version",
      "X-GitHub-Api-Version",
      "OpenAI-Beta",
      "anthropic-version",
      "X-Custom",
      "accept",
    ])
      assert.deepEqual(allow(name), [], name);
    for (const [name, value] of [
      ["Accept", "application/vnd.github.v3+json"],
      ["X-Org", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"],
      ["Stripe-Version", "2024-06-20"],
    ])
      assert.deepEqual(set(name ?? "", value), [], name);
    for (const name of ["X-Api-Key", "Authorization", "PRIVATE-TOKEN", "Api-Key"])
      assert.deepEqual(carry(name), [], name);
  });

  test("Doorward's own, overrides and credentials never pass, in any spelling", () => {
    const never = [
      "Host",
      "Content-Length",
      "Transfer-Encoding",
      "Connection",
      "Keep-Alive",
      "TE",
      "Trailer",
      "Upgrade",
      "Expect",
      "Proxy-Authorization",
      "Proxy-Connection",
      "Accept-Encoding",
      "Content-Encoding",
      "Forwarded",
      "Via",
      "X-Forwarded-For",
      "X-Forwarded-Host",
      "X_Forwarded_For",
      "X-Real-IP",
      "True-Client-IP",
      "User-Agent",
      "X-HTTP-Method-Override",
      "X-HTTP-Method",
      "X-Method-Override",
      "x_http_method_override",
      "Doorward-Request-Id",
      "Range",
      "Cookie",
      "bad name",
      "bad:name",
      "",
    ];
    for (const name of never) {
      assert.deepEqual(allow(name), ["services.api.headers.allow[0]"], `allow ${name}`);
      assert.equal(set(name).length, 1, `set ${name}`);
      assert.deepEqual(carry(name), ["services.api.credential.name"], `credential ${name}`);
    }
    for (const name of [
      "Authorization",
      "X-Api-Key",
      "apikey",
      "X-Auth-Token",
      "X-Amz-Security-Token",
      "X-Access-Token",
      "x_api_key",
    ]) {
      assert.equal(allow(name).length, 1, `allow ${name}`);
      assert.equal(set(name).length, 1, `set ${name}`);
    }
    for (const name of ["Content-Type", "If-Match"]) assert.equal(set(name).length, 1, `set ${name}`);
  });

  test("a value cannot break out of its line", () => {
    for (const value of ["a\\r\\nb", "a\\0", " a", "a ", "", "ä"]) assert.equal(set("X-A", value).length, 1, value);
  });

  test("the one that carries the credential is not for others", () => {
    const keys = ["url: https://a.example", "credential: { kind: header, name: X-Vendor, secret: local:a }"];
    assert.deepEqual(paths(...keys, "headers: { allow: [x-vendor], set: {} }"), ["services.api.headers.allow[0]"]);
    assert.deepEqual(paths(...keys, "headers: { set: { X-Vendor: a } }"), ["services.api.headers.set.x-vendor"]);
  });
});

describe("units", () => {
  const limit = (key: string, value: string) => paths("url: https://a.example", `limits: { ${key}: ${value} }`);
  test("are read", () => {
    for (const [key, value] of [
      ["timeout", "500ms"],
      ["timeout", "10m"],
      ["request", "4096"],
      ["request", "10MB"],
      ["response", "1GiB"],
      ["rate", "60/minute"],
      ["rate", "5/10s"],
      ["rate", "1/h"],
      ["rate", "100/day"],
    ])
      assert.deepEqual(limit(key ?? "", value ?? ""), [], value);
  });
  test("are refused when they are missing, odd or out of range", () => {
    for (const [key, value] of [
      ["timeout", "30"],
      ["timeout", "0s"],
      ["timeout", "11m"],
      ["timeout", "1.5s"],
      ["timeout", "-1s"],
      ["timeout", "30 s"],
      ["request", "1.5MB"],
      ["request", "1mb"],
      ["request", "101MiB"],
      ["response", "2GiB"],
      ["response", "0"],
      ["rate", "60"],
      ["rate", "0/minute"],
      ["rate", "5/500ms"],
      ["rate", "5/0s"],
      ["rate", "1/32d"],
      ["rate", "60/fortnight"],
    ])
      assert.deepEqual(limit(key ?? "", value ?? ""), [`services.api.limits.${key}`], value);
  });
  test("dates exist in the calendar and have a zone", () => {
    const expires = (value: string) => parseConfig(`version: 1\nagents: { a: { expires: "${value}" } }`).ok;
    for (const value of ["2027-02-01", "2028-02-29", "2027-02-01T08:00:00Z", "2027-02-01T08:00:00.5+02:00"])
      assert.equal(expires(value), true, value);
    for (const value of [
      "2027-02-29",
      "2027-13-01",
      "2027-2-1",
      "01.02.2027",
      "2027-02-01T08:00:00",
      "2027-02-01T25:00:00Z",
      "tomorrow",
      "",
    ])
      assert.equal(expires(value), false, value);
  });
});

describe("networks", () => {
  const network = (value: string) => {
    const result = parseConfig(`version: 1\nagents: { a: { networks: ["${value}"] } }`);
    return result.ok ? result.config.agents.get("a")?.networks[0] : undefined;
  };
  test("have one spelling", () => {
    assert.equal(network("10.0.0.0/8"), "10.0.0.0/8");
    assert.equal(network("10.0.0.1"), "10.0.0.1/32");
    assert.equal(network("FD00::/8"), "fd00::/8");
    for (const value of [
      "10.0.0.1/8",
      "10.0.0.0/33",
      "10.0/8",
      "010.0.0.0/8",
      "0x7f.0.0.1",
      "fe80::1%eth0",
      "::ffff:10.0.0.1",
      "10.0.0.0/",
      "10.0.0.0/08",
      "10.0.0.0/8/8",
      "*",
      "localhost",
    ])
      assert.equal(network(value), undefined, value);
  });
});

describe("listening", () => {
  const listen = (...lines: readonly string[]) =>
    parseConfig(`version: 1\nserver:\n${lines.map((line) => `  ${line}\n`).join("")}`).ok;
  test("beyond loopback needs TLS or a named proxy", () => {
    assert.equal(listen("listen: 0.0.0.0:7420"), false);
    assert.equal(listen('listen: "[::]:7420"'), false);
    assert.equal(listen('listen: "[::ffff:10.0.0.1]:7420"'), false);
    assert.equal(listen("listen: 10.0.0.1:7420", "trusted_proxies: [10.0.0.2]"), true);
    assert.equal(listen("listen: 0.0.0.0:7420", "tls: { cert: file:c, key: file:k }"), true);
    for (const address of ["127.0.0.1:0", "[::1]:7420", "localhost:7420", "127.9.9.9:1"])
      assert.equal(listen(`listen: "${address}"`), true, address);
    for (const address of [
      "7420",
      ":7420",
      "127.0.0.1",
      "127.0.0.1:70000",
      "example.com:7420",
      "0x7f.1:7420",
      "127.1:80",
      "[::1:80",
    ])
      assert.equal(listen(`listen: "${address}"`), false, address);
  });
  test("the public url is https, or loopback", () => {
    assert.equal(listen("public_url: https://broker.example/x/"), true);
    assert.equal(listen("public_url: http://127.0.0.1:7420"), true);
    for (const url of ["http://broker.example", "https://u@b.example", "https://b.example?x"])
      assert.equal(listen(`public_url: "${url}"`), false, url);
  });
});
