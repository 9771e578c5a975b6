import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@modelcontextprotocol/client";
import type { Command } from "commander";
import { verifyAudit } from "../audit/verify-audit.ts";
import { findHome } from "../config/home.ts";
import type { Application, Served } from "./application.ts";
import { type Cli, optionsOf } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { type SampleRegistrar, startSampleRegistrar } from "./sample-registrar.ts";

/** `doorward try`: the tour, on a home of its own that is gone afterwards. */
export function addTryCommand(program: Command, cli: Cli): void {
  program
    .command("try")
    .description("the tour: a sample API, a real MCP client, every promise seen once")
    .option("--once", "end after the tour; the status says whether each step did what it should")
    .addHelpText("after", "\nExample:\n  doorward try --once")
    .action(async (_: unknown, command: Command) => {
      const { once } = optionsOf<{ once?: boolean }>(command);
      const folder = await mkdtemp(join(tmpdir(), "doorward-try-"));
      try {
        await tour(cli, folder, once === true);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
}

/** What the tour works with. */
interface Stage {
  readonly application: Application;
  readonly served: Served;
  readonly registrar: SampleRegistrar;
  readonly client: Client;
  readonly ownerKey: string;
  /** The registrar's key, as only the registrar and the vault know it. */
  readonly secret: string;
  readonly agentKey: string;
  readonly audit: string;
}

/** One step: what it shows, and a look whether it was so. */
interface Step {
  readonly title: string;
  run(stage: Stage): Promise<{ readonly ok: boolean; readonly lines: readonly string[] }>;
}

async function tour(cli: Cli, folder: string, once: boolean): Promise<void> {
  const { terminal } = cli;
  const bold = (text: string) => (terminal.colours ? `\x1b[1m${text}\x1b[0m` : text);
  await using stack = new AsyncDisposableStack();
  const stage = await prepare(cli, folder, stack);
  terminal.print(bold("Doorward, the tour. An agent uses an API whose key it never sees."));
  terminal.print(`A registrar API runs on ${stage.registrar.url}; Doorward on ${stage.served.address}.`);
  let failed = 0;
  for (const [index, step] of STEPS.entries()) {
    const { ok, lines } = await step.run(stage);
    if (!ok) failed += 1;
    terminal.print(`\n${bold(`${index + 1}. ${step.title}`)}`);
    for (const line of lines) terminal.print(`   ${line}`);
    terminal.print(`   ${ok ? "as it should be" : "NOT AS IT SHOULD BE"}`);
  }
  terminal.print(failed === 0 ? "\nEach step did what it should." : `\n${failed} steps did not do what they should.`);
  if (failed > 0) throw new CommandFailure(EXIT.failed);
  if (once) return;
  terminal.print(
    `\nIt goes on serving until Ctrl-C. Try it:\n  curl -H "Authorization: Bearer ${stage.agentKey}" ${stage.served.address}/api/registrar/domains`,
  );
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
}

/** The rules of the tour: what the README shows, for the sample API. */
function tourConfig(url: string): string {
  return `version: 1
services:
  registrar:
    url: ${url}
    private: true
    description: Domains and DNS
    credential: { kind: bearer, secret: "local:registrar" }
    operations:
      domains:read:
        effect: read
        allow: [GET /domains, "GET /domains/{domain}", "GET /domains/{domain}/records"]
      records:write:
        effect: write
        allow: ["POST /domains/{domain}/records"]
      records:delete:
        effect: destructive
        allow: ["DELETE /domains/{domain}/records"]
        query: { type: { enum: [A, AAAA, CNAME, TXT] } }
        approval:
          message: "Delete {preview.total} {query.type} records on {path.domain}"
          preview: "GET /domains/{path.domain}/records?type={query.type}"
      echo: { effect: read, allow: [GET /echo] }
roles:
  dns-editor: { allow: ["registrar:domains:read", "registrar:records:delete", "registrar:echo"] }
agents:
  dns-bot: { roles: [dns-editor] }
`;
}

async function prepare(cli: Cli, folder: string, stack: AsyncDisposableStack): Promise<Stage> {
  const secret = `rk_live_${randomBytes(18).toString("base64url")}`;
  const registrar = stack.use(await startSampleRegistrar({ key: secret }));
  const home = findHome({ home: join(folder, "home") }, cli.environment, {
    temporary: tmpdir(),
    uid: process.getuid?.(),
  });
  const config = join(folder, "doorward.yaml");
  await writeFile(config, tourConfig(registrar.url), { mode: 0o600 });
  const application = stack.use(
    await cli.openApplication({
      home: { ...home, config },
      environment: cli.environment,
      kek: { kind: "file", path: join(folder, "kek") },
      ask: {},
      lockWaitMs: 0,
      log: (line) => cli.terminal.say(`doorward: ${line}`),
      rulesChanged: () => {},
    }),
  );
  const ownerKey = await application.ownerKey();
  const proof = { key: ownerKey, passphrase: undefined };
  await application.administer(
    "secret.set",
    { name: "registrar", value_base64: Buffer.from(secret).toString("base64") },
    proof,
  );
  const issued = (await application.administer("agent.key", { name: "dns-bot", ttl_seconds: 3_600 }, proof)) as {
    key: string;
  };
  const served = await application.serve({ host: "127.0.0.1", port: 0 });
  stack.defer(() => served.stop());
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client({ name: "doorward-tour", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const transport = new StreamableHTTPClientTransport(new URL(`${served.address}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${issued.key}` } },
  });
  await client.connect(transport);
  stack.defer(() => client.close());
  return { application, served, registrar, client, ownerKey, secret, agentKey: issued.key, audit: home.audit };
}

/** A tool's answer, as the agent sees it. */
interface Answer {
  readonly isError: boolean;
  readonly content: { readonly [field: string]: unknown };
  /** All of it, to look for traces of the key. */
  readonly text: string;
}

async function callTool(client: Client, name: string, args: Record<string, unknown>): Promise<Answer> {
  const result = await client.callTool({ name, arguments: args });
  return {
    isError: result.isError === true,
    content: (result.structuredContent ?? {}) as { readonly [field: string]: unknown },
    text: JSON.stringify(result),
  };
}

function errorOf(answer: Answer): { readonly [field: string]: string } {
  return (answer.content["error"] ?? {}) as { readonly [field: string]: string };
}

const request = (client: Client, method: string, path: string, more: object = {}) =>
  callTool(client, "doorward_request", { service: "registrar", method, path, ...more });

const STEPS: readonly Step[] = [
  {
    title: "The agent lists what it may use: no key is in it",
    async run({ client, secret }) {
      const { text, content } = await callTool(client, "doorward_services", {});
      const [service] = content["services"] as { operations: { scope: string; approval: string }[] }[];
      const lines = (service?.operations ?? []).map(({ scope, approval }) => `${scope}  (approval: ${approval})`);
      return { ok: lines.length === 3 && !text.includes(secret), lines };
    },
  },
  {
    title: "An allowed read: Doorward adds the key, the API answers",
    async run({ client, secret }) {
      const answer = await request(client, "GET", "/domains");
      const { status, body } = answer.content;
      return {
        ok: status === 200 && !answer.text.includes(secret),
        lines: [`GET /domains -> ${String(status)} ${String(body)}`],
      };
    },
  },
  {
    title: "A write that no rule allows: denied, with reason and remedy; nothing reaches the API",
    async run({ client, registrar }) {
      const before = registrar.received.length;
      const answer = await request(client, "POST", "/domains/example.com/records", {
        body: { type: "A", name: "x", value: "192.0.2.1" },
      });
      const { code, message, remedy } = errorOf(answer);
      return {
        ok: answer.isError && code === "denied" && registrar.received.length === before,
        lines: [`POST /domains/example.com/records -> ${code}: ${message}`, `remedy: ${remedy}`],
      };
    },
  },
  {
    title: "A destructive call: held for a person, who sees its effect, approves it, and it runs once",
    run: approvalStep,
  },
  {
    title: "The API echoes the key it was sent: it is taken out of the answer",
    async run({ client, secret, registrar }) {
      const answer = await request(client, "GET", "/echo");
      const body = String(answer.content["body"]);
      const sent = registrar.received.includes("GET /v1/echo");
      return {
        ok: sent && answer.content["redacted"] === 1 && !answer.text.includes(secret) && body.includes("[redacted]"),
        lines: [`GET /echo -> ${body.slice(0, 160)}…`, `redacted: ${String(answer.content["redacted"])}`],
      };
    },
  },
  {
    title: "A kill stops the agent's next call",
    async run({ application, client, ownerKey }) {
      const killed = (await application.administer(
        "kill.set",
        { target: "agent:dns-bot", why: "the tour" },
        { key: ownerKey, passphrase: undefined },
      )) as { effective_ms: number };
      const answer = await request(client, "GET", "/domains");
      const { code, message } = errorOf(answer);
      return {
        ok: answer.isError && code === "killed",
        lines: [`in force after ${killed.effective_ms} ms`, `GET /domains -> ${code}: ${message}`],
      };
    },
  },
  {
    title: "The evidence is whole, and says all of it",
    async run({ audit, registrar, application }) {
      const status = (await application.administer("status", {}, { key: undefined, passphrase: undefined })) as {
        node: string;
        audit: { seq: number; hash: string };
      };
      const verdict = await verifyAudit({ folder: audit, live: new Map([[status.node, status.audit]]) });
      return {
        ok: verdict.ok && verdict.checkpoints > 0,
        lines: [
          `${verdict.events} events, ${verdict.checkpoints} signed checkpoints, ${verdict.findings.length} findings`,
          `the API received: ${registrar.received.join("; ")}`,
        ],
      };
    },
  },
];

async function approvalStep({ application, client, ownerKey, registrar }: Stage) {
  const proof = { key: ownerKey, passphrase: undefined };
  const call = () => request(client, "DELETE", "/domains/example.com/records", { query: { type: "TXT" } });
  const deletions = () => registrar.received.filter((line) => line.startsWith("DELETE")).length;
  const held = await call();
  const { code, approval_id: id = "" } = errorOf(held);
  const shown = (await application.administer("approvals.show", { id }, proof)) as {
    message: string;
    request: { method: string; url: string };
  };
  const heldBack = deletions() === 0;
  await application.administer("approvals.approve", { id, why: "the tour" }, proof);
  const ran = await call();
  const again = await call();
  return {
    ok:
      code === "approval_required" &&
      heldBack &&
      shown.message === "Delete 3 TXT records on example.com" &&
      ran.content["status"] === 200 &&
      deletions() === 1 &&
      errorOf(again)["code"] === "approval_required",
    lines: [
      `DELETE /domains/example.com/records?type=TXT -> ${code} (${id})`,
      `a person sees: "${shown.message}" (${shown.request.method} ${shown.request.url})`,
      `approved; the same call -> ${String(ran.content["status"])} ${String(ran.content["body"])}`,
      `once more -> ${errorOf(again)["code"]}: an approval is used once`,
    ],
  };
}
