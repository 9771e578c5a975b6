import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import { makeApiKey } from "../identity/api-key.ts";
import type { Proof } from "./admin-action.ts";
import { createAdministration, createAdminRoutes } from "./admin-api.ts";

const ran: unknown[] = [];
const administer = createAdministration(
  (["nothing", "key", "owner"] as const).map((proof) => ({
    name: `test.${proof}`,
    proof,
    run: (args, by) => {
      ran.push([proof, args, by]);
      return { ok: true };
    },
  })),
  async ({ key, passphrase }, needed: Proof) => {
    if (needed === "nothing") return "local";
    if (key !== "owner-key") throw new Problem("not_found");
    if (needed === "owner" && passphrase !== "pass") throw new Problem("denied");
    return "owner";
  },
);
const routes = createAdminRoutes(administer);
const server = createServer((request, response) => {
  Promise.resolve(routes(request, response, "req_1")).then(
    (served) => served || sendProblem(response, new Problem("not_found"), "req_1"),
    (error) => sendProblem(response, error as Problem, "req_1"),
  );
});
before(() => new Promise<void>((done) => server.listen(0, "127.0.0.1", done)));
after(() => void server.close());

async function ask(
  action: string,
  headers: Record<string, string> = {},
  init: { method?: string; body?: string } = {},
) {
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/admin/v1/${action}`, {
    method: init.method ?? "POST",
    headers,
    ...(init.method === "GET" ? {} : { body: init.body ?? "{}" }),
  });
  return [response.status, ((await response.json()) as { code?: string }).code] as const;
}

const OWNER = { authorization: "Bearer owner-key" };
const AGENT = { authorization: `Bearer ${makeApiKey("default").key}` };
const PASSPHRASE = { "doorward-passphrase": Buffer.from("pass").toString("base64") };

test("each action asks for its own proof", async () => {
  assert.deepEqual(await ask("test.nothing"), [200, undefined]);
  assert.deepEqual(await ask("test.key"), [404, "not_found"]);
  assert.deepEqual(await ask("test.key", OWNER), [200, undefined]);
  assert.deepEqual(await ask("test.owner", OWNER), [403, "denied"]);
  assert.deepEqual(await ask("test.owner", { ...OWNER, ...PASSPHRASE }), [200, undefined]);
  assert.equal(ran.length, 3);
});

test("to an agent's key there is no admin API, whatever it asks and however", async () => {
  for (const action of ["test.nothing", "test.key", "test.owner", "none"])
    for (const method of ["POST", "GET", "DELETE"])
      assert.deepEqual(await ask(action, { ...AGENT, ...PASSPHRASE }, { method }), [404, "not_found"]);
  assert.deepEqual(await ask("test.nothing", { authorization: AGENT.authorization.replace("Bearer", "bearer") }), [
    404,
    "not_found",
  ]);
});

test("what is no action, no POST or no object is refused", async () => {
  assert.deepEqual(await ask("constructor", OWNER), [404, "not_found"]);
  assert.deepEqual(await ask("test.nothing", {}, { method: "GET" }), [405, "method_not_allowed"]);
  for (const body of ["[]", "null", "x", '{"a":1,"a":2}', '{"__proto__":1}']) {
    assert.deepEqual(await ask("test.nothing", {}, { body }), [400, "invalid_request"]);
  }
});
