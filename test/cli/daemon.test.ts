/** The daemon's life: one per home, drain, reload, a file that stops holding, a service that moves. */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";

const SECRET = "daemon-secret-77c1";
const stack = new AsyncDisposableStack();
let upstream: Double;
let moved: Double;
let home: TestHome;
let slow: PromiseWithResolvers<ServerResponse>;

const config = (url: string, allow: string) => `version: 1
services:
  feed:
    url: ${url}
    private: true
    credential: { kind: bearer, secret: "local:feed" }
    operations: { read: { effect: read, allow: ["${allow}"] } }
roles: { user: { allow: ["feed:*"] } }
agents: { bot: { roles: [user] } }
`;

before(async () => {
  upstream = stack.use(
    await startDouble((request, response) =>
      request.url === "/slow" ? slow.resolve(response) : replyJson(response, 200, { url: request.url }),
    ),
  );
  moved = stack.use(
    await startDouble((request, response) => replyJson(response, 200, { auth: request.headers.authorization ?? null })),
  );
  home = stack.use(
    await makeHome({ config: config(upstream.url, "GET /{path...}"), secrets: { feed: SECRET }, agents: ["bot"] }),
  );
});
after(() => stack.disposeAsync());

const ask = (daemon: TestDaemon, path: string) =>
  fetch(`${daemon.url}/api/feed${path}`, { headers: { authorization: `Bearer ${home.key("bot")}` } });
const codeOf = async (answer: Response) => (answer.ok ? "ok" : ((await answer.json()) as { code: string }).code);

interface Status {
  readonly running: boolean;
  readonly rules: {
    readonly current: boolean;
    readonly findings: readonly { readonly line: number; readonly problem: string }[];
  };
  readonly held_secrets: readonly { readonly service: string }[];
}
const status = () => home.json<Status>(["status"]);

describe("the daemon", () => {
  test("a second one on the home refuses, and the first one goes on", async () => {
    await using daemon = await startDaemon(home);
    const second = await home.cli(["serve", "--listen", "127.0.0.1:0"]);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /holds the home/);
    assert.equal((await ask(daemon, "/a")).status, 200);
  });

  test("healthz, readyz, metrics; the admin API is not on TCP, with whatever key", async () => {
    await using daemon = await startDaemon(home);
    assert.equal((await fetch(`${daemon.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${daemon.url}/readyz`)).status, 200);
    assert.equal((await fetch(`${daemon.url}/metrics`)).status, 200);
    const headers = { authorization: `Bearer ${home.key("bot")}` };
    assert.equal((await fetch(`${daemon.url}/admin/v1/status`, { method: "POST", headers, body: "{}" })).status, 404);
  });

  test("SIGTERM: a call under way ends, new ones are refused, then it ends with 0", async () => {
    const daemon = await startDaemon(home);
    slow = Promise.withResolvers();
    const answer = ask(daemon, "/slow");
    const response = await slow.promise;
    daemon.signal("SIGTERM");
    await daemon.waitFor("doorward: stopping");
    await until(
      () =>
        fetch(`${daemon.url}/readyz`).then(
          ({ status: code }) => code,
          () => 0,
        ),
      (code) => code !== 200,
    );
    replyJson(response, 200, { late: true });
    const got = await answer;
    assert.deepEqual([got.status, await got.json()], [200, { late: true }]);
    assert.equal(await daemon.ended, 0);
    assert.equal((await home.json<{ ok: boolean }>(["audit", "verify"])).ok, true);
  });

  test("SIGHUP puts the file in force", async () => {
    await using daemon = await startDaemon(home);
    home.writeConfig(config(upstream.url, "GET /only"));
    daemon.signal("SIGHUP");
    await daemon.waitFor("doorward: reload:");
    assert.deepEqual(
      [await codeOf(await ask(daemon, "/other")), (await ask(daemon, "/only")).status],
      ["unknown_operation", 200],
    );
    home.writeConfig(config(upstream.url, "GET /{path...}"));
    await until(
      () => ask(daemon, "/other"),
      (answer) => answer.status === 200,
    );
  });

  test("a file that stops holding: the last rules stay, status says so, and the next good file counts", async () => {
    await using daemon = await startDaemon(home);
    const good = home.readConfig();
    home.writeConfig(`${good}rols: {}\n`);
    daemon.signal("SIGHUP");
    await daemon.waitFor("refused, the last rules stay in force");
    assert.equal((await ask(daemon, "/a")).status, 200);
    const { rules } = await status();
    assert.deepEqual([rules.current, rules.findings.length], [false, 1]);
    assert.match(rules.findings[0]!.problem, /rols/);
    const { stdout } = await home.cli(["audit", "search", "--type", "config.refused", "--json"]);
    assert.notEqual(stdout.trim(), "");
    home.writeConfig(good);
    await until(status, (answer) => answer.rules.current);
  });

  test("a service that moved does not get its secret until it is confirmed", async () => {
    await using daemon = await startDaemon(home);
    assert.equal((await ask(daemon, "/a")).status, 200);
    home.writeConfig(config(moved.url, "GET /{path...}"));
    daemon.signal("SIGHUP");
    await daemon.waitFor("doorward: reload:");
    const refused = await ask(daemon, "/a");
    assert.deepEqual([refused.status, await codeOf(refused), moved.received.length], [503, "secret_unavailable", 0]);
    assert.deepEqual(
      (await status()).held_secrets.map(({ service }) => service),
      ["feed"],
    );
    assert.equal((await home.cli(["service", "confirm", "feed"])).status, 0);
    assert.equal((await ask(daemon, "/a")).status, 200);
    assert.equal(moved.last().headers.authorization, `Bearer ${SECRET}`);
    assert.deepEqual((await status()).held_secrets, []);
  });

  test("kill -9 leaves nothing that stops the next one", async () => {
    const daemon = await startDaemon(home);
    assert.equal((await ask(daemon, "/a")).status, 200);
    daemon.signal("SIGKILL");
    await daemon.ended;
    await using next = await startDaemon(home);
    assert.equal((await ask(next, "/a")).status, 200);
    assert.equal((await home.json<{ ok: boolean }>(["audit", "verify"])).ok, true);
  });
});
