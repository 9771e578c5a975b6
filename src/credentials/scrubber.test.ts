import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Secret } from "../base/secret.ts";
import { CHARACTER_ESCAPES, choicesFrom, ESCAPES, FORMS, leaks } from "./encodings.testing.ts";
import { SCRUBBED_ENCODINGS } from "./scrubbed-encodings.ts";
import { createScrubber, type Scrubber } from "./scrubber.ts";

const MARKER = "[redacted]";

const scrubberOf = (...secrets: string[]) => createScrubber(secrets.map((secret) => new Secret(secret)));

/** Keys as vendors make them, and all that a person may type. */
const secretText = fc.oneof(
  fc.string({ minLength: 8, maxLength: 40, unit: fc.constantFrom(..."abcdefXYZ0123456789+/=_-") }),
  fc.string({ minLength: 8, maxLength: 24, unit: fc.constantFrom(..."ab4%\\&\"'/u+ ;#<41x") }),
  fc
    .string({ minLength: 8, maxLength: 24, unit: "binary" })
    .filter((text) => text.isWellFormed() && !/[[\]]/.test(text)),
);

const numbers = fc.array(fc.nat(1000), { minLength: 20, maxLength: 40 });

/** Bytes that are in no base64, hex or escape, and so cannot be taken for part of one. */
const neutral = fc.string({ maxLength: 12, unit: fc.constantFrom(..." \n{}():,|~^") });

function scrub(scrubber: Scrubber, bytes: Uint8Array): string {
  return Buffer.from(scrubber.bytes(bytes).bytes).toString("latin1");
}

function pushed(out: Uint8Array | readonly Uint8Array[]): Buffer {
  return Buffer.concat(out instanceof Uint8Array ? [out] : out);
}

function inChunks(scrubber: Scrubber, bytes: Buffer, sizes: readonly number[]): { out: string; redacted: number } {
  const stream = scrubber.stream();
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    parts.push(pushed(stream.push(bytes.subarray(at, at + size))));
    at += size;
  }
  parts.push(Buffer.from(stream.end()));
  return { out: Buffer.concat(parts).toString("latin1"), redacted: stream.redacted };
}

for (const [form, encode] of Object.entries(FORMS)) {
  test(`a secret in ${form}, escaped up to three deep, is taken out and nothing else`, () => {
    const escapes = fc.array(fc.constantFrom(...Object.keys(ESCAPES)), { maxLength: 3 });
    fc.assert(
      fc.property(secretText, escapes, numbers, neutral, neutral, (secret, layers, picks, before, after) => {
        const choose = choicesFrom(picks);
        const whole = encode(secret, choose).toString("latin1");
        const written = layers.reduce((text, layer) => ESCAPES[layer]!(text, choose), whole);
        const out = scrub(scrubberOf(secret), Buffer.from(before + written + after, "latin1"));
        assert.ok(!out.includes(written), `left as it was: ${out}`);
        assert.ok(
          out.startsWith(before) && out.endsWith(after),
          `touched its neighbours: ${JSON.stringify({ out, before, after })}`,
        );
        assert.ok(out.includes("redacted"));
        if (/^(utf|hex)/.test(form)) assert.equal(out.length, before.length + MARKER.length + after.length, out);
      }),
      { numRuns: 200 },
    );
  });
}

test("the examples of the published list are taken out", () => {
  const scrubber = scrubberOf('s3cr3t/"key"');
  const { forms, escapes } = SCRUBBED_ENCODINGS;
  const examples = [...forms, ...escapes].map(({ example }) => example).filter((example) => !/…| for /.test(example));
  assert.equal(examples.length, 8);
  for (const example of examples) assert.match(scrubber.text(`(${example})`).text, /^\(\[redacted\]=*\)$/, example);
});

test("characters are found escaped as characters, surrogate pairs too", () => {
  fc.assert(
    fc.property(secretText, fc.constantFrom(...Object.keys(CHARACTER_ESCAPES)), numbers, (secret, layer, picks) => {
      const written = CHARACTER_ESCAPES[layer]!(secret, choicesFrom(picks));
      const { text, redacted } = scrubberOf(secret).text(`(${written})`);
      assert.deepEqual(
        { text: text.replace(/[<(]?.redacted.[)>]?/, "x"), redacted },
        { text: text.replace(/[<(]?.redacted.[)>]?/, "x"), redacted: 1 },
      );
      assert.ok(text.length <= 14, text);
    }),
    { numRuns: 300 },
  );
});

