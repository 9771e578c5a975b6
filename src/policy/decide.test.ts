import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonValue } from "../base/json.ts";
import { withKills } from "./compile-snapshot.ts";
import { createCounters } from "./counters.ts";
import { type Decision, decide } from "./decide.ts";
import {
  agent,
  NOON,
  operation,
  policy,
  principal,
  question,
  type Rules,
  role,
  service,
  snapshotOf,
} from "./policy.testing.ts";

const operations = [
  operation("read", { allow: ["GET /domains/{domain}", "GET /domains"] }),
  operation("write", { effect: "write", allow: ["POST /domains/{domain}"] }),
  operation("delete", { effect: "destructive", allow: ["DELETE /domains/{domain}"] }),
  operation("wide", { effect: "write", allow: ["GET /both/{x}", "POST /both/{x}"] }),
  operation("narrow", { allow: ["GET /both/one"] }),
];
const dns = service("dns", operations);
const all: Rules = { services: [dns], roles: [role("any", ["dns:*"])], agents: [agent("bot", ["any"])] };

/** A decision in the words of its kind: `permit role:any`, `ask policy:a`, `deny denied policy:b`. */
function verdict(decision: Decision): string {
  return [decision.kind, ...(decision.kind === "deny" ? [decision.code] : []), ...decision.rules].join(" ");
}

function decideLine(rules: Rules, line: string, parts: Parameters<typeof question>[2] = {}): string {
  return verdict(decide(question(snapshotOf(rules), line, parts)));
}

test("what nothing permits is denied, and what one role allows is permitted by it", () => {
  assert.equal(decideLine(all, "GET /domains/a"), "permit role:any");
  const none = { ...all, roles: [role("any", ["dns:write"])] };
  assert.equal(decideLine(none, "GET /domains/a"), "deny denied default");
  assert.equal(decideLine(none, "POST /domains/a"), "permit role:any");
});

test("roles reach through `extends`, circles included", () => {
  const roles = [
    role("top", [], { extends: ["middle"] }),
    role("middle", [], { extends: ["base", "top"] }),
    role("base", ["dns:read"]),
  ];
  const rules = { ...all, roles, agents: [agent("bot", ["top"])] };
  assert.equal(decideLine(rules, "GET /domains/a"), "permit role:base");
  assert.equal(decideLine(rules, "DELETE /domains/a"), "deny denied default");
});

test("the strictest policy wins: error, forbid, ask, permit, deny", () => {
  const ask = policy("ask", "ask");
  const forbid = policy("no", "forbid");
  const broken = policy("broken", "permit", { when: "request.body.absent == 1" });
  const permit = policy("yes", "permit");
  const cases: [(typeof ask)[], string][] = [
    [[permit], "permit policy:yes role:any"],
    [[ask, permit], "ask policy:ask"],
    [[ask, permit, forbid], "deny denied policy:no"],
    [[ask, permit, forbid, broken], "deny denied policy:broken"],
  ];
  for (const [policies, expected] of cases) {
    assert.equal(decideLine({ ...all, policies }, "GET /domains/a"), expected);
    assert.equal(decideLine({ ...all, policies: policies.toReversed() }, "GET /domains/a"), expected);
  }
});

test("an ask holds what is permitted and permits nothing itself", () => {
  const rules = { ...all, roles: [role("any", ["dns:read"])], policies: [policy("ask", "ask")] };
  assert.equal(decideLine(rules, "GET /domains/a"), "ask policy:ask");
  assert.equal(decideLine(rules, "DELETE /domains/a"), "deny denied default");
});

test("a permitting policy suffices without a role", () => {
  const rules = { ...all, agents: [agent("bot", [])], policies: [policy("yes", "permit", { on: ["dns:read"] })] };
  assert.equal(decideLine(rules, "GET /domains/a"), "permit policy:yes");
  assert.equal(decideLine(rules, "POST /domains/a"), "deny denied default");
});

