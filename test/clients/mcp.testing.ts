import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { type SampleRegistrar, startSampleRegistrar } from "../../src/cli/sample-registrar.ts";
import { DOORWARD, makeHome, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";

/** The registrar's key: not to be seen by any client. */
export const REGISTRAR_SECRET = "rk_live_x7Qz2mWp9LkT4vNb";
export const BINARY = Buffer.from([0, 255, 254, 10, 128, 65]);
/** Longer than the limit of the service `double`, and not of one-byte characters alone. */
export const LONG_TEXT = "ä€".repeat(2_000);
export const RESPONSE_LIMIT = 4_096;

/** What the tour needs, but for a daemon. */
export interface McpStage extends AsyncDisposable {
  readonly registrar: SampleRegistrar;
  /** An upstream for what the sample does not do; `/slow` never answers. */
  readonly double: Double;
  /** Resolves when the vendor's side of a request to `/slow` is gone. */
  readonly slowEnded: () => Promise<void>;
  readonly home: TestHome;
}

/** Makes the sample registrar, a double and a home with the tour's rules. */
export async function openMcpStage(): Promise<McpStage> {
  await using stack = new AsyncDisposableStack();
  const registrar = stack.use(await startSampleRegistrar({ key: REGISTRAR_SECRET }));
  let slow = Promise.withResolvers<void>();
  const double = stack.use(
    await startDouble((request, response) => {
      if (request.url === "/slow") return response.on("close", () => slow.resolve());
      if (request.url === "/binary")
        return response.writeHead(200, { "content-type": "application/octet-stream" }).end(BINARY);
      if (request.url === "/long") return response.writeHead(200, { "content-type": "text/plain" }).end(LONG_TEXT);
      return replyJson(response, 200, {
        type: request.headers["content-type"] ?? null,
        body: request.body.toString("base64"),
        url: request.url,
      });
    }),
  );
  const config = `version: 1
server: { listen: "127.0.0.1:0" }
services:
  registrar:
    url: ${registrar.url}
    private: true
    description: Domains and DNS
    credential: { kind: bearer, secret: "local:registrar" }
    operations:
      domains:read: { effect: read, allow: [GET /domains, "GET /domains/{domain}", "GET /domains/{domain}/records"] }
      records:write: { effect: write, allow: ["POST /domains/{domain}/records"] }
      records:delete:
        effect: destructive
        allow: ["DELETE /domains/{domain}/records"]
        query: { type: { enum: [A, AAAA, CNAME, TXT] } }
        approval:
          message: "Delete {preview.total} {query.type} records on {path.domain}"
          preview: "GET /domains/{path.domain}/records?type={query.type}"
      echo: { effect: read, allow: [GET /echo] }
  double:
    url: ${double.url}
    private: true
    limits: { response: ${RESPONSE_LIMIT} }
    operations: { all: { effect: write, allow: ["* /{path...}"] } }
roles:
  dns-editor: { allow: ["registrar:domains:read", "registrar:records:delete", "registrar:echo", "double:*"] }
agents:
  dns-bot: { roles: [dns-editor], tenant: acme, purposes: [dns-automation] }
  other: { roles: [dns-editor] }
`;
  const home = stack.use(
    await makeHome({ config, secrets: { registrar: REGISTRAR_SECRET }, agents: ["dns-bot", "other"] }),
  );
  const opened = stack.move();
  return {
    registrar,
    double,
    home,
    async slowEnded() {
      await slow.promise;
      slow = Promise.withResolvers();
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type Era = "auto" | "legacy";

function newClient(era: Era): Client {
  return new Client({ name: "outside", version: "1" }, { versionNegotiation: { mode: era } });
}

/** Connects an outside client over HTTP. */
export async function overHttp(
  url: string,
  key: string,
  era: Era,
): Promise<{ client: Client; transport: StreamableHTTPClientTransport }> {
  const client = newClient(era);
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${key}` } },
  });
  await client.connect(transport);
  return { client, transport };
}

/** Connects one over stdio, as an MCP client's configuration says: `doorward connect --agent NAME`. */
export async function overStdio(home: TestHome, agent: string, era: Era): Promise<Client> {
  const client = newClient(era);
  const args = [DOORWARD, "connect", "--agent", agent, "--home", home.home];
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args,
      env: home.env as Record<string, string>,
      stderr: "ignore",
    }),
  );
  return client;
}

/** A tool's answer, as the agent sees it. */
export interface Answer {
  readonly isError: boolean;
  readonly content: Record<string, unknown>;
  readonly error: Record<string, string>;
  /** All of it, to look for traces of a key. */
  readonly text: string;
}

export async function callTool(
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
  signal?: AbortSignal,
): Promise<Answer> {
  const result = await client.callTool({ name, arguments: args }, signal === undefined ? {} : { signal });
  const content = (result.structuredContent ?? {}) as Record<string, unknown>;
  return {
    isError: result.isError === true,
    content,
    error: (content["error"] ?? {}) as Record<string, string>,
    text: JSON.stringify(result),
  };
}
