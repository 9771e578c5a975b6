import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../base/json.ts";
import type { OperationConfig } from "../config/schema.ts";
import { compileSnapshot, withKills } from "./compile-snapshot.ts";
import { type Decision, decide } from "./decide.ts";
import { compileGlob } from "./glob.ts";
import { globMeetsTemplate } from "./glob-template.ts";
import {
  agent,
  config,
  mcpQuestion,
  mcpService,
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
import type { CompiledMcpService, Snapshot } from "./snapshot.ts";
import { visibleItems } from "./visible-items.ts";
import { servicesFor } from "./visible-operations.ts";

const tool = (name: string, parts: Partial<OperationConfig>) => operation(name, { allow: [], ...parts });
const github = mcpService("github", [
  tool("issues:read", { tools: ["get_issue", "list_*", "search_*"] }),
  tool("issues:write", {
    effect: "write",
    tools: ["create_issue", "update_issue"],
    arguments: { owner: { const: "acme" }, title: { type: "string" } },
  }),
  tool("files:read", { resources: ["repo://acme/*"], prompts: ["explain"] }),
  operation("server", { allow: ["GET /repos/{rest...}"] }),
]);
const all: Rules = {
  services: [github],
  roles: [role("any", ["github:*"])],
  agents: [agent("bot", ["any"])],
};

function verdict(decision: Decision): string {
  return [decision.kind, ...(decision.kind === "deny" ? [decision.code] : []), ...decision.rules].join(" ");
}

function decideCall(rules: Rules, line: string, args: JsonObject = {}): string {
  return verdict(decide(mcpQuestion(snapshotOf(rules), line, { arguments: args })));
}

function mcpOf(snapshot: Snapshot): CompiledMcpService {
  const found = snapshot.services.get("github");
  assert.ok(found?.kind === "mcp");
  return found;
}

describe("an MCP call", () => {
  test("is the operation whose patterns name the item and whose schema its arguments hold", () => {
    assert.equal(decideCall(all, "tools/call get_issue"), "permit role:any");
    assert.equal(decideCall(all, "tools/call search_code"), "permit role:any");
    assert.equal(decideCall(all, "prompts/get explain"), "permit role:any");
    assert.equal(decideCall(all, "resources/read repo://acme/site/README.md"), "permit role:any");
    assert.equal(decideCall(all, "resources/subscribe repo://acme/x"), "permit role:any");
    assert.equal(decideCall(all, "tools/call create_issue", { owner: "acme", title: "x" }), "permit role:any");
  });

  test("of anything that no operation names is unknown, whatever the caller may do", () => {
    for (const line of [
      "tools/call delete_repo",
      "tools/call Get_Issue",
      "tools/call get_issue2",
      "tools/call xlist_a",
      "tools/call explain",
      "prompts/get get_issue",
      "resources/read repo://other/x",
      "tools/call repo://acme/x",
      "resources/read get_issue",
    ]) {
      assert.equal(decideCall(all, line), "deny unknown_operation default", line);
    }
  });

  test("with arguments that the schema refuses is no call of that operation", () => {
    for (const args of [{ owner: "evil" }, { owner: "acme", more: 1 }, { title: 7 }]) {
      assert.equal(decideCall(all, "tools/call create_issue", args), "deny unknown_operation default");
    }
    const snapshot = snapshotOf(all);
    const refused = decide(mcpQuestion(snapshot, "tools/call create_issue", { arguments: { owner: "evil" } }));
    assert.ok(refused.kind === "deny");
    assert.match(refused.detail, /github:issues:write.*arguments.*owner/);
    assert.doesNotMatch(refused.detail, /evil/);
  });

  test("of a prompt's completion, or of a resource, has no arguments that the schema speaks of", () => {
    const mixed = mcpService("github", [
      tool("o", { tools: ["t"], prompts: ["p"], resources: ["r:*"], arguments: { x: { const: 1 } } }),
    ]);
    const rules = { ...all, services: [mixed] };
    const ref = { type: "ref/prompt", name: "p" };
    assert.equal(decideCall(rules, "completion/complete p", { ref }), "permit role:any");
    assert.equal(decideCall(rules, "resources/read r:1"), "permit role:any");
    assert.equal(decideCall(rules, "prompts/get p", { x: "2" }), "deny unknown_operation default");
  });

  test("whose arguments two readers see differently meets no schema", () => {
    assert.equal(
      decideCall(all, "tools/call create_issue", { owner: "acme", Owner: "evil" }),
      "deny not_canonical default",
    );
  });

  test("needs every operation that names its item", () => {
    const overlapping = mcpService("github", [
      tool("wide", { tools: ["*"] }),
      tool("narrow", { effect: "destructive", tools: ["delete_*"] }),
    ]);
    const rules = { ...all, services: [overlapping], roles: [role("any", ["github:wide"])] };
    assert.equal(decideCall(rules, "tools/call list"), "permit role:any");
    assert.equal(decideCall(rules, "tools/call delete_x"), "deny denied default");
  });

  test("is never an HTTP request, and an HTTP request never an MCP call", () => {
    const snapshot = snapshotOf({ ...all, services: [github, service("dns", [operation("read")])] });
    const http = decide(question(snapshot, "GET /repos/x", { to: "github" }));
    assert.equal(verdict(http), "deny unknown_operation default");
    assert.ok(http.kind === "deny");
    assert.match(http.detail, /takes no HTTP requests/);
    const roles = { ...all, services: [service("dns", [operation("read")])], roles: [role("any", ["dns:*"])] };
    const mcp = decide(mcpQuestion(snapshotOf(roles), "tools/call read", { to: "dns" }));
    assert.equal(verdict(mcp), "deny unknown_operation default");
  });

  test("reaches the server's own endpoints with an origin alone", () => {
    const snapshot = snapshotOf(all);
    const asked = question(snapshot, "GET /repos/x", { to: "github" });
    const sent = { ...asked, request: { ...asked.request, origin: "https://api.example" } };
    assert.equal(verdict(decide(sent)), "permit role:any");
  });

  test("is stopped by the kill of its secret, of its operation and of its service", () => {
    for (const target of ["secret:github-key", "operation:github:issues:read", "service:github"]) {
      const killed = withKills(snapshotOf(all), [{ target, why: "x", setBy: "owner", setAt: NOON }]);
      assert.equal(verdict(decide(mcpQuestion(killed, "tools/call get_issue"))), `deny killed kill:${target}`);
      assert.deepEqual(
        visibleItems(killed, principal(), mcpOf(killed), { kind: "tools", names: ["get_issue"] }, NOON),
        [],
      );
    }
  });
});

describe("conditions on MCP calls", () => {
  const when = (text: string, args: JsonObject = {}, line = "tools/call get_issue") =>
    decideCall({ ...all, policies: [policy("no", "forbid", { when: text })] }, line, args);

  test("read the tool and its arguments", () => {
    assert.equal(when('request.tool == "get_issue"'), "deny denied policy:no");
    assert.equal(when('request.tool == "other"'), "permit role:any");
    assert.equal(when('request.method == "tools/call"'), "deny denied policy:no");
    assert.equal(when('request.arguments.repo.startsWith("secret")', { repo: "secret-x" }), "deny denied policy:no");
    assert.equal(when('request.arguments.repo.startsWith("secret")', { repo: "open" }), "permit role:any");
    assert.equal(when("request.body.n > 5", { n: 6 }), "deny denied policy:no");
    assert.equal(when('request.tool == ""', {}, "prompts/get explain"), "deny denied policy:no");
    assert.equal(when("has(request.arguments.x)", { x: 1 }), "deny denied policy:no");
  });

  test("that read what is not there deny", () => {
    assert.equal(when("request.arguments.missing == 1"), "deny denied policy:no");
    const snapshot = snapshotOf({
      services: [service("dns", [operation("read")])],
      roles: [role("any", ["dns:*"])],
      agents: [agent("bot", ["any"])],
      policies: [policy("no", "forbid", { when: "request.arguments.x == 1" })],
    });
    assert.equal(verdict(decide(question(snapshot, "GET /read"))), "deny denied policy:no");
  });

  test("that read arguments which two readers see differently deny", () => {
    assert.equal(when("request.arguments.a == 5", { a: 1, A: 5 }), "deny not_canonical policy:no");
    assert.equal(when('request.arguments["a"] == 5', { a: 1, A: 5 }), "deny not_canonical policy:no");
    assert.equal(when('request.tool == "x"', { a: 1, A: 5 }), "permit role:any");
  });

  test("are type-checked, and bounded in loops", () => {
    for (const text of ["request.tool > 5", "request.tols == ''", "[1].exists(x, request.arguments.a == x)"]) {
      const compiled = compileSnapshot(config({ ...all, policies: [policy("no", "forbid", { when: text })] }));
      assert.ok(!compiled.ok, text);
      assert.deepEqual(
        compiled.faults.map(({ path }) => path.join(".")),
        ["policies.0.when"],
      );
    }
    assert.equal(when('["get_issue"].exists(x, x == request.tool)'), "deny denied policy:no");
  });
});

describe("approvals of MCP calls", () => {
  const asking = (message: string | undefined) =>
    mcpService("github", [
      tool("o", { tools: ["close"], approval: { message, preview: undefined, expiresSeconds: 60 } }),
    ]);
  const messageOf = (message: string | undefined, args: JsonObject = {}) => {
    const snapshot = snapshotOf({ ...all, services: [asking(message)] });
    const decision = decide(mcpQuestion(snapshot, "tools/call close", { arguments: args }));
    return decision.kind === "ask" ? decision.approval.message : verdict(decision);
  };

  test("name the arguments, shown so that they cannot pose as other text", () => {
    assert.equal(messageOf("Close {arguments.issue.number}", { issue: { number: 7 } }), "Close 7");
    assert.equal(messageOf("Close {arguments.a}", { a: "x\u202ey" }), "Close x\\u{202e}y");
    assert.equal(messageOf(undefined), "github:o: tools/call close");
  });

  test("without the value that the message names are not asked", () => {
    assert.equal(messageOf("Close {arguments.a}"), "deny invalid_request operation:github:o");
  });

  test("with arguments that cannot be shown exactly are not asked", () => {
    assert.equal(messageOf("Close {arguments.a}", { a: 1, A: 2 }), "deny not_canonical operation:github:o");
  });

  test("what cannot be filled in, and previews, are faults of the file", () => {
    const faultsOf = (approval: OperationConfig["approval"]) => {
      const compiled = compileSnapshot(
        config({ ...all, services: [mcpService("github", [tool("o", { tools: ["a"], approval })])] }),
      );
      return compiled.ok ? [] : compiled.faults.map(({ path }) => path.slice(-1)[0]);
    };
    const message = (text: string) => ({ message: text, preview: undefined, expiresSeconds: 60 });
    assert.deepEqual(faultsOf(message("{path.name}")), ["message"]);
    assert.deepEqual(faultsOf(message("{argument.name}")), ["message"]);
    assert.deepEqual(faultsOf(message("{arguments.name}")), []);
    assert.deepEqual(faultsOf({ message: undefined, preview: "GET /x", expiresSeconds: 60 }), ["preview"]);
  });

  test("bind the operation's patterns and schema", () => {
    const basis = (parts: Partial<OperationConfig>) => {
      const approval = { message: undefined, preview: undefined, expiresSeconds: 60 };
      const services = [mcpService("github", [tool("o", { tools: ["close"], approval, ...parts })])];
      const decision = decide(mcpQuestion(snapshotOf({ ...all, services }), "tools/call close"));
      return decision.kind === "ask" ? decision.approval.basis : "";
    };
    const bases = [{}, { tools: ["close", "open"] }, { prompts: ["p"] }, { arguments: { x: {} } }].map(basis);
    assert.equal(new Set(bases).size, 4);
  });
});

describe("what is listed", () => {
  const names = ["get_issue", "list_repos", "create_issue", "delete_repo"];
  const listed = (rules: Rules, kind: "tools" | "prompts" | "resources" | "templates" = "tools", from = names) => {
    const snapshot = snapshotOf(rules);
    return visibleItems(snapshot, principal(), mcpOf(snapshot), { kind, names: from }, NOON);
  };

  test("is what may be called, in the upstream's order", () => {
    assert.deepEqual(listed(all), ["get_issue", "list_repos", "create_issue"]);
    assert.deepEqual(listed({ ...all, roles: [role("any", ["github:issues:read"])] }), ["get_issue", "list_repos"]);
    assert.deepEqual(listed({ ...all, roles: [role("any", ["other:*"])] }), []);
    assert.deepEqual(listed(all, "prompts", ["explain", "get_issue"]), ["explain"]);
    assert.deepEqual(listed(all, "resources", ["repo://acme/a", "repo://other/a"]), ["repo://acme/a"]);
  });

  test("leaves out what is forbidden whatever the arguments, and keeps what depends on them", () => {
    const forbid = (parts: Parameters<typeof policy>[2]) => ({
      ...all,
      policies: [policy("no", "forbid", { on: ["github:issues:read"], ...parts })],
    });
    assert.deepEqual(listed(forbid({})), ["create_issue"]);
    assert.deepEqual(listed(forbid({ when: 'request.arguments.x == "y"' })), [
      "get_issue",
      "list_repos",
      "create_issue",
    ]);
  });

  test("an item of several operations needs each that surely speaks of it", () => {
    const overlapping = (args: JsonObject | undefined) => ({
      ...all,
      services: [
        mcpService("github", [
          tool("wide", { tools: ["*"] }),
          tool("narrow", { tools: ["delete_*"], arguments: args }),
        ]),
      ],
      roles: [role("any", ["github:wide"])],
    });
    assert.deepEqual(listed(overlapping(undefined)), ["get_issue", "list_repos", "create_issue"]);
    assert.deepEqual(listed(overlapping({ x: { const: 1 } })), names);
  });

  test("templates are listed when some URI of theirs may be read", () => {
    assert.deepEqual(listed(all, "templates", ["repo://{owner}/{path}", "repo://other/{path}", "{+uri}"]), [
      "repo://{owner}/{path}",
      "{+uri}",
    ]);
  });

  test("doorward_services shows patterns and schemas of MCP servers, and no endpoint of the server's own", () => {
    const [found, ...more] = servicesFor(snapshotOf(all), principal(), NOON);
    assert.deepEqual(more, []);
    assert.equal(found?.kind, "mcp");
    assert.deepEqual(
      found?.operations.map(({ scope }) => scope),
      ["github:issues:read", "github:issues:write", "github:files:read"],
    );
    assert.deepEqual(found?.operations[1], {
      scope: "github:issues:write",
      effect: "write",
      approval: "never",
      tools: ["create_issue", "update_issue"],
      input_schema: { arguments: { owner: { const: "acme" }, title: { type: "string" } } },
    });
  });

  test("law: what is listed and takes any arguments is permitted, what is not listed is denied", () => {
    const glob = fc.string({ unit: fc.constantFrom("a", "b", "*"), minLength: 1, maxLength: 3 });
    const operations = fc.array(
      fc.record({
        tools: fc.array(glob, { minLength: 1, maxLength: 2 }),
        given: fc.boolean(),
        effect: fc.constantFrom("read" as const, "destructive" as const),
      }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(
        operations,
        fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 }),
        (made, name) => {
          const snapshot = snapshotOf({
            services: [
              mcpService(
                "github",
                made.map(({ tools, effect }, index) => tool(`o${index}`, { tools, effect })),
              ),
            ],
            roles: [
              role(
                "any",
                made.flatMap(({ given }, index) => (given ? [`github:o${index}`] : [])),
              ),
            ],
            agents: [agent("bot", ["any"])],
            policies: [policy("no", "forbid", { effects: ["destructive"], when: "now.hour == 12" })],
          });
          const visible = visibleItems(snapshot, principal(), mcpOf(snapshot), { kind: "tools", names: [name] }, NOON);
          const decision = decide(mcpQuestion(snapshot, `tools/call ${name}`));
          assert.equal(visible.length === 1, decision.kind === "permit", JSON.stringify(decision));
        },
      ),
      { numRuns: 200 },
    );
  });
});

test("law: a template meets a pattern whenever one of its URIs matches it", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "/", "*"), maxLength: 5 });
  const parts = fc.array(fc.oneof(fc.constantFrom("a", "/", "b"), fc.constant({ value: "" })), { maxLength: 4 });
  const value = fc.string({ unit: fc.constantFrom("a", "/", "b"), maxLength: 3 });
  fc.assert(
    fc.property(text, parts, value, (glob, template, filled) => {
      const written = template.map((part) => (typeof part === "string" ? part : "{x}")).join("");
      const uri = template.map((part) => (typeof part === "string" ? part : filled)).join("");
      if (compileGlob(glob).matches(uri)) assert.ok(globMeetsTemplate(glob, written), `${glob} ${written} ${uri}`);
    }),
    { numRuns: 1_000 },
  );
  assert.equal(globMeetsTemplate("repo://acme/*", "repo://other/{x}"), false);
  assert.equal(globMeetsTemplate("a", "a{x}b"), false);
  assert.equal(globMeetsTemplate("*x", "{y}"), true);
});
