/** Vendors' own SDKs, with nothing changed but base URL and key, against doubles that check what arrived. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Octokit } from "@octokit/rest";
import Stripe from "stripe";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, everythingOf, replyJson, startDouble } from "../harness/double.testing.ts";

const STRIPE_SECRET = "sk_live_51H8abcDEFghiJKL";
const GITHUB_SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const STRIPE_VERSION = "2026-06-24.dahlia";

const stack = new AsyncDisposableStack();
let stripeApi: Double;
let github: Double;
let home: TestHome;
let daemon: TestDaemon;
let key: string;

before(async () => {
  stripeApi = stack.use(
    await startDouble((request, response) => {
      const { pathname, searchParams } = new URL(request.url, "http://stripe.test");
      if (request.headers.authorization !== `Bearer ${STRIPE_SECRET}`)
        return replyJson(response, 401, { error: { type: "invalid_request_error" } });
      if (request.method === "POST" && pathname === "/v1/customers") {
        const sent = new URLSearchParams(request.body.toString("utf8"));
        return replyJson(
          response,
          200,
          {
            id: "cus_1",
            object: "customer",
            email: sent.get("email"),
            metadata: { order: sent.get("metadata[order]") },
          },
          { "request-id": "req_stripe1", "idempotency-key": request.headers["idempotency-key"] as string },
        );
      }
      if (pathname === "/v1/customers") {
        const start = Number(searchParams.get("starting_after")?.slice(4) ?? "0");
        const data = [1, 2].map((n) => ({ id: `cus_${start + n}`, object: "customer" }));
        return replyJson(response, 200, { object: "list", url: "/v1/customers", has_more: start < 4, data });
      }
      if (request.method === "DELETE")
        return replyJson(response, 200, { id: pathname.split("/").at(-1), object: "customer", deleted: true });
      return replyJson(
        response,
        404,
        { error: { type: "invalid_request_error", code: "resource_missing", message: "No such customer" } },
        { "request-id": "req_stripe2" },
      );
    }),
  );
  github = stack.use(
    await startDouble((request, response) => {
      const url = new URL(request.url, github.url);
      if (request.headers.authorization !== `token ${GITHUB_SECRET}`)
        return replyJson(response, 401, { message: "Bad credentials" });
      if (url.pathname === "/repos/acme/site/issues" && request.method === "POST") {
        return replyJson(response, 201, { number: 7, ...(JSON.parse(request.body.toString("utf8")) as object) });
      }
      if (url.pathname === "/repos/acme/site/issues") {
        const page = Number(url.searchParams.get("page") ?? "1");
        const to = (n: number, rel: string) =>
          `<${github.url}/repos/acme/site/issues?per_page=2&page=${n}>; rel="${rel}"`;
        const link = page < 3 ? `${to(page + 1, "next")}, ${to(3, "last")}` : to(1, "first");
        return replyJson(response, 200, [{ number: page * 2 - 1 }, { number: page * 2 }], {
          link,
          "x-ratelimit-remaining": "4999",
          "x-github-request-id": "A:1",
        });
      }
      if (url.pathname === "/repos/acme/site/contents/logo.png") {
        return response
          .writeHead(200, { "content-type": "application/vnd.github.raw" })
          .end(Buffer.from([0x89, 0x50, 0, 255]));
      }
      return replyJson(response, 404, { message: "Not Found" });
    }),
  );
  const config = `version: 1
services:
  stripe:
    url: ${stripeApi.url}
    private: true
    credential: { kind: bearer, secret: "local:stripe" }
    headers: { allow: [Stripe-Version, Stripe-Account] }
    operations:
      customers:write: { effect: write, allow: ["* /v1/customers", "* /v1/customers/{id}"] }
  github:
    url: ${github.url}
    private: true
    credential: { kind: header, name: Authorization, prefix: "token ", secret: "local:github" }
    operations:
      issues:write: { effect: write, allow: ["* /repos/{owner}/{repo}/issues"] }
      contents:read: { effect: read, allow: ["GET /repos/{owner}/{repo}/contents/{path...}"] }
roles: { user: { allow: ["*"] } }
agents: { bot: { roles: [user] } }
`;
  home = stack.use(
    await makeHome({ config, secrets: { stripe: STRIPE_SECRET, github: GITHUB_SECRET }, agents: ["bot"] }),
  );
  daemon = stack.use(await startDaemon(home));
  key = home.key("bot");
});
after(() => stack.disposeAsync());

/**
 * The SDK has no base path among its options. Its fetch client builds `http://HOST/PATH` and sets the port afterwards,
 * so that a host may carry one.
 */
