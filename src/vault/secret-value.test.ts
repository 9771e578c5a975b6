import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { faultOfSecretValue, MAX_SECRET_BYTES } from "./secret-value.ts";

describe("faultOfSecretValue", () => {
  const refused: Readonly<Record<string, Uint8Array>> = {
    nothing: Buffer.of(),
    "what is too large": Buffer.alloc(MAX_SECRET_BYTES + 1, 0x61),
    "bytes that are not UTF-8": Buffer.of(0x61, 0xff, 0x62),
    "a lone surrogate": Buffer.from("ed a0 80".replaceAll(" ", ""), "hex"),
    "a space before": Buffer.from(" value"),
    "a tab behind": Buffer.from("value\t"),
    "a no-break space behind": Buffer.from("value\u00a0"),
    "a byte order mark": Buffer.from("\ufeffvalue"),
  };
  for (const [name, value] of Object.entries(refused)) {
    test(`refuses ${name}`, () => assert.equal(typeof faultOfSecretValue(value), "string"));
  }

  test("law: refuses every control character, wherever it stands, and never quotes the value", () => {
    const control = fc
      .constantFrom(...Array.from({ length: 0x20 }, (_, code) => code), 0x7f)
      .filter((code) => code !== 0x09);
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{12,20}$/), control, fc.nat(), (text, code, at) => {
        const where = at % (text.length + 1);
        const value = text.slice(0, where) + String.fromCharCode(code) + text.slice(where);
        const fault = faultOfSecretValue(Buffer.from(value, "latin1"));
        assert.ok(fault !== undefined && !fault.includes(text));
      }),
      { numRuns: 300 },
    );
  });

  test("takes printable text of any script, with spaces and tabs inside", () => {
    for (const text of ["sk_live_abc", "pass word\twith", "Straße-пароль-密", "x"]) {
      assert.equal(faultOfSecretValue(Buffer.from(text, "utf8")), undefined, text);
    }
  });
});