/** Parts that are fit to mislead: introducers, halves of escapes, pieces of the secret. */
const hostileText = (secret: string) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "%",
          "\\",
          "&",
          "\\\\",
          "%25",
          "&amp;",
          "\\u00",
          "%5c",
          "&#",
          "&#x",
          ";",
          "4",
          "41",
          "+",
          '"',
          '\\"',
          "u",
          "0",
        ),
        fc.tuple(fc.nat(secret.length), fc.nat(secret.length)).map(([from, to]) => secret.slice(from, to)),
        fc
          .tuple(fc.constantFrom(...Object.values(ESCAPES)), numbers)
          .map(([write, picks]) => write(secret, choicesFrom(picks))),
      ),
      { maxLength: 7 },
    )
    .map((parts) => parts.join("").slice(0, 60));

const trickySecret = fc.string({ minLength: 8, maxLength: 10, unit: fc.constantFrom(...'a4%\\&"/u1;#+ ') });

test("what no escape hides comes out, whatever stands around it", () => {
  fc.assert(
    fc.property(
      trickySecret.chain((secret) => fc.tuple(fc.constant(secret), hostileText(secret))),
      ([secret, text]) => {
        const out = scrubberOf(secret).text(text).text;
        assert.equal(leaks(out, [secret]), undefined);
      },
    ),
    { numRuns: 250 },
  );
});

test("how the text is cut makes no difference, and what was scrubbed stays as it is", () => {
  const cases = fc
    .tuple(fc.oneof(trickySecret, secretText), fc.oneof(trickySecret, secretText))
    .chain(([one, two]) =>
      fc.tuple(
        fc.constant([one, two] as const),
        hostileText(one),
        hostileText(two),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      ),
    );
  fc.assert(
    fc.property(cases, fc.constantFrom(0, 1, 3, 80), ([[one, two], first, second, sizes], repeats) => {
      const scrubber = scrubberOf(one, two);
      const filler = "the answer of the service, c2VydmljZQ== or 736572 \\n ".repeat(repeats);
      const bytes = Buffer.from(
        `${first}${filler}${second}${filler}${Buffer.from(`user:${one}`).toString("base64")}${first}`,
      );
      const once = scrubber.bytes(bytes);
      const whole = Buffer.from(once.bytes).toString("latin1");
      assert.deepEqual(inChunks(scrubber, bytes, sizes), { out: whole, redacted: once.redacted });
      assert.deepEqual(inChunks(scrubber, bytes, [repeats < 80 ? 1 : 17, 3000]), {
        out: whole,
        redacted: once.redacted,
      });
      assert.equal(scrub(scrubber, Buffer.from(once.bytes)), whole);
    }),
    { numRuns: 400 },
  );
});

test("text without the secret passes as it came, in the same array", () => {
  const scrubber = scrubberOf("sk_live_51HxQ9TZk3jKJd83kdjQp", "pass word&co");
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: fc.constantFrom(...'abk_slive%&\\;u0041"+ \n') }), (text) => {
      const bytes = Buffer.from(text);
      assert.equal(scrubber.bytes(bytes).bytes, bytes);
      assert.deepEqual(inChunks(scrubber, bytes, [7, 3, 50]), { out: text, redacted: 0 });
    }),
    { numRuns: 300 },
  );
});

test("a chunk that ends with a line is given out at once, and is the chunk itself", () => {
  const stream = scrubberOf("sk_live_51HxQ9TZk3jKJd83kdjQp").stream();
  const event = Buffer.from('data: {"text":"a \\"word\\" & 100% \\n"}\n\n');
  for (let i = 0; i < 5; i++) assert.equal(stream.push(event), event);
});

test("only what may become the secret is kept back", () => {
  const secret = "sk_live_51HxQ9TZk3jKJd83kdjQp";
  const keptOf = (text: string) => {
    const stream = scrubberOf(secret).stream();
    return text.length - pushed(stream.push(Buffer.from(text))).length;
  };
  assert.equal(keptOf(`see ${secret.slice(0, 20)}`), 20);
  assert.equal(keptOf("see %73%6b%5"), 8);
  assert.equal(keptOf("100%"), 1);
  assert.equal(keptOf("100%!"), 0);
  assert.equal(keptOf("a\\u00"), 4);
  assert.equal(keptOf("a &am"), 3);
  assert.equal(keptOf("a &am!"), 0);
  assert.equal(keptOf(`see ${secret}`), secret.length - MARKER.length);
});