test("each condition keeps a policy from calls that it does not name", () => {
  const conditions: [
    Partial<Parameters<typeof policy>[2]>,
    Parameters<typeof question>[2],
    Parameters<typeof question>[2],
  ][] = [
    [{ agents: ["bot"] }, {}, undefined],
    [{ agents: ["b*"] }, {}, undefined],
    [{ tenants: ["acme"] }, { principal: { tenant: "acme" } }, { principal: { tenant: "acme2" } }],
    [{ tenants: ["*"] }, { principal: { tenant: "x" } }, {}],
    [{ environments: ["prod"] }, { principal: { environment: "prod" } }, { principal: { environment: "dev" } }],
    [{ purposes: ["dns"] }, { principal: { purpose: "dns" } }, { principal: { purpose: "dn" } }],
    [{ effects: ["read"] }, {}, undefined],
    [{ networks: ["10.0.0.0/8"] }, { principal: { ip: "10.1.1.1" } }, { principal: { ip: "11.1.1.1" } }],
    [{ networks: ["127.0.0.1"] }, { principal: { ip: "unix" } }, { principal: { ip: "nonsense" } }],
    [{ hours: "Mon-Fri 08:00-19:00" }, {}, { now: new Date("2026-11-18T19:00:00Z") }],
    [{ expires: NOON }, { now: new Date(NOON.getTime() - 1) }, { now: NOON }],
    [{ when: "now.hour == 12" }, {}, { now: new Date("2026-11-18T13:00:00Z") }],
  ];
  for (const [condition, inside, outside] of conditions) {
    const rules = { ...all, policies: [policy("no", "forbid", condition)] };
    const told = JSON.stringify(condition);
    assert.equal(decideLine(rules, "GET /domains/a", inside), "deny denied policy:no", told);
    if (outside !== undefined) assert.equal(decideLine(rules, "GET /domains/a", outside), "permit role:any", told);
  }
  assert.equal(
    decideLine({ ...all, policies: [policy("no", "forbid", { agents: ["bo"] })] }, "GET /domains/a"),
    "permit role:any",
  );
  assert.equal(
    decideLine({ ...all, policies: [policy("no", "forbid", { effects: ["write"] })] }, "GET /domains/a"),
    "permit role:any",
  );
  assert.equal(
    decideLine({ ...all, policies: [policy("no", "forbid", { on: ["dns:rea"] })] }, "GET /domains/a"),
    "permit role:any",
  );
});

test("the environment of the service counts where the caller has none", () => {
  const services = [service("dns", operations, { environment: "prod" })];
  const rules = { ...all, services, policies: [policy("no", "forbid", { environments: ["prod"] })] };
  assert.equal(decideLine(rules, "GET /domains/a"), "deny denied policy:no");
});

test("a condition that fails or is not a boolean denies by its rule, whatever its effect", () => {
  for (const effect of ["permit", "ask", "forbid"] as const) {
    for (const when of [
      "request.body.x == 1",
      'principal.user == "x"',
      'request.headers["x"] == "1"',
      "[1][request.size + 5] == 1",
    ]) {
      const rules = { ...all, policies: [policy("broken", effect, { when })] };
      assert.equal(decideLine(rules, "GET /domains/a"), "deny denied policy:broken", `${effect} ${when}`);
    }
    const rules = { ...all, policies: [policy("broken", effect, { when: "request.body" })] };
    assert.equal(decideLine(rules, "POST /domains/a", { sent: { json: "text" } }), "deny denied policy:broken");
    assert.equal(
      decideLine(
        { ...all, policies: [policy("broken", effect, { when: "request.body.x == 1", effects: ["write"] })] },
        "GET /domains/a",
      ),
      "permit role:any",
    );
  }
});

test("conditions see the parsed request", () => {
  const rules = {
    ...all,
    policies: [
      policy("cap", "forbid", { on: ["dns:write"], when: "request.body.amount > 100" }),
      policy("zone", "forbid", { when: 'request.params.domain == "secret.example"', on: ["dns:write", "dns:delete"] }),
    ],
  };
  assert.equal(decideLine(rules, "POST /domains/a", { sent: { json: { amount: 100 } } }), "permit role:any");
  assert.equal(decideLine(rules, "POST /domains/a", { sent: { json: { amount: 100.01 } } }), "deny denied policy:cap");
  assert.equal(decideLine(rules, "POST /domains/a"), "deny denied policy:cap");
  assert.equal(decideLine(rules, "DELETE /domains/secret.example"), "deny denied policy:zone");
  assert.equal(decideLine(rules, "DELETE /domains/%73ecret.example"), "deny denied policy:zone");
});

