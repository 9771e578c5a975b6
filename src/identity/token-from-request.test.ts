import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CredentialPlace, tokenFromRequest } from "./token-from-request.ts";

const KEY = "dw_default_AAAABBBBCCCC_0123456789abcdef0123456789abcdef01abcdef";
const OTHER = KEY.replace("AAAA", "ZZZZ");
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const HEADER: CredentialPlace = { kind: "header", name: "X-Api-Key" };
const QUERY: CredentialPlace = { kind: "query", name: "api_key" };

const find = (headers: [string, string][], search = "", credential?: CredentialPlace) =>
  tokenFromRequest({ rawHeaders: headers.flat(), search, credential });
const tokenOf = (found: ReturnType<typeof find>) => (found.ok ? found.token : found.reason);

const found: Record<string, readonly [ReturnType<typeof find>, string | undefined]> = {
  "nothing anywhere": [find([["Accept", "*/*"]]), undefined],
  Bearer: [find([["authorization", `Bearer ${KEY}`]]), KEY],
  "bearer in any case, with spaces": [find([["Authorization", `  bearer   ${KEY} `]]), KEY],
  "the scheme `token`, as Octokit writes it": [find([["authorization", `token ${KEY}`]]), KEY],
  "no scheme at all": [find([["authorization", KEY]]), KEY],
  "Basic password": [find([["authorization", basic("someone", KEY)]]), KEY],
  "Basic user name, as Stripe writes it": [find([["authorization", basic(KEY, "")]]), KEY],
  "Basic without a colon": [find([["authorization", `Basic ${Buffer.from(KEY).toString("base64")}`]]), KEY],
  "the service's own header": [find([["x-api-key", KEY]], "", HEADER), KEY],
  "the service's own header, with the vendor's prefix": [find([["X-API-KEY", `Token token=${KEY}`]], "", HEADER), KEY],
  "the service's own parameter": [find([], `?api_key=${KEY}&a=1`, QUERY), KEY],
  "a header that is not the service's": [find([["x-api-key", KEY]], "", QUERY), undefined],
  "a parameter that is not the service's": [find([], `?api_key=${KEY}`, HEADER), undefined],
  "a key beside an SDK's dummy": [
    find(
      [
        ["authorization", "Bearer dummy"],
        ["x-api-key", KEY],
      ],
      "",
      HEADER,
    ),
    KEY,
  ],
  "a dummy beside a key": [
    find(
      [
        ["authorization", `Bearer ${KEY}`],
        ["x-api-key", "dummy"],
      ],
      "",
      HEADER,
    ),
    KEY,
  ],
  "the same key twice": [find([["authorization", `Bearer ${KEY}`]], `?api_key=${KEY}`, QUERY), KEY],
  "two keys": [find([["authorization", `Bearer ${KEY}`]], `?api_key=${OTHER}`, QUERY), "ambiguous"],
  "two keys in one place": [
    find([
      ["authorization", `Bearer ${KEY}`],
      ["authorization", `Bearer ${OTHER}`],
    ]),
    "ambiguous",
  ],
  "two keys in one Basic": [find([["authorization", basic(OTHER, KEY)]]), "ambiguous"],
  "two keys in one query": [find([], `?api_key=${KEY}&api_key=${OTHER}`, QUERY), "ambiguous"],
  "only a dummy": [find([["authorization", "Bearer dummy"]]), "dummy"],
  "an empty Bearer": [find([["authorization", "Bearer "]]), "Bearer"],
};

for (const [where, [answer, token]] of Object.entries(found)) test(where, () => assert.equal(tokenOf(answer), token));

test("every place of a token is emptied, and nothing else is touched", () => {
  const answer = find(
    [
      ["Accept", "*/*"],
      ["Authorization", "Bearer dummy"],
      ["X-Api-Key", KEY],
      ["Cookie", "a=b"],
      ["accept", "text/html"],
    ],
    "?api_key=1&b=%2f&&c",
    HEADER,
  );
  assert.deepEqual(answer, {
    ok: true,
    token: KEY,
    headers: [
      ["accept", "*/*"],
      ["cookie", "a=b"],
      ["accept", "text/html"],
    ],
    search: "?api_key=1&b=%2f&&c",
  });
});

test("a parameter is taken out however it is spelled, and the rest stays as it came", () => {
  const searchOf = (search: string) => {
    const answer = find([], search, QUERY);
    return answer.ok ? answer.search : answer.reason;
  };
  assert.equal(searchOf(`?api_key=${KEY}`), "");
  assert.equal(searchOf(`?a=%7e&api%5Fkey=${KEY}&b=+`), "?a=%7e&b=+");
  assert.equal(searchOf(`?api_key&API_KEY=x&api_key=${KEY}`), "?API_KEY=x");
  assert.equal(searchOf("?%zz=1&api_key=x"), "?%zz=1");
  assert.equal(searchOf("?"), "?");
});

test("a key never stays where it was found", () => {
  const place = fc.constantFrom<readonly [string, string]>(
    ["authorization", `Bearer ${KEY}`],
    ["Authorization", basic("u", KEY)],
    ["X-API-Key", KEY],
    ["x-api-key", ` ${KEY} `],
    ["Accept", "*/*"],
  );
  fc.assert(
    fc.property(fc.array(place, { maxLength: 6 }), (headers) => {
      const answer = tokenFromRequest({ rawHeaders: headers.flat(), search: "", credential: HEADER });
      assert.ok(answer.ok);
      assert.equal(JSON.stringify(answer.headers).includes(KEY), false);
      assert.deepEqual(
        answer.headers,
        headers.filter(([name]) => name === "Accept").map(([, value]) => ["accept", value]),
      );
    }),
    { numRuns: 200 },
  );
});

test("a long header of blanks and separators is read in no time", () => {
  const nasty = ["a", " ".repeat(60_000), "b ", "=:".repeat(60_000), " c"].join("");
  assert.equal(
    find(
      [
        ["authorization", nasty],
        ["x-api-key", nasty],
      ],
      "",
      HEADER,
    ).ok,
    true,
  );
});
