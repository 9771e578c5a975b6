import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { findHome, type Home } from "../config/home.ts";
import { connectAdmin } from "./admin-client.ts";
import type { Application } from "./application.ts";
import { CommandFailure } from "./exit-status.ts";
import type { Terminal } from "./terminal.ts";

let folder: string;
let home: Home;
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dw-adm-"));
  home = findHome(
    { home: folder },
    { home: undefined, config: undefined, userHome: "/" },
    { temporary: tmpdir(), uid: 0 },
  );
  await writeFile(home.ownerKey, "owner-key\n");
});
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function daemon(listener: RequestListener): Promise<void> {
  server = createServer((request, response) => {
    if (request.url === "/healthz") response.end("{}");
    else listener(request, response);
  });
  await new Promise<void>((done) => server?.listen(home.socket, done));
}

function terminal(typed?: string): Terminal {
  return { askHidden: async () => typed } as unknown as Terminal;
}

const nobody = () => Promise.reject(new Error("no home is opened here"));

test("with a daemon, an action is asked of it, with the owner's key", async () => {
  const got: unknown[] = [];
  await daemon((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      got.push([request.method, request.url, request.headers.authorization, JSON.parse(body)]);
      response.end('{"done":true}');
    });
  });
  await using admin = await connectAdmin(home, terminal(), nobody);
  assert.deepEqual([admin.daemon, await admin.run("secret.list", { a: "ü" })], [true, { done: true }]);
  assert.deepEqual(got, [["POST", "/admin/v1/secret.list", "Bearer owner-key", { a: "ü" }]]);
});

test("without one, the home is opened here, and closed again", async () => {
  let closed = 0;
  const application = {
    ownerKey: async () => "owner-key",
    administer: async (action: string, _: object, proof: object) => ({ action, ...proof }),
    [Symbol.asyncDispose]: async () => void closed++,
  } as unknown as Application;
  {
    await using admin = await connectAdmin(home, terminal(), async () => application);
    assert.equal(admin.daemon, false);
    assert.deepEqual(await admin.run("status"), { action: "status", key: "owner-key", passphrase: undefined });
  }
  assert.equal(closed, 1);
});

const NEEDS_PASSPHRASE = JSON.stringify({
  code: "denied",
  detail: "it needs it",
  remedy: "Type it.",
  rule: "owner:passphrase",
});

test("the passphrase is asked for when it is needed, sent once, and never put on a command line", async () => {
  await daemon((request, response) => {
    const given = request.headers["doorward-passphrase"];
    request.resume();
    if (given === undefined) response.writeHead(403).end(NEEDS_PASSPHRASE);
    else response.end(JSON.stringify({ given: Buffer.from(String(given), "base64").toString() }));
  });
  await using admin = await connectAdmin(home, terminal("größe 東"), nobody);
  assert.deepEqual(await admin.run("secret.set"), { given: "größe 東" });
  await using mute = await connectAdmin(home, terminal(undefined), nobody);
  await assert.rejects(mute.run("secret.set"), (error) => error instanceof CommandFailure && error.status === 3);
});

test("a refusal keeps its code; one that is not known is a fault", async () => {
  let code = "not_found";
  await daemon((_, response) => void response.writeHead(404).end(JSON.stringify({ code, detail: "d", remedy: "R." })));
  await using admin = await connectAdmin(home, terminal(), nobody);
  for (const [sent, expected] of [
    ["not_found", "not_found"],
    ["__proto__", "internal_error"],
  ]) {
    code = sent ?? "";
    await assert.rejects(admin.run("x"), (error) => error instanceof Problem && error.code === expected);
  }
});

test("what is no daemon, or dies in the middle, is an error and not a crash", async () => {
  await daemon((_, response) => void response.end("<html>"));
  await using admin = await connectAdmin(home, terminal(), nobody);
  await assert.rejects(admin.run("x"), /no Doorward/);
  server?.removeAllListeners("request");
  server?.on("request", (request, response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("{");
    setImmediate(() => request.socket.destroy());
  });
  await assert.rejects(admin.run("x"));
});
