import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob } from "../policy/glob.ts";
import {
  type AuthorizationDetails,
  detailsOnWire,
  isAtLocation,
  narrowDetails,
  parseAuthorizationDetails,
  readDetails,
  scopesLeft,
} from "./authorization-details.ts";

const URL = "https://broker.example";
const parse = (value: unknown) => parseAuthorizationDetails(JSON.stringify(value), URL);

test("one object of our type with known members is read, and written as it was", () => {
  const details = {
    purpose: "dns-automation",
    task: "TICKET-7 ü",
    tenant: "acme",
    role: "dns-reader",
    actions: ["registrar:*"],
    locations: [`${URL}/mcp`],
  };
  assert.deepEqual(parse([{ type: "doorward", ...details }]), { ok: true, details });
  assert.deepEqual(readDetails(detailsOnWire(details)), { ok: true, details });
  assert.deepEqual(parse([{ type: "doorward" }]), { ok: true, details: {} });
  assert.deepEqual(parse([]), { ok: true, details: undefined });
});

const one = (more: object) => [{ type: "doorward", ...more }];
const REFUSED: Record<string, unknown> = {
  "no list": { type: "doorward" },
  "no object": ["doorward"],
  "a list in the list": [[]],
  nothing: [null],
  "no type": [{ purpose: "x" }],
  "another type": [{ type: "payment_initiation" }],
  "a type in other letters": [{ type: "Doorward" }],
  "two objects": [{ type: "doorward" }, { type: "doorward", purpose: "x" }],
  "an unknown member": one({ datatypes: ["x"] }),
  "a member of a prototype": one({ constructor: "x" }),
  "a member in other letters": one({ Purpose: "x" }),
  "an empty text": one({ purpose: "" }),
  "a long text": one({ task: "x".repeat(129) }),
  "a number": one({ tenant: 7 }),
  "a list of purposes": one({ purpose: ["a", "b"] }),
  "nothing as a role": one({ role: null }),
  "a text that turns": one({ purpose: "a\u202eb" }),
  "two lines": one({ task: "a\nb" }),
  "a space before": one({ task: " a" }),
  "no actions": one({ actions: [] }),
  "an action that is no operation": one({ actions: ["no scope"] }),
  "two actions in one": one({ actions: ["a:b c:d"] }),
  "too many actions": one({ actions: Array.from({ length: 51 }, (_, at) => `a:b${at}`) }),
  "actions as a text": one({ actions: "a:b" }),
  "no locations": one({ locations: [] }),
  "a location elsewhere": one({ locations: ["https://evil.example/mcp"] }),
  "a location that only begins like ours": one({ locations: [`${URL}.evil.example/mcp`] }),
  "a location in another form": one({ locations: [`${URL}/mcp/../api`] }),
};

for (const [what, value] of Object.entries(REFUSED)) {
  test(`authorization details are refused: ${what}`, () => assert.equal(parse(value).ok, false));
}

test("a key that is written twice is refused", () => {
  const text = '[{"type":"doorward","purpose":"a","purpose":"b"}]';
  assert.equal(parseAuthorizationDetails(text, URL).ok, false);
});

const held: AuthorizationDetails = { purpose: "dns", actions: ["dns:*"], locations: [`${URL}/mcp`] };
const WIDER: Record<string, AuthorizationDetails> = {
  "another purpose": { purpose: "mail" },
  "wider actions": { actions: ["*"] },
  "one action more": { actions: ["dns:zones", "mail:read"] },
  "another location": { locations: [`${URL}/api`] },
  "one location more": { locations: [`${URL}/mcp/github`, `${URL}/api`] },
};

for (const [what, asked] of Object.entries(WIDER)) {
  test(`more than was granted is refused: ${what}`, () => assert.equal(narrowDetails(asked, held, URL), undefined));
}

test("less than was granted is what is left", () => {
  const asked = { task: "T-1", actions: ["dns:zones"], locations: [`${URL}/mcp/github`] };
  assert.deepEqual(narrowDetails(asked, held, URL), { details: { purpose: "dns", ...asked } });
});

const word = fc.constantFrom("a", "b");
const pattern = fc.stringMatching(/^(?:[ab]|\*):(?:[ab]|\*)$/);
const location = fc.constantFrom("/mcp", "/mcp/a", "/mcp/b", "/api").map((path) => URL + path);
const details: fc.Arbitrary<AuthorizationDetails> = fc.record(
  {
    purpose: word,
    task: word,
    tenant: word,
    role: word,
    actions: fc.array(pattern, { minLength: 1, maxLength: 3 }),
    locations: fc.array(location, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const call = fc.record({
  purpose: word,
  task: word,
  tenant: word,
  role: word,
  scope: fc.constantFrom("a:a", "a:b", "b:a", "b:b"),
  resource: location,
});

/** Whether a token with these details and scopes lets a call through. */
function lets(
  given: AuthorizationDetails | undefined,
  scopes: readonly string[],
  { scope, resource, ...context }: { scope: string; resource: string } & Record<string, string>,
): boolean {
  const left = scopesLeft(scopes, given ?? {});
  const fits = (["purpose", "task", "tenant", "role"] as const).every(
    (name) => given?.[name] === undefined || given[name] === context[name],
  );
  return fits && isAtLocation(given ?? {}, resource, URL) && left.some((glob) => compileGlob(glob).matches(scope));
}

test("no step of narrowing ever yields more than any step before it", () => {
  const steps = fc.array(fc.option(details, { nil: undefined }), { minLength: 1, maxLength: 4 });
  const scopes = fc.array(fc.oneof(pattern, fc.constant("*")), { maxLength: 3 });
  fc.assert(
    fc.property(steps, scopes, call, (asked, held, made) => {
      let granted: AuthorizationDetails | undefined;
      const chain: (AuthorizationDetails | undefined)[] = [];
      for (const step of asked) {
        const narrowed = narrowDetails(step, granted, URL);
        if (narrowed === undefined) break;
        granted = narrowed.details;
        chain.push(step, granted);
      }
      if (lets(granted, held, made)) {
        for (const earlier of chain) assert.ok(lets(earlier, held, made), JSON.stringify([chain, made]));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what a client asks within what was granted, it gets", () => {
  fc.assert(
    fc.property(details, (granted) => {
      assert.deepEqual(narrowDetails(granted, granted, URL), { details: granted });
      assert.deepEqual(narrowDetails(undefined, granted, URL), { details: granted });
      assert.deepEqual(narrowDetails({}, granted, URL), { details: granted });
      assert.deepEqual(narrowDetails(granted, undefined, URL), { details: granted });
    }),
  );
});

test("what actions leave of scopes is within both", () => {
  fc.assert(
    fc.property(fc.array(pattern), fc.array(pattern, { minLength: 1 }), call, (scopes, actions, { scope }) => {
      const matches = (globs: readonly string[]) => globs.some((glob) => compileGlob(glob).matches(scope));
      if (matches(scopesLeft(scopes, { actions }))) assert.ok(matches(scopes) && matches(actions));
    }),
  );
  assert.deepEqual(scopesLeft(["*"], { actions: ["dns:zones"] }), ["dns:zones"]);
  assert.deepEqual(scopesLeft(["dns:zones", "mail:read"], { actions: ["dns:*"] }), ["dns:zones"]);
});