test("a body that a rule cannot read exactly is refused, and passes where no rule reads it", () => {
  const lossy = {
    sent: { text: '{"amount": 100000000000000000001}', headers: [["content-type", "application/json"]] as const },
  };
  const rules = {
    ...all,
    policies: [
      policy("cap", "forbid", { when: "has(request.body.amount) && request.body.amount > 100", effects: ["write"] }),
    ],
  };
  assert.equal(decideLine(rules, "POST /domains/a", lossy), "deny not_canonical policy:cap");
  assert.equal(decideLine(all, "POST /domains/a", lossy), "permit role:any");
  const schema = { type: "object", properties: { amount: { type: "number" } } };
  const typed = service("dns", [operation("write", { allow: ["POST /domains/{domain}"], body: schema })]);
  assert.match(decideLine({ ...all, services: [typed] }, "POST /domains/a", lossy), /^deny not_canonical/);
});

test("a query key that stands twice cannot slip past a rule that reads it", () => {
  const rules = {
    ...all,
    policies: [policy("no-ns", "forbid", { when: 'has(request.query.type) && request.query.type == "NS"' })],
  };
  assert.equal(decideLine(rules, "GET /domains/a?type=A"), "permit role:any");
  assert.equal(decideLine(rules, "GET /domains/a?type=NS"), "deny denied policy:no-ns");
  assert.equal(decideLine(rules, "GET /domains/a?type=A&type=NS"), "deny not_canonical policy:no-ns");
  assert.equal(decideLine(rules, "GET /domains/a?page=1&page=2"), "permit role:any");
});

test("a form key that stands twice cannot slip past a rule that reads it, unless it says that it is a list", () => {
  const form = (text: string) => ({
    sent: { text, headers: [["content-type", "application/x-www-form-urlencoded"]] as const },
  });
  const scalar = 'has(request.body.type) && request.body.type == "NS"';
  const list = 'has(request.body.flag) && "x" in request.body["tags[]"]';
  const noNs = policy("no-ns", "forbid", { on: ["dns:write"], when: `(${scalar}) || (${list})` });
  const rules = { ...all, policies: [noNs] };
  assert.equal(decideLine(rules, "POST /domains/a", form("type=A&other=1&other=2")), "permit role:any");
  assert.equal(decideLine(rules, "POST /domains/a", form("type=NS")), "deny denied policy:no-ns");
  assert.equal(decideLine(rules, "POST /domains/a", form("type=A&type=NS")), "deny not_canonical policy:no-ns");
  assert.equal(decideLine(rules, "POST /domains/a", form("flag=1&tags[]=a&tags[]=b")), "permit role:any");
  assert.equal(decideLine(rules, "POST /domains/a", form("flag=1&tags[]=a&tags[]=x")), "deny denied policy:no-ns");
});

test("a body that would keep the rules busy is denied without being read", () => {
  const slow = policy("slow", "forbid", { on: ["dns:write"], when: 'request.body.text.matches("(a|b)*c")' });
  const matches = { ...all, policies: [slow] };
  const sent = (json: JsonValue) => ({ sent: { json } });
  assert.equal(decideLine(matches, "POST /domains/a", sent({ text: "a".repeat(1_000) })), "permit role:any");
  const long = decide(question(snapshotOf(matches), "POST /domains/a", sent({ text: "a".repeat(1_040_000) })));
  assert.equal(verdict(long), "deny denied policy:slow");
  assert.equal(long.kind === "deny" ? long.reason : "", "policy_work");
  const counts = { ...all, policies: [policy("few", "permit", { on: ["dns:write"], when: "request.body.n == 1" })] };
  const many = (length: number) => sent({ n: 1, list: Array.from({ length }, () => 0) });
  assert.equal(decideLine(counts, "POST /domains/a", many(19_000)), "permit policy:few role:any");
  assert.equal(decideLine(counts, "POST /domains/a", many(20_000)), "deny denied policy:few");
});

test("a request that matches several operations needs a permit for each; forbid wins, then ask", () => {
  assert.equal(decideLine(all, "GET /both/one"), "permit role:any");
  const half = { ...all, roles: [role("any", ["dns:narrow"])] };
  assert.equal(decideLine(half, "GET /both/one"), "deny denied default");
  assert.equal(
    decideLine({ ...all, policies: [policy("no", "forbid", { on: ["dns:wide"] })] }, "GET /both/one"),
    "deny denied policy:no",
  );
  assert.equal(
    decideLine({ ...all, policies: [policy("ask", "ask", { on: ["dns:narrow"] })] }, "GET /both/one"),
    "ask policy:ask",
  );
  assert.equal(
    decideLine({ ...all, policies: [policy("ask", "ask", { on: ["dns:narrow"] })] }, "GET /both/two"),
    "permit role:any",
  );
});

