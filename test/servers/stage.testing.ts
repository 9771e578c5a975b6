import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type EvidenceLine, readEvidence } from "../laws/stage.testing.ts";

/** A home whose services are MCP servers, with one agent that may use all of them. */
export interface ServerStage extends AsyncDisposable {
  readonly home: TestHome;
  /** The one that runs now. */
  readonly daemon: () => TestDaemon;
  /** Stops it and starts another on the same home. */
  restart(): Promise<void>;
  /** A client of the agent; closed with the stage. */
  connect(path: string, era?: Era): Promise<Client>;
  evidence(): readonly EvidenceLine[];
}

export type Era = "auto" | "legacy";

export interface ServerStageOptions {
  /** What stands under `services:`, given the folder of the servers' programs. */
  readonly services: (folder: string) => string;
  /** Scripts that are copied there: a server may read its own folder, and here that is no checkout. */
  readonly programs?: readonly string[];
  readonly secrets?: Readonly<Record<string, string>>;
  /** Variables of the daemon's own environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

export const AGENT = "caller";

/** Makes the home and starts its daemon; no server runs before it is asked for. */
export async function openServerStage(options: ServerStageOptions): Promise<ServerStage> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await makeHome({ secrets: options.secrets ?? {} }));
  const folder = join(home.folder, "servers");
  mkdirSync(folder);
  for (const program of options.programs ?? []) copyFileSync(program, join(folder, basename(program)));
  home.writeConfig(
    `version: 1\nservices:\n${options.services(folder)}roles: { all: { allow: ["*"] } }\nagents: { ${AGENT}: { roles: [all] } }\n`,
  );
  await home.json(["agent", "key", AGENT]);
  Object.assign(home.env, options.environment);
  let daemon = await startDaemon(home);
  stack.defer(() => daemon[Symbol.asyncDispose]());
  const owned = stack.move();
  return {
    home,
    daemon: () => daemon,
    async restart() {
      await daemon.stop();
      daemon = await startDaemon(home);
    },
    async connect(path, era = "auto") {
      const client = new Client({ name: "outside", version: "1" }, { versionNegotiation: { mode: era } });
      const headers = { authorization: `Bearer ${home.key(AGENT)}` };
      await client.connect(new StreamableHTTPClientTransport(new URL(daemon.url + path), { requestInit: { headers } }));
      owned.defer(() => client.close());
      return client;
    },
    evidence: () => readEvidence(home.home),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The script that a development dependency runs. */
export function packageScript(name: string): string {
  const entry = fileURLToPath(import.meta.resolve(`${name}/package.json`));
  const { bin } = JSON.parse(readFileSync(entry, "utf8")) as { readonly bin: Readonly<Record<string, string>> };
  return join(dirname(entry), Object.values(bin)[0] ?? assert.fail(`${name} has no program`));
}

/** One text of a tool's result. */
export async function textOf(client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  const [first] = content as readonly { readonly type: string; readonly text?: string }[];
  return first?.text ?? assert.fail(`\`${name}\` answered no text: ${JSON.stringify(content)}`);
}

/** The refusal of a call, as an agent reads it. */
export async function refusalOf(client: Client, name: string, args: Record<string, unknown> = {}) {
  const { isError, structuredContent } = await client.callTool({ name, arguments: args });
  assert.equal(isError, true, `\`${name}\` was not refused: ${JSON.stringify(structuredContent)}`);
  return (structuredContent as { error: Readonly<Record<string, string>> }).error;
}

/** Processes that a process started, and theirs, by id. */
export function descendants(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const own = children === "" ? [] : children.split(" ").map(Number);
  return own.flatMap((child) => [child, ...(alive(child) ? descendants(child) : [])]);
}

function alive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1") !== "";
  } catch {
    return false;
  }
}
