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

test("calls that were decided alike are told apart by their ids, and one that was not shares nothing", () => {
  const recent = createRecentDecisions();
  const who = principal();
  const { agent, client, user, tenant } = who;
  const permit = { decision: "permit", code: undefined, detail: "", remedy: "", dropped: [] } as const;
  const remember = (id: string, rules: string[]) =>
    recent.remember(id, { agent, client, user, tenant, ...permit, rules });
  remember("req_1", ["role:a"]);
  remember("req_2", ["role:a"]);
  remember("req_3", ["role:a", "role:b"]);
  const rules = (id: string) => (recent.find(id, who)!["rules"] as { id: string }[]).map((rule) => rule.id);
  assert.deepEqual(["req_1", "req_2", "req_3"].map(rules), [["role:a"], ["role:a"], ["role:a", "role:b"]]);
  assert.equal(recent.find("req_4", who), undefined);
});

test("what is asked for must be an id as it was given, and the last ten thousand are known", () => {
  const recent = createRecentDecisions();
  const who = principal();
  const { agent, client, user, tenant } = who;
  const decided = { decision: "deny", detail: "", remedy: "", dropped: [], rules: [] } as const;
  for (let n = 0; n < 10_010; n++) {
    recent.remember(`req_${n}`, { agent, client, user, tenant, ...decided, code: `code_${n % 3}` });
  }
  const code = (id: string) => recent.find(id, who)?.["code"];
  assert.deepEqual(["req_9", "req_10", "req_10009"].map(code), [undefined, "code_1", "code_1"]);
  for (const id of ["", "req_", "eq_10", "req_1\0", "req_10\0", "\u0172eq_10", "r".repeat(33)]) {
    assert.equal(code(id), undefined, JSON.stringify(id));
  }
});