test("what matches no operation is unknown, and a schema is part of the match", () => {
  assert.equal(decideLine(all, "GET /elsewhere"), "deny unknown_operation default");
  assert.equal(decideLine(all, "PUT /domains/a"), "deny unknown_operation default");
  const query = { type: { enum: ["A", "TXT"] } };
  const typed = service("dns", [operation("delete", { allow: ["DELETE /r"], query })]);
  assert.equal(decideLine({ ...all, services: [typed] }, "DELETE /r?type=TXT"), "permit role:any");
  for (const line of [
    "DELETE /r?type=NS",
    "DELETE /r?type=A&type=NS",
    "DELETE /r?type=A&other=1",
    "DELETE /r?TYPE=A",
  ]) {
    assert.equal(decideLine({ ...all, services: [typed] }, line), "deny unknown_operation default", line);
  }
  const body = {
    type: "object",
    properties: { n: { type: "integer", maximum: 5 } },
    required: ["n"],
    additionalProperties: false,
  };
  const bodied = { ...all, services: [service("dns", [operation("write", { allow: ["POST /r"], body })])] };
  assert.equal(decideLine(bodied, "POST /r", { sent: { json: { n: 5 } } }), "permit role:any");
  for (const json of [{ n: 6 }, { n: "5" }, {}, { n: 1, m: 2 }, []]) {
    assert.equal(
      decideLine(bodied, "POST /r", { sent: { json } }),
      "deny unknown_operation default",
      JSON.stringify(json),
    );
  }
  assert.equal(decideLine(bodied, "POST /r"), "deny unknown_operation default");
  const form = (text: string) => ({ text, headers: [["content-type", "application/x-www-form-urlencoded"]] as const });
  assert.equal(
    decideLine(bodied, "POST /r", { sent: form("n=5") }),
    "permit role:any",
    "a form's text is read as the number",
  );
  assert.equal(decideLine(bodied, "POST /r", { sent: form("n=6") }), "deny unknown_operation default");
  const opaque = { text: "n=5", headers: [["content-type", "text/plain"]] as const };
  assert.equal(decideLine(bodied, "POST /r", { sent: opaque }), "deny unknown_operation default");
});

test("a schema's refusal names the place and not the value", () => {
  const body = { type: "object", properties: { n: { type: "integer" } } };
  const rules = { ...all, services: [service("dns", [operation("write", { allow: ["POST /r"], body })])] };
  const decision = decide(question(snapshotOf(rules), "POST /r", { sent: { json: { n: "hunter2" } } }));
  assert.ok(decision.kind === "deny");
  assert.match(decision.detail, /dns:write.*\bn\b/);
  assert.doesNotMatch(JSON.stringify(decision), /hunter2/);
});

test("the agent itself must be fit: known, not expired, in its networks, hours, tenant and environment", () => {
  const fit = (parts: Parameters<typeof agent>[2], ask: Parameters<typeof question>[2] = {}) =>
    decideLine({ ...all, agents: [agent("bot", ["any"], parts)] }, "GET /domains/a", ask);
  assert.equal(decideLine({ ...all, agents: [] }, "GET /domains/a"), "deny denied default");
  assert.equal(fit({ expires: NOON }), "deny denied default");
  assert.equal(fit({ expires: new Date(NOON.getTime() + 1) }), "permit role:any");
  assert.equal(fit({ networks: ["10.0.0.0/8"] }), "deny denied default");
  assert.equal(fit({ networks: ["127.0.0.0/8"] }, { principal: { ip: "unix" } }), "permit role:any");
  assert.equal(fit({ hours: "Sat-Sun 00:00-24:00" }), "deny denied default");
  assert.equal(fit({ tenant: "acme" }), "deny denied default");
  assert.equal(fit({ tenant: "acme" }, { principal: { tenant: "acme" } }), "permit role:any");
  assert.equal(fit({ environment: "prod" }, { principal: { environment: "dev" } }), "deny denied default");
});

