import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../base/secret.ts";
import { makePlaceholder, watchPlaceholder } from "../credentials/placeholder.ts";
import {
  agent,
  mcpService,
  operation,
  principal,
  type Rules,
  role,
  service,
  stdioServer,
} from "../policy/policy.testing.ts";
import type { RawRequest } from "../request/raw-request.ts";
import { callTo, recordingSink, STAGED_SECRET, stageBroker } from "./broker.testing.ts";
import type { CallRequest } from "./call-request.ts";

const ORIGIN = "https://api.github.com";
const placeholder = watchPlaceholder(makePlaceholder(new Secret(STAGED_SECRET)));

const SERVER = mcpService("github", [operation("read", { allow: ["GET /user"] })], {
  credential: {
    kind: "env",
    name: "T",
    secret: "local:github",
    hosts: [{ host: "api.github.com", port: 443 }],
    place: "header",
    file: undefined,
  },
});

const RULES: Rules = {
  services: [SERVER, service("dns", [operation("zones")])],
  roles: [role("reader", ["github:*", "dns:*"])],
  agents: [agent("bot", ["reader"]), agent("other", [])],
};

/** Runs one request of a program. @returns What the door was told, and what was sent. */
async function run(
  line: string,
  parts: Partial<CallRequest> & { origin?: string; headers?: [string, string][] },
  rules = RULES,
) {
  const staged = stageBroker(rules);
  const { origin = ORIGIN, headers = [], ...call } = parts;
  const base = callTo(line, { door: "egress", service: "github", ...call });
  const raw = { ...(base.raw as RawRequest), origin, headers };
  const { sink, told, ended } = recordingSink();
  staged.broker.call({ ...base, raw }, sink);
  for (let turn = 0; turn < 50 && staged.exchanges.length === 0 && told.length === 0; turn++) {
    await new Promise(setImmediate);
  }
  const [exchange] = staged.exchanges;
  exchange?.end();
  await ended;
  return { told, sent: exchange?.outbound, events: staged.events };
}

const byServer = { by: "server", placeholder, during: ["req_a"] } as const;
const byAgent = { by: "agent", placeholder, during: [] } as const;
const server = principal({ agent: "service:github", client: "sandbox" });
const bearer: [string, string][] = [["authorization", `Bearer ${placeholder.value}`]];

test("a server's request needs no role, and gets the key", async () => {
  const { sent, events } = await run("GET /user", { principal: server, egress: byServer, headers: bearer });
  assert.deepEqual(sent?.headers, [["authorization", `Bearer ${STAGED_SECRET}`]]);
  assert.equal(sent?.target.origin, ORIGIN);
  assert.equal(sent?.answerHeaders, "program");
  assert.equal(events[0]?.agent, "service:github");
});

test("a host that gets no key cannot show the one that another host was sent", async () => {
  const network = [{ host: "logs.example", port: 443 }];
  const services = [{ ...SERVER, server: stdioServer({ network }) }];
  const call = { principal: server, egress: byServer, origin: "https://logs.example" };
  const { sent } = await run("GET /user", call, { ...RULES, services });
  assert.equal(sent?.target.origin, "https://logs.example");
  assert.equal(sent?.scrubber?.text(`seen: ${STAGED_SECRET}`).redacted, 1);
  const keyed = await run("GET /user", { ...call, headers: bearer }, { ...RULES, services });
  assert.deepEqual([keyed.told, keyed.sent], [["fail denied"], undefined]);
});

test("an agent's command gets the key of a server by its own rules, at the server's declared hosts", async () => {
  const permitted = await run("GET /user", { egress: byAgent, headers: bearer });
  assert.deepEqual(permitted.sent?.headers, [["authorization", `Bearer ${STAGED_SECRET}`]]);
  const elsewhere = await run("GET /user", { egress: byAgent, headers: bearer, origin: "https://evil.example" });
  assert.deepEqual([elsewhere.told, elsewhere.sent], [["fail denied"], undefined]);
  const bare = await run("GET /user", { egress: byAgent, origin: "https://evil.example" });
  assert.deepEqual([bare.told, bare.sent], [["fail denied"], undefined]);
  const unlisted = await run("GET /other", { egress: byAgent });
  assert.deepEqual(unlisted.told, ["fail unknown_operation"]);
  const stranger = await run("GET /user", {
    egress: byAgent,
    principal: principal({ agent: "other" }),
    headers: bearer,
  });
  assert.deepEqual(stranger.told, ["fail unknown_service"]);
});

test("an agent's command calls an HTTP API as through the base URL: where it is, with the credential put on", async () => {
  const call = { service: "dns", egress: { ...byAgent, placeholder: undefined } };
  const { sent } = await run("GET /zones", {
    ...call,
    origin: "https://api.example",
    headers: [
      ["authorization", "Bearer own"],
      ["x-own", "1"],
    ],
  });
  assert.equal(sent?.target.origin, "https://api.example");
  assert.deepEqual(sent?.headers, [["authorization", `Bearer ${STAGED_SECRET}`]]);
  const elsewhere = await run("GET /zones", { ...call, origin: "https://evil.example" });
  assert.deepEqual([elsewhere.told, elsewhere.sent], [["fail denied"], undefined]);
});

test("what a command has for one service's key goes into no request to another one", async () => {
  const egress = { ...byAgent, placeholder: undefined, foreign: [placeholder] };
  const call = { service: "dns", egress, origin: "https://api.example" };
  const { told, sent, events } = await run("GET /zones", { ...call, headers: bearer });
  assert.deepEqual([told, sent], [["fail denied"], undefined]);
  assert.deepEqual(events[0]?.rules, ["placeholder:dns"]);
  assert.notEqual((await run("GET /zones", call)).sent, undefined);
});

test("a placeholder out of its place is denied by a rule that names it, whoever's program it is", async () => {
  for (const egress of [byServer, byAgent]) {
    const who = egress.by === "server" ? server : principal();
    const { told, sent, events } = await run(`GET /user?a=${placeholder.value}`, { egress, principal: who });
    assert.deepEqual([told, sent], [["fail denied"], undefined]);
    assert.deepEqual(events[0]?.rules, ["placeholder:github"]);
    assert.ok(!JSON.stringify(events).includes(placeholder.value));
  }
});

test("no other door reaches what a server may request", async () => {
  for (const door of ["api", "mcp"] as const) {
    const { told, sent } = await run("GET /user", { door, headers: [] });
    assert.deepEqual([told, sent], [["fail unknown_operation"], undefined], door);
  }
});
