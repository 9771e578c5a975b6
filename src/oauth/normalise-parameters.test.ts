import assert from "node:assert/strict";
import { test } from "node:test";
import { normaliseParameters, type ParameterRoute } from "./normalise-parameters.ts";

const normalised = (route: ParameterRoute, given: string) => {
  const answer = normaliseParameters(route, new URLSearchParams(given));
  return answer.ok ? decodeURIComponent(answer.parameters.toString()) : answer.error;
};

const cases: Record<string, readonly [ParameterRoute, string, string]> = {
  "none asked is everything": ["authorization", "client_id=a", "client_id=a&scope=*"],
  "words of OpenID Connect ask for nothing": ["authorization", "scope=openid+profile+offline_access", "scope=*"],
  "and narrow nothing": ["authorization", "scope=openid+dns:read", "scope=dns:read"],
  "a scope twice is one": ["authorization", "scope=dns:read+dns:read", "scope=dns:read"],
  "client credentials ask too": ["token", "grant_type=client_credentials", "grant_type=client_credentials&scope=*"],
  "a refresh without scopes stays as granted": [
    "token",
    "grant_type=refresh_token&scope=openid",
    "grant_type=refresh_token",
  ],
  "a refresh with scopes has them": [
    "token",
    "grant_type=refresh_token&scope=a:b",
    "grant_type=refresh_token&scope=a:b",
  ],
  "what is no scope is refused": ["authorization", "scope=A:b", "invalid_scope"],
  "a scope without an operation is refused": ["token", "scope=dns", "invalid_scope"],
  "too many scopes are refused": [
    "other",
    `scope=${Array.from({ length: 201 }, (_, i) => `a:b${i}`).join("+")}`,
    "invalid_scope",
  ],
  "duplicates stay, to be refused": ["authorization", "scope=a:b&scope=c:d", "scope=a:b&scope=c:d"],
  "parameters of OpenID Connect go": [
    "authorization",
    "nonce=1&max_age=0&prompt=consent+select_account",
    "prompt=consent&scope=*",
  ],
  "an unknown prompt goes": ["authorization", "prompt=create", "scope=*"],
};

for (const [what, [route, given, wanted]] of Object.entries(cases)) {
  test(what, () => assert.equal(normalised(route, given), wanted));
}