test("a purpose must be one of the agent's; the only one need not be stated", () => {
  const fit = (purposes: readonly string[], purpose?: string) =>
    decide(
      question(snapshotOf({ ...all, agents: [agent("bot", ["any"], { purposes })] }), "GET /domains/a", {
        principal: { purpose },
      }),
    );
  assert.equal(verdict(fit([], "anything")), "permit role:any");
  assert.equal(verdict(fit(["dns"])), "permit role:any");
  assert.equal(verdict(fit(["dns"], "dns")), "permit role:any");
  assert.equal(verdict(fit(["dns"], "billing")), "deny denied default");
  const several = fit(["dns", "mail"]);
  assert.equal(verdict(several), "deny denied default");
  assert.match(several.kind === "deny" ? several.remedy : "", /`dns`, `mail`/);
});

test("environments that differ are denied; a tenant's service is unknown to others, and so is one without any rule", () => {
  const production = { ...all, services: [service("dns", operations, { environment: "prod" })] };
  assert.equal(decideLine(production, "GET /domains/a", { principal: { environment: "dev" } }), "deny denied default");
  assert.equal(decideLine(production, "GET /domains/a", { principal: { environment: "prod" } }), "permit role:any");
  const acme = { ...all, services: [service("dns", operations, { tenant: "acme" })] };
  assert.equal(decideLine(acme, "GET /domains/a"), "deny unknown_service default");
  assert.equal(decideLine(acme, "GET /domains/a", { principal: { tenant: "acme2" } }), "deny unknown_service default");
  assert.equal(decideLine(acme, "GET /domains/a", { principal: { tenant: "acme" } }), "permit role:any");
  const strangers = {
    ...all,
    roles: [role("any", ["other:*"])],
    policies: [policy("ask", "ask"), policy("no", "forbid")],
  };
  assert.equal(decideLine(strangers, "GET /domains/a"), "deny unknown_service default");
  assert.equal(
    decideLine({ ...strangers, policies: [policy("maybe", "permit", { when: "now.hour == 3" })] }, "GET /domains/a"),
    "deny denied default",
  );
  assert.equal(
    decideLine({ ...strangers, policies: [policy("maybe", "permit", { agents: ["other", "c*"] })] }, "GET /domains/a"),
    "deny unknown_service default",
  );
});

test("a kill in force denies whatever the rules say, and names its target and who set it", () => {
  const targets = ["all", "agent:bot", "client:key_1", "service:dns", "secret:dns-key", "operation:dns:read"];
  for (const target of targets) {
    const snapshot = withKills(snapshotOf(all), [{ target, why: "leak", setBy: "owner", setAt: NOON }]);
    const decision = decide(question(snapshot, "GET /domains/a"));
    assert.equal(verdict(decision), `deny killed kill:${target}`);
    assert.match(decision.kind === "deny" ? decision.detail : "", /owner/);
  }
  const elsewhere = withKills(snapshotOf(all), [
    { target: "operation:dns:write", why: "", setBy: "owner", setAt: NOON },
  ]);
  assert.equal(verdict(decide(question(elsewhere, "GET /domains/a"))), "permit role:any");
  const several = withKills(snapshotOf(all), [{ target: "operation:dns:wide", why: "", setBy: "owner", setAt: NOON }]);
  assert.equal(verdict(decide(question(several, "GET /both/one"))), "deny killed kill:operation:dns:wide");
});

test("a rate that is used up refuses what would have been allowed, and is counted by whoever lets the call go on", () => {
  const rate = { count: 1, perSeconds: 60 };
  const rules = {
    ...all,
    services: [{ ...dns, limits: { ...dns.limits, rate: { count: 2, perSeconds: 60 } } }],
    roles: [role("any", ["dns:read"], { rate }), role("other", ["dns:write"])],
    agents: [agent("bot", ["any", "other"])],
  };
  const snapshot = snapshotOf(rules);
  const counters = createCounters();
  const first = decide(question(snapshot, "GET /domains/a", { counters }));
  assert.ok(first.kind === "permit");
  assert.deepEqual(
    first.rates.map(({ rule }) => rule),
    ["role:any", "service:dns"],
  );
  assert.equal(decide(question(snapshot, "GET /domains/a", { counters })).kind, "permit", "deciding counts nothing");
  counters.count(first.rates, "bot", NOON);
  const second = decide(question(snapshot, "GET /domains/a", { counters }));
  assert.equal(verdict(second), "deny rate_limited role:any");
  assert.equal(second.kind === "deny" ? second.retryAfterSeconds : 0, 60);
  assert.equal(verdict(decide(question(snapshot, "POST /domains/a", { counters }))), "permit role:other");
  counters.count(first.rates, "bot", NOON);
  assert.equal(verdict(decide(question(snapshot, "POST /domains/a", { counters }))), "deny rate_limited service:dns");
  assert.equal(verdict(decide(question(snapshot, "DELETE /domains/a", { counters }))), "deny denied default");
  const stingy = { room: () => ({ ok: false, retryAfterSeconds: 0 }) as const };
  assert.equal(
    verdict(decide(question(snapshot, "POST /domains/a", { counters: stingy }))),
    "deny rate_limited service:dns",
  );
});

