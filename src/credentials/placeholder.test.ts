import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Secret } from "../base/secret.ts";
import { MAX_SHARED_RUN, MIN_RANDOM_CHARACTERS, makePlaceholder, watchPlaceholder } from "./placeholder.ts";

const make = (secret: string) => makePlaceholder(new Secret(secret));

const PREFIXED: Record<string, string> = {
  "a GitHub token": "ghp_9fQ2mZx7LrT4vB8nKc3WdJ6sHy1PaE5uRtGo",
  "a fine-grained GitHub token":
    "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789abcdefghijklmnopqrstuvwxyzAB",
  "a Stripe key": "sk_live_51HqLyjWDarjtT1zdp7dcFAkEXAMPLEabcdef",
  "a Slack token": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
  "an Anthropic key": "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdEfGhIjKlMn",
  "an AWS key id": "AKIAIOSFODNN7EXAMPLE",
  "an npm token": "npm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
  "a SendGrid key": "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",
};

for (const [name, secret] of Object.entries(PREFIXED)) {
  test(`the placeholder of ${name} has its prefix and its length`, () => {
    const placeholder = make(secret);
    assert.equal(placeholder.length, secret.length);
    const prefix = /^(?:github_pat_|ghp_|sk_live_|xoxb-|sk-ant-api03-|AKIA|npm_|SG\.)/.exec(secret)![0];
    assert.ok(placeholder.startsWith(prefix));
    assert.notEqual(placeholder.slice(prefix.length), secret.slice(prefix.length));
  });
}

const ALPHABETS: Record<string, [alphabet: string, shape: RegExp]> = {
  digits: ["0123456789", /^[0-9]+$/],
  hex: ["0123456789abcdef", /^[0-9a-f]+$/],
  letters: ["abcXYZ0189", /^[0-9A-Za-z]+$/],
  base64url: ["abcXYZ0189-_", /^[0-9A-Za-z_-]+$/],
};

for (const [name, [alphabet, shape]] of Object.entries(ALPHABETS)) {
  test(`a secret of ${name} gets a placeholder of these, as long, and with no run in common`, () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...alphabet), minLength: 16, maxLength: 80 }), (secret) => {
        const placeholder = make(secret);
        assert.equal(placeholder.length, secret.length);
        assert.match(placeholder, shape);
        for (let at = 0; at + MAX_SHARED_RUN <= secret.length; at++) {
          assert.ok(!placeholder.includes(secret.slice(at, at + MAX_SHARED_RUN)));
        }
      }),
      { numRuns: 50 },
    );
  });
}

test("any secret gets a placeholder that stands unescaped in headers, urls, forms and JSON", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 60 }), (secret) => {
      const placeholder = make(secret);
      assert.equal(encodeURIComponent(placeholder), placeholder);
      assert.equal(JSON.stringify(placeholder), `"${placeholder}"`);
      assert.ok(placeholder.length >= MIN_RANDOM_CHARACTERS);
    }),
    { numRuns: 100 },
  );
});

test("short secrets get longer ones, behind a prefix too", () => {
  assert.equal(make("hunter22").length, MIN_RANDOM_CHARACTERS);
  assert.equal(make("ghp_abc").length, "ghp_".length + MIN_RANDOM_CHARACTERS);
});

test("two programs have different placeholders", () => {
  const made = new Set(Array.from({ length: 100 }, () => make(PREFIXED["a GitHub token"]!)));
  assert.equal(made.size, 100);
});

test("the secret's own characters come as often as any: from many placeholders nothing is learnt", () => {
  const secret = "0123456789abcdef0123456789abcdef";
  const seen = Array.from({ length: 32 }, () => new Set<string>());
  for (let run = 0; run < 400; run++)
    for (const [at, character] of [...make(secret)].entries()) seen[at]!.add(character);
  for (const [at, characters] of seen.entries()) assert.ok(characters.has(secret[at]!), `place ${at}`);
});

test("a watched placeholder is found in every encoding, and ordinary text is not", () => {
  const { value, traces } = watchPlaceholder(make("ghp_9fQ2mZx7LrT4vB8nKc3WdJ6sHy1PaE5uRtGo"));
  const bytes = Buffer.from(value);
  for (const text of [value, bytes.toString("hex"), bytes.toString("base64"), `x${bytes.toString("base64url")}`]) {
    assert.equal(traces.text(text).redacted, 1, text);
  }
  assert.equal(traces.text("Mozilla/5.0 (X11; Linux x86_64)").redacted, 0);
});