function stripeClient(): Stripe {
  const { hostname, port } = new URL(daemon.url);
  return new Stripe(key, {
    host: `${hostname}/api/stripe`,
    port: Number(port),
    protocol: "http",
    apiVersion: STRIPE_VERSION as never,
    httpClient: Stripe.createFetchHttpClient(),
    maxNetworkRetries: 0,
    telemetry: false,
  });
}

describe("the Stripe SDK", () => {
  test("creates, with its form body, version and idempotency key", async () => {
    const customer = await stripeClient().customers.create(
      { email: "a+b@example.com", metadata: { order: "6735" } },
      { idempotencyKey: "idem-1" },
    );
    assert.deepEqual([customer.id, customer.email, customer.metadata], ["cus_1", "a+b@example.com", { order: "6735" }]);
    assert.equal(customer.lastResponse.requestId, "req_stripe1");
    const seen = stripeApi.last();
    assert.deepEqual(
      [seen.headers.authorization, seen.headers["stripe-version"], seen.headers["idempotency-key"]],
      [`Bearer ${STRIPE_SECRET}`, STRIPE_VERSION, "idem-1"],
    );
    assert.ok(!everythingOf(seen).includes(key));
  });

  test("pages through a list by itself", async () => {
    const ids: string[] = [];
    for await (const { id } of stripeClient().customers.list({ limit: 2 })) ids.push(id);
    assert.deepEqual(ids, ["cus_1", "cus_2", "cus_3", "cus_4", "cus_5", "cus_6"]);
  });

  test("deletes, and reads the vendor's errors as its own", async () => {
    assert.equal((await stripeClient().customers.del("cus_9")).deleted, true);
    await assert.rejects(stripeClient().customers.retrieve("cus_9"), (error: Stripe.errors.StripeError) => {
      assert.deepEqual([error.statusCode, error.code, error.requestId], [404, "resource_missing", "req_stripe2"]);
      return true;
    });
  });

  test("a refusal is an error, never an answer that looks like success", async () => {
    await assert.rejects(stripeClient().charges.list(), (error: Stripe.errors.StripeError) => {
      assert.deepEqual([error.statusCode, error.code], [403, "unknown_operation"]);
      assert.match(error.message, /doorward_services/);
      return true;
    });
    assert.ok(!stripeApi.received.some(({ url }) => url.includes("charges")));
  });
});

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

describe("Octokit", () => {
  const octokit = () => new Octokit({ auth: key, baseUrl: `${daemon.url}/api/github`, log: quiet });

  test("creates an issue", async () => {
    const { data, status } = await octokit().rest.issues.create({
      owner: "acme",
      repo: "site",
      title: "Ünicode",
      labels: ["a"],
    });
    assert.deepEqual([status, data.number, data.title], [201, 7, "Ünicode"]);
    const seen = github.last();
    assert.equal(seen.headers.authorization, `token ${GITHUB_SECRET}`);
    assert.ok(!everythingOf(seen).includes(key));
  });

  test("pages by the Link header, on its base URL", async () => {
    const first = await octokit().rest.issues.listForRepo({ owner: "acme", repo: "site", per_page: 2 });
    assert.ok(
      first.headers.link?.startsWith(`<${daemon.url}/api/github/repos/acme/site/issues?per_page=2&page=2>`),
      first.headers.link,
    );
    assert.deepEqual([first.headers["x-ratelimit-remaining"], first.headers["x-github-request-id"]], ["4999", "A:1"]);
    const all = await octokit().paginate("GET /repos/{owner}/{repo}/issues", {
      owner: "acme",
      repo: "site",
      per_page: 2,
    });
    assert.deepEqual(
      all.map(({ number }) => number),
      [1, 2, 3, 4, 5, 6],
    );
  });

  test("raw content comes byte for byte", async () => {
    const { data } = await octokit().rest.repos.getContent({
      owner: "acme",
      repo: "site",
      path: "logo.png",
      mediaType: { format: "raw" },
    });
    assert.deepEqual(Buffer.from(data as unknown as ArrayBuffer), Buffer.from([0x89, 0x50, 0, 255]));
  });

  test("a refusal is a RequestError with problem and status", async () => {
    await assert.rejects(
      octokit().rest.users.getAuthenticated(),
      (error: { status: number; response: { data: unknown } }) => {
        assert.equal(error.status, 403);
        // Octokit reads JSON as `application/json` alone; the document comes as bytes.
        assert.match(Buffer.from(error.response.data as ArrayBuffer).toString("utf8"), /"code":"unknown_operation"/);
        return true;
      },
    );
  });
});
