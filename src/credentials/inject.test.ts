import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { HttpCredentialConfig } from "../config/schema.ts";
import { inject } from "./inject.ts";
import { createScrubber } from "./scrubber.ts";

const NOWHERE = { headers: [["accept", "text/plain"]], search: "?type=A" } as const;
const REF = "local:registrar";

const bearer: HttpCredentialConfig = { kind: "bearer", secret: REF };
const basic: HttpCredentialConfig = { kind: "basic", username: "zoë", secret: REF };
const query: HttpCredentialConfig = { kind: "query", name: "api key", secret: REF };
const header = (prefix?: string): HttpCredentialConfig => ({ kind: "header", name: "x-api-key", secret: REF, prefix });

const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "none";
  } catch (error) {
    assert.ok(error instanceof Problem);
    return error.code;
  }
};

test("each kind stands where it belongs, beside what was there", () => {
  const secret = new Secret("s3cr3t/+&");
  const at = (credential: HttpCredentialConfig) => {
    const { headers, search } = inject(credential, secret, NOWHERE);
    return [headers.slice(1), search];
  };
  assert.deepEqual(at(bearer), [[["authorization", "Bearer s3cr3t/+&"]], "?type=A"]);
  assert.deepEqual(at(basic), [[["authorization", "Basic em/DqzpzM2NyM3QvKyY="]], "?type=A"]);
  assert.deepEqual(at(header()), [[["x-api-key", "s3cr3t/+&"]], "?type=A"]);
  assert.deepEqual(at(header("Token ")), [[["x-api-key", "Token s3cr3t/+&"]], "?type=A"]);
  assert.deepEqual(at(query), [[], "?type=A&api%20key=s3cr3t%2F%2B%26"]);
});

test("a credential header is replaced, never doubled", () => {
  const into = {
    headers: [
      ["Authorization", "Bearer of the agent"],
      ["accept", "*/*"],
    ],
    search: "",
  } as const;
  const { headers } = inject(bearer, new Secret("s3cr3t-value"), into);
  assert.deepEqual(headers, [
    ["accept", "*/*"],
    ["authorization", "Bearer s3cr3t-value"],
  ]);
});

test("a query that has the credential's name already is refused, however it is written", () => {
  for (const search of ["?api%20key=x", "?a=1&api+key", "?%61pi%20key=", "?api key"]) {
    assert.equal(
      codeOf(() => inject(query, new Secret("s3cr3t-value"), { headers: [], search })),
      "invalid_request",
      search,
    );
  }
  for (const search of ["", "?"]) {
    assert.equal(inject(query, new Secret("s3cr3t-value"), { headers: [], search }).search, "?api%20key=s3cr3t-value");
  }
});

test("what no header can carry is unavailable, and the problem does not quote it", () => {
  for (const value of [
    "line\r\nX-Evil: 1",
    "line\nbreak",
    "nul\0here",
    "snowman ☃ ",
    "ends in space ",
    "\x7fdelete",
    "",
  ]) {
    for (const credential of [bearer, header()]) {
      if (value === "" && credential.kind === "bearer") continue;
      assert.throws(
        () => inject(credential, new Secret(value), NOWHERE),
        (error) =>
          error instanceof Problem &&
          error.code === "secret_unavailable" &&
          !JSON.stringify([error.message, error.reason]).includes("evil"),
        JSON.stringify(value),
      );
    }
  }
  assert.equal(
    codeOf(() => inject({ ...basic, username: "a:b" }, new Secret("s3cr3t-value"), NOWHERE)),
    "secret_unavailable",
  );
});

test("whatever is injected is scrubbed when it is echoed", () => {
  const secretText = fc.string({ minLength: 8, maxLength: 30, unit: fc.constantFrom(..."aB3$%&+/=\"'\\ü:;~") });
  fc.assert(
    fc.property(fc.constantFrom(bearer, basic, header(), header("Key "), query), secretText, (credential, text) => {
      const { headers, search, sensitive } = inject(credential, new Secret(text), { headers: [], search: "" });
      const scrubber = createScrubber(sensitive);
      const echo = JSON.stringify({ headers: Object.fromEntries(headers), url: `https://api.example${search}` });
      const clean = scrubber.text(echo);
      assert.ok(clean.redacted > 0);
      assert.ok(!clean.text.includes(text) && !clean.text.includes(encodeURIComponent(text)), clean.text);
      assert.match(clean.text, /"(Bearer |Basic |Key |)?.redacted.=*"|api%20key=.redacted."/);
    }),
    { numRuns: 300 },
  );
});

test("a short password is scrubbed with its user name, the pair being long enough", () => {
  const { sensitive } = inject({ ...basic, username: "admin" }, new Secret("pw12"), NOWHERE);
  assert.equal(
    createScrubber(sensitive).text(`Basic ${btoa("admin:pw12")} for admin:pw12`).text,
    "Basic [redacted]== for [redacted]",
  );
});
