import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createActionChallenges } from "./action-challenges.ts";
import { softwareAuthenticator, type Twist, writeCbor } from "./authenticator.testing.ts";
import { type Cbor, CborFault, readCbor } from "./cbor.ts";
import { checkAssertion, checkRegistration, type Site } from "./webauthn.ts";

const SITE: Site = { origin: "https://broker.example.com", rpId: "broker.example.com" };
const CHALLENGE = "Y2hhbGxlbmdl";

function registered(authenticator = softwareAuthenticator()) {
  const made = checkRegistration(authenticator.create(CHALLENGE, SITE), { challenge: CHALLENGE, site: SITE });
  assert.ok(made.ok);
  return { authenticator, key: made.value };
}

for (const kind of ["ES256", "EdDSA", "RS256"] as const) {
  test(`a passkey is made and used: ${kind}`, () => {
    const { authenticator, key } = registered(softwareAuthenticator(kind));
    assert.equal(key.id, authenticator.id);
    const used = checkAssertion(authenticator.get("b25l", SITE), { challenge: "b25l", site: SITE, key });
    assert.deepEqual(used, { ok: true, value: 2 });
  });
}

const WRONG: Readonly<Record<string, readonly [Twist, string]>> = {
  "another site's origin": [{ origin: "https://evil.example" }, "origin"],
  "the origin on another port": [{ origin: "https://broker.example.com:8443" }, "origin"],
  "another site's key": [{ rpId: "example.com" }, "rp_id"],
  "in a frame of another site": [{ client: { crossOrigin: true } }, "cross_origin"],
  "with a top origin": [{ client: { topOrigin: "https://evil.example" } }, "cross_origin"],
  "the other ceremony": [{ type: "payment.get" }, "type"],
  "nobody was there": [{ flags: 0x04 }, "user_not_present"],
  "the person was not verified": [{ flags: 0x01 }, "user_not_verified"],
  "backed up, but may not be": [{ flags: 0x15 }, "authenticator_data"],
  "bytes after the end": [{ tail: Buffer.from([0]) }, "authenticator_data"],
  "announces extensions that are not there": [{ flags: 0x85 }, "authenticator_data"],
};

for (const [what, [twist, reason]] of Object.entries(WRONG)) {
  test(`an assertion is refused: ${what}`, () => {
    const { authenticator, key } = registered();
    const used = checkAssertion(authenticator.get("b25l", SITE, twist), { challenge: "b25l", site: SITE, key });
    assert.deepEqual(used, { ok: false, reason });
  });
  test(`a registration is refused: ${what}`, () => {
    const made = { ...twist, ...(twist.flags === undefined ? {} : { flags: twist.flags | 0x40 }) };
    const answer = softwareAuthenticator().create(CHALLENGE, SITE, made);
    assert.deepEqual(checkRegistration(answer, { challenge: CHALLENGE, site: SITE }), { ok: false, reason });
  });
}

test("an assertion is refused: another challenge, another's signature, a changed byte", () => {
  const { authenticator, key } = registered();
  const other = softwareAuthenticator();
  const check = (answer: ReturnType<typeof other.get>) =>
    checkAssertion(answer, { challenge: "b25l", site: SITE, key });
  assert.deepEqual(check(authenticator.get("dHdv", SITE)), { ok: false, reason: "challenge" });
  other.get("b25l", SITE);
  assert.deepEqual(check(other.get("b25l", SITE)), { ok: false, reason: "signature" });
  const right = authenticator.get("b25l", SITE);
  right.authenticatorData[36]! ^= 0x10;
  assert.deepEqual(check(right), { ok: false, reason: "signature" });
});

test("a counter that does not go on is a copy of the key; one that never counts is fine", () => {
  const { authenticator, key } = registered();
  const check = (signCount: number, kept: number) =>
    checkAssertion(authenticator.get("b25l", SITE, { signCount }), {
      challenge: "b25l",
      site: SITE,
      key: { ...key, signCount: kept },
    });
  assert.deepEqual(check(7, 7), { ok: false, reason: "counter" });
  assert.deepEqual(check(6, 7), { ok: false, reason: "counter" });
  assert.deepEqual(check(0, 7), { ok: false, reason: "counter" });
  assert.deepEqual(check(8, 7), { ok: true, value: 8 });
  assert.deepEqual(check(0, 0), { ok: true, value: 0 });
});