test("`range` passes only where the operation says so", () => {
  const ranged = [
    operation("file", { allow: ["GET /file"], ranges: true }),
    operation("read", { allow: ["GET /read"] }),
  ];
  const rules = { ...all, services: [service("dns", ranged)] };
  const sent = { headers: [["range", "bytes=0-9"]] as const };
  assert.equal(decideLine(rules, "GET /file", { sent }), "permit role:any");
  assert.equal(decideLine(rules, "GET /read", { sent }), "deny header_refused default");
});

test("an approval shows the request, takes the strictest terms, and binds definition and rules", () => {
  const approval = {
    message: "Delete {preview.total} {query.type} on {path.domain}",
    preview: "GET /domains/{path.domain}?type={query.type}",
    expiresSeconds: 600,
  };
  const asked = [
    operations[0] ?? operation("read"),
    operation("delete", { effect: "destructive", allow: ["DELETE /domains/{domain}"], approval }),
  ];
  const strict = policy("ask", "ask", {
    effects: ["destructive"],
    approvers: { quorum: 2, expiresSeconds: 300, separate: true },
  });
  const rules = { ...all, services: [service("dns", asked)], policies: [strict] };
  const decision = decide(question(snapshotOf(rules), "DELETE /domains/a.example?type=A"));
  assert.ok(decision.kind === "ask");
  assert.deepEqual(decision.rules, ["operation:dns:delete", "policy:ask"]);
  const { messageWith, basis, ...terms } = decision.approval;
  assert.deepEqual(terms, {
    message: "Delete (unknown) A on a.example",
    preview: "/domains/a.example?type=A",
    expiresSeconds: 300,
    quorum: 2,
    separate: true,
  });
  assert.equal(messageWith({ total: 3 }), "Delete 3 A on a.example");

  const lone = decide(question(snapshotOf({ ...rules, policies: [] }), "DELETE /domains/a.example?type=A"));
  assert.ok(lone.kind === "ask");
  assert.equal(lone.approval.expiresSeconds, 600);
  assert.notEqual(lone.approval.basis, basis, "the rules that asked are bound");
  const changed = asked.map((each) => ({ ...each, allow: [...each.allow, "DELETE /other/{domain}"] }));
  const other = decide(
    question(snapshotOf({ ...rules, services: [service("dns", changed)] }), "DELETE /domains/a.example?type=A"),
  );
  assert.notEqual(other.kind === "ask" ? other.approval.basis : "", basis, "the definition is bound");

  const bare = asked.map((each) => ({ ...each, approval: each.approval && { ...approval, preview: undefined } }));
  for (const line of ["DELETE /domains/a.example", "DELETE /domains/a.example?type=A&type=NS"]) {
    const holes = { ...rules, services: [service("dns", bare)] };
    assert.equal(decideLine(holes, line), "deny invalid_request operation:dns:delete policy:ask", line);
  }
  for (const line of [
    "DELETE /domains/a.example",
    "DELETE /domains/a.example?type=A&type=NS",
    "DELETE /domains/a.example?type",
  ]) {
    assert.equal(decideLine(rules, line), "deny invalid_request operation:dns:delete policy:ask", line);
  }
});

