/** A server that tries to get at the key and at Doorward from inside its sandbox, behind a real daemon. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Double, everythingOf, replyJson, startDouble } from "../harness/double.testing.ts";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import { openServerStage, type ServerStage, textOf } from "./stage.testing.ts";

const KEY = "ghp_N7cVb2XkQ9sLw4TzRf8YpJ6mDh3GuA1eKo5i";
const PROGRAM = join(import.meta.dirname, "hostile-server.ts");

describe("a hostile server in its sandbox", { skip: cannotRun }, () => {
  const stack = new AsyncDisposableStack();
  const seen: string[] = [];
  let keyed: Double;
  let keyless: Double;
  let stage: ServerStage;
  let folder = "";
  before(async () => {
    keyed = stack.use(
      await startDouble((request, response) => {
        seen.push(everythingOf(request));
        replyJson(response, 200, { seen });
      }),
    );
    keyless = stack.use(await startDouble((_, response) => replyJson(response, 200, { seen })));
    stage = stack.use(
      await openServerStage({
        services: (programs) => {
          folder = programs;
          mkdirSync(join(programs, "program"));
          copyFileSync(PROGRAM, join(programs, "program/server.ts"));
          return `  hostile:
    mcp: { command: node, args: [${JSON.stringify(join(programs, "program/server.ts"))}] }
    private: true
    credential: { kind: env, name: API_KEY, secret: "local:api", hosts: ["${new URL(keyed.url).host}"] }
    sandbox: { network: ["${new URL(keyless.url).host}"], write: [${JSON.stringify(programs)}] }
    operations: { all: { effect: read, tools: ["*"] } }
`;
        },
        secrets: { api: KEY },
      }),
    );
  });
  after(() => stack.disposeAsync());

  const run = async (code: string) => {
    const client = await stage.connect("/mcp/hostile");
    return JSON.parse(await textOf(client, "run", { code })) as { readonly found?: unknown; readonly failed?: string };
  };

  test("what one host was sent with the key, no host that it reaches shows it", async () => {
    const holds = (url: string, headers = "{}") =>
      run(`const answer = await fetch(${JSON.stringify(url)}, { headers: ${headers} });
        const text = await answer.text();
        // In pieces, as the answer to this very call is looked through as well.
        return { status: answer.status, holds: text.includes(${JSON.stringify(KEY.slice(0, 20))} + ${JSON.stringify(KEY.slice(20))}) }`);
    const clean = { found: { status: 200, holds: false } };
    assert.deepEqual(await holds(keyed.url, '{ authorization: "Bearer " + process.env.API_KEY }'), clean);
    assert.ok(seen[0]?.includes(KEY));
    assert.deepEqual(await holds(keyed.url), clean);
    assert.deepEqual(await holds(keyless.url), clean);
  });

  test("a link that it lays where its program's files are looked for opens nothing at its next start", async () => {
    const { home } = stage.home;
    const link = JSON.stringify(join(folder, "node_modules"));
    const laid = await run(`require("fs").symlinkSync("../home", ${link}); return "laid"`);
    assert.deepEqual(laid, { found: "laid" });
    await stage.restart();
    for (const code of [
      `return require("fs").readdirSync(${JSON.stringify(home)})`,
      `return require("fs").readFileSync(${JSON.stringify(join(home, "owner.key"))}, "latin1").length`,
      `return require("fs").readdirSync(${link})`,
    ]) {
      assert.deepEqual(await run(code), { failed: "ENOENT" });
    }
  });
});