test("a key that is none, weak, or of another kind than it says is not taken", () => {
  const es = softwareAuthenticator();
  const changed = (label: number, value: unknown) =>
    writeCbor(new Map(es.cose.map(([name, old]) => [name, name === label ? value : old])));
  const rsa = softwareAuthenticator("RS256");
  const keys = [
    changed(3, -8),
    changed(3, -65_535),
    changed(1, 3),
    changed(-1, 2),
    changed(-2, Buffer.alloc(32)),
    changed(-2, Buffer.alloc(31, 1)),
    writeCbor(new Map(rsa.cose.map(([name, old]) => [name, name === -1 ? Buffer.alloc(128, 255) : old]))),
    writeCbor(new Map(rsa.cose.map(([name, old]) => [name, name === -2 ? Buffer.from([0, 0, 3]) : old]))),
    writeCbor("none"),
  ];
  for (const key of keys) {
    const answer = es.create(CHALLENGE, SITE, {}, key);
    assert.deepEqual(checkRegistration(answer, { challenge: CHALLENGE, site: SITE }), { ok: false, reason: "key" });
  }
});

test("whatever bytes come: a refusal, never a throw", () => {
  const { authenticator, key } = registered();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(400), fc.nat(255), (noise, at, mask) => {
      const made = authenticator.create(CHALLENGE, SITE);
      const bent = Buffer.from(made.attestationObject);
      if (at < bent.length) bent[at]! ^= mask;
      for (const attestationObject of [noise, bent, made.attestationObject.subarray(0, at)]) {
        checkRegistration({ ...made, attestationObject }, { challenge: CHALLENGE, site: SITE });
      }
      const used = authenticator.get("b25l", SITE);
      const expected = { challenge: "b25l", site: SITE, key };
      assert.equal(checkAssertion({ ...used, authenticatorData: noise }, expected).ok, false);
      assert.equal(checkAssertion({ ...used, clientDataJSON: noise }, expected).ok, false);
      assert.equal(checkAssertion({ ...used, signature: noise }, expected).ok, false);
    }),
    { numRuns: 50 },
  );
});

const cborValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie("value")), { selector: ([k]) => k, maxLength: 4 })
      .map((entries) => new Map(entries)),
  ),
})).value;

test("what is written in the strict form is read as it was, and its end is found", () => {
  fc.assert(
    fc.property(cborValue, fc.uint8Array({ maxLength: 3 }), (value, tail) => {
      const bytes = writeCbor(value);
      const read = readCbor(Buffer.concat([bytes, tail]));
      assert.deepEqual(read.value as unknown, value instanceof Uint8Array ? Uint8Array.from(value) : value);
      assert.equal(read.end, bytes.length);
    }),
    { numRuns: 200 },
  );
});

test("a value has one encoding: what is read, written again, is the same bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      let read: { readonly value: Cbor; readonly end: number };
      try {
        read = readCbor(bytes);
      } catch (error) {
        assert.ok(error instanceof CborFault);
        return;
      }
      assert.deepEqual(writeCbor(read.value), Buffer.from(bytes.subarray(0, read.end)));
    }),
    { numRuns: 2_000 },
  );
});

for (const [what, hex] of Object.entries({
  "an indefinite length": "5f4101ff",
  "a long form of a short number": "1817",
  "a two-byte form of a one-byte number": "1900ff",
  "a key twice": "a201000100",
  "a tag": "c100",
  "a float": "f90000",
  "a length beyond the end": "5affffffff",
  "a list of four thousand million": "9affffffff",
  "nested without end": "81".repeat(50),
  "a number beyond 2^53": "1bffffffffffffffff",
  nothing: "",
})) {
  test(`not CBOR of the strict form: ${what}`, () => {
    assert.throws(() => readCbor(Buffer.from(hex, "hex")), CborFault);
  });
}

test("a challenge is for one action, for five minutes, for one use", () => {
  const clock = { now: new Date("2026-03-01T10:00:00Z") };
  const challenges = createActionChallenges(() => clock.now);
  const challenge = challenges.issue("approve apr_1");
  assert.ok(!challenges.take(challenge, "approve apr_2"));
  assert.ok(!challenges.take(`${challenge}=`, "approve apr_1"));
  assert.ok(!challenges.take("", ""));
  assert.ok(!createActionChallenges(() => clock.now).take(challenge, "approve apr_1"));
  const uses = Array.from({ length: 100 }, () => challenges.take(challenge, "approve apr_1"));
  assert.equal(uses.filter(Boolean).length, 1);
  const late = challenges.issue("approve apr_1");
  clock.now = new Date(clock.now.getTime() + 300_000);
  assert.ok(!challenges.take(late, "approve apr_1"));
});
