import assert from "node:assert/strict";
import { test } from "node:test";
import { principal } from "../policy/policy.testing.ts";
import { createRecentDecisions } from "./recent-decisions.ts";

test("a decision is explained to whom it was made for, and to nobody else", () => {
  const recent = createRecentDecisions();
  const who = principal({ user: "ann", tenant: "acme" });
  const { agent, client, user, tenant } = who;
  const refused = {
    decision: "deny",
    code: "denied",
    rules: ["default"],
    detail: "no",
    remedy: "",
    dropped: [],
  } as const;
  recent.remember("req_1", { agent, client, user, tenant, ...refused });
  assert.equal(recent.find("req_1", who)?.["code"], "denied");
  for (const other of [{ agent: "x" }, { client: "key_2" }, { user: "bob" }, { user: undefined }, { tenant: "globex" }])
    assert.equal(recent.find("req_1", { ...who, ...other }), undefined, JSON.stringify(other));
});