test("a person is not shown a number that was rounded", () => {
  const approval = { message: "Pay {body.amount}", preview: undefined, expiresSeconds: 600 };
  const rules = { ...all, services: [service("dns", [operation("pay", { allow: ["POST /pay"], approval })])] };
  const pay = (text: string) => ({ sent: { text, headers: [["content-type", "application/json"]] as const } });
  const asked = decide(question(snapshotOf(rules), "POST /pay", pay('{"amount": 100}')));
  assert.equal(asked.kind === "ask" ? asked.approval.message : "", "Pay 100");
  const rounded = decideLine(rules, "POST /pay", pay('{"amount": 100000000000000000001}'));
  assert.equal(rounded, "deny not_canonical operation:dns:pay");
});

test("an agent that is no longer in the file has nothing, and the call names no other agent's rules", () => {
  const rules = { ...all, agents: [agent("other", ["any"])], policies: [policy("yes", "permit", { agents: ["bot"] })] };
  assert.equal(decideLine(rules, "GET /domains/a"), "deny denied default");
});

const policies = fc.array(
  fc.record({
    effect: fc.constantFrom("permit", "ask", "forbid"),
    on: fc.constantFrom(["*"], ["dns:*"], ["dns:read"], ["dns:write"], ["other:*"], ["*:wide", "dns:narrow"]),
    when: fc.constantFrom(
      undefined,
      undefined,
      'operation.effect == "write"',
      "now.hour == 12",
      "request.body.x == 1",
      "request.size == 1",
    ),
    agents: fc.constantFrom([], ["bot"], ["b*"], ["other"]),
    effects: fc.constantFrom([], ["read"], ["write"]),
  }),
  { maxLength: 6 },
);
const lines = fc.constantFrom(
  "GET /domains/a",
  "POST /domains/a",
  "DELETE /domains/a",
  "GET /both/one",
  "GET /both/two",
);
const allowed = fc.subarray(["dns:read", "dns:write", "dns:wide", "dns:narrow", "dns:*"]);

/** How much a decision lets happen. */
function looseness(decision: Decision): number {
  return { deny: 0, ask: 1, permit: 2 }[decision.kind];
}

function rulesOf(
  generated: readonly Partial<Parameters<typeof policy>[2] & { effect: string }>[],
  allow: readonly string[],
): Rules {
  return {
    ...all,
    roles: [role("a", allow.slice(0, 1)), role("b", allow.slice(1))],
    agents: [agent("bot", ["a", "b"])],
    policies: generated.map(({ effect, ...parts }, index) => policy(`p${index}`, effect as "permit", parts)),
  };
}

test("law: the order of policies, roles, operations and services is irrelevant", () => {
  fc.assert(
    fc.property(policies, allowed, lines, (generated, allow, line) => {
      const rules = rulesOf(generated, allow);
      const turned = {
        services: [service("other", []), service("dns", operations.toReversed())],
        roles: rules.roles?.toReversed() ?? [],
        agents: [agent("bot", ["b", "a"])],
        policies: rules.policies?.toReversed() ?? [],
      };
      assert.equal(decideLine(turned, line), decideLine(rules, line));
    }),
    { numRuns: 200 },
  );
});

test("law: adding a forbid or an ask never loosens; a forbid of everything denies", () => {
  fc.assert(
    fc.property(policies, allowed, lines, fc.constantFrom("forbid", "ask"), (generated, allow, line, effect) => {
      const rules = rulesOf(generated, allow);
      const before = decide(question(snapshotOf(rules), line));
      const more = { ...rules, policies: [...(rules.policies ?? []), policy("more", effect as "ask")] };
      const after = decide(question(snapshotOf(more), line));
      assert.ok(looseness(after) <= looseness(before));
      assert.ok(looseness(after) <= (effect === "forbid" ? 0 : 1));
    }),
    { numRuns: 200 },
  );
});

test("law: without a role or a permitting policy nothing is allowed", () => {
  fc.assert(
    fc.property(policies, lines, (generated, line) => {
      const rules = rulesOf(
        generated.filter(({ effect }) => effect !== "permit"),
        [],
      );
      assert.equal(decide(question(snapshotOf(rules), line)).kind, "deny");
    }),
    { numRuns: 100 },
  );
});

test("a principal is never mistaken for another whose name it contains", () => {
  const rules = { ...all, agents: [agent("bot", []), agent("bot2", ["any"])] };
  assert.equal(
    decideLine(rules, "GET /domains/a", { principal: principal({ agent: "bot" }) }),
    "deny unknown_service default",
  );
  assert.equal(decideLine(rules, "GET /domains/a", { principal: principal({ agent: "bot2" }) }), "permit role:any");
});
