import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { exchangeRaw, type RawAnswer, requestBytes } from "./raw-http.testing.ts";

/** One line of the evidence. */
export interface EvidenceLine {
  readonly type: string;
  readonly request_id: string | null;
  readonly decision: string | null;
  readonly code: string | null;
  readonly [field: string]: unknown;
}

/** All of the evidence of a home, in order, as it stands on disk. */
export function readEvidence(home: string): readonly EvidenceLine[] {
  return evidenceText(home)
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as EvidenceLine);
}

/** The same, as text. */
export function evidenceText(home: string): string {
  const folder = join(home, "audit");
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".jsonl"));
  return files
    .toSorted()
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("");
}

/** One administrative action over the daemon's socket, as the owner. @throws With the refusal's code as its message. */
export async function administer<T = Record<string, unknown>>(
  home: TestHome,
  action: string,
  args: object = {},
): Promise<T> {
  const key = readFileSync(join(home.home, "owner.key"), "utf8").trim();
  const headers = [
    ["Authorization", `Bearer ${key}`],
    ["Content-Type", "application/json"],
  ] as const;
  const bytes = requestBytes({
    method: "POST",
    target: `/admin/v1/${action}`,
    headers,
    body: JSON.stringify(args),
    host: "doorward",
  });
  const answer = await exchangeRaw(join(home.home, "doorward.sock"), bytes);
  if (answer === undefined) throw new Error("no_answer");
  const document = JSON.parse(answer.body.toString("utf8")) as T & { code?: string };
  if (answer.status !== 200) throw new Error(document.code);
  return document;
}

/** A tool's answer, and the bytes that carried it. */
export interface ToolAnswer {
  readonly isError: boolean;
  readonly content: Readonly<Record<string, unknown>>;
  readonly error: { readonly code?: string; readonly [field: string]: unknown };
  readonly http: RawAnswer | undefined;
}

/** Calls a tool of the daemon by the stateless revision, over a connection of its own. */
export async function callTool(url: string, key: string, name: string, args: object): Promise<ToolAnswer> {
  const http = await exchangeRaw(url, toolBytes(key, name, JSON.stringify(args)));
  const message = (http === undefined || http.body.length === 0 ? {} : JSON.parse(http.body.toString("utf8"))) as {
    result?: { isError?: boolean; structuredContent?: Record<string, unknown> };
  };
  const content = message.result?.structuredContent ?? {};
  return {
    isError: message.result?.isError === true,
    content,
    error: (content["error"] ?? {}) as ToolAnswer["error"],
    http,
  };
}

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "laws", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** The bytes of such a call. @param args - JSON text, as it will stand in the message. */
export function toolBytes(key: string, name: string, args: string) {
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${JSON.stringify(name)},"arguments":${args},"_meta":${JSON.stringify(META)}}}`;
  return requestBytes({ method: "POST", target: "/mcp", headers: modernHeaders(key, name), body });
}

export function modernHeaders(key: string, name: string): readonly (readonly [string, string])[] {
  return [
    ["Authorization", `Bearer ${key}`],
    ["Content-Type", "application/json"],
    ["Accept", "application/json, text/event-stream"],
    ["MCP-Protocol-Version", "2026-07-28"],
    ["Mcp-Method", "tools/call"],
    ["Mcp-Name", name],
  ];
}

/** Starts the daemon on a home, and gives what tests send to it. */
export async function startStage(home: TestHome, args: readonly string[] = []): Promise<TestDaemon> {
  return startDaemon(home, args);
}