test("the union of overlapping, nested and touching secrets is one redaction", () => {
  const scrubber = scrubberOf("abcdefgh", "abcdefghij", "ghijklmnop");
  assert.deepEqual(scrubber.text("<abcdefghijklmnop>"), { text: `<${MARKER}>`, redacted: 1 });
  assert.deepEqual(scrubber.text("<abcdefghi>"), { text: `<${MARKER}i>`, redacted: 1 });
  assert.deepEqual(scrubber.text("<abcdefghabcdefgh>"), { text: `<${MARKER}>`, redacted: 1 });
  assert.deepEqual(scrubber.text("<abcdefgh abcdefgh>"), { text: `<${MARKER} ${MARKER}>`, redacted: 2 });
});

test("a secret is found where the beginning of a longer one was under way", () => {
  const scrubber = scrubberOf("abcdefgh", "00abcdefgh11");
  assert.equal(scrubber.text("<00abcdefgh>").text, `<00${MARKER}>`);
  assert.equal(scrubber.text("<00abcdefgh11>").text, `<${MARKER}>`);
});

test("the base64 characters that share bits with the neighbours go too", () => {
  const scrubber = scrubberOf("s3cr3t-value");
  for (const before of ["", "a", "ab", "abc"]) {
    for (const after of ["", "y", "yz"]) {
      const text = Buffer.from(`${before}s3cr3t-value${after}`).toString("base64").replace(/=/g, "");
      const first = Math.floor((before.length * 8) / 6);
      const last = Math.ceil(((before.length + 12) * 8) / 6);
      assert.equal(scrubber.text(text).text, `${text.slice(0, first)}${MARKER}${text.slice(last)}`);
    }
  }
});

test("a neighbour that swallows the first bytes of a secret does not hide it", () => {
  assert.equal(scrubberOf('41ab"cdefgh').text('100%41ab\\"cdefgh').text, `100%${MARKER}`);
  assert.equal(scrubberOf('abcdefg"h%').text('abcdefg\\"h%41').text, `${MARKER}41`);
  assert.equal(scrubberOf('nab"cdefgh').text('C:\\nab\\"cdefgh').text, `C:\\${MARKER}`);
});

test("the marker never brings back a secret that looks like it", () => {
  for (const secret of ["redacted", "[redacted]", "abcdefg[", "]abcdefg", "(redacted)<[{|*~^"]) {
    const scrubber = scrubberOf(secret, "another-one");
    const { text } = scrubber.text(`abcdefg another-one ${secret} abcdefganother-oneabcdefg`);
    assert.ok(!text.includes(secret), text);
  }
});

test("secrets under eight bytes are not looked for", () => {
  const scrubber = scrubberOf("hunter2");
  assert.deepEqual(scrubber.text("hunter2"), { text: "hunter2", redacted: 0 });
  assert.equal(scrubberOf("hunter2", "hunter22").text("hunter22 hunter2").text, `${MARKER} hunter2`);
});

test("a secret of 64 KiB is found, in pieces too", () => {
  const secret = Array.from({ length: 65536 }, (_, i) => String.fromCharCode(33 + ((i * 7919 + (i >> 5)) % 90)))
    .join("")
    .replace(/[[\]]/g, "x");
  const scrubber = scrubberOf(secret);
  const written = JSON.stringify({ secret, encoded: Buffer.from(secret).toString("base64") });
  assert.deepEqual(inChunks(scrubber, Buffer.from(written), [16384, 100]), {
    out: `{"secret":"${MARKER}","encoded":"${MARKER}=="}`,
    redacted: 2,
  });
});

test("a private key of many lines is found as json has it", () => {
  const key = `-----BEGIN KEY-----\n${"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n".repeat(20)}-----END KEY-----\n`;
  const file = JSON.stringify({ private_key: key });
  assert.equal(scrubberOf(key).text(file).text, `{"private_key":"${MARKER}"}`);
  const encoded = Buffer.from(file).toString("base64");
  assert.ok(scrubberOf(key).text(encoded).text.length < 60);
});

test("hostile texts cost linear time and pass unchanged", () => {
  const scrubbers = [
    scrubberOf(`${"a".repeat(200)}b`),
    scrubberOf("\\%&\\".repeat(8)),
    scrubberOf(`${" ".repeat(30)}x`),
  ];
  for (const unit of ["a", "\\", "%", "%25", "%61", "&", "&amp;", "&#0000", "\\u005c", "&\\%", "+"]) {
    const text = Buffer.alloc(20_000, unit);
    for (const scrubber of scrubbers) assert.equal(scrub(scrubber, text), text.toString("latin1"), unit);
  }
});
