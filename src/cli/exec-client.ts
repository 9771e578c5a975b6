import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { ExecRequest } from "../sandbox/exec-sessions.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

const problemSchema = z.object({ code: z.string(), detail: z.string(), remedy: z.string() });
const openedSchema = z.object({
  id: z.string(),
  socket: z.string(),
  ca: z.string(),
  env: z.array(z.tuple([z.string(), z.string()])),
});
const newsSchema = z.object({ ended: problemSchema.optional(), refused: problemSchema.optional() });

/** A command's way out, as long as it is open. */
export interface OpenExec {
  readonly id: string;
  readonly socket: string;
  readonly caPem: string;
  readonly env: ReadonlyMap<string, string>;
  /** Resolves with why, when the daemon ends it. Never rejects. */
  readonly cut: Promise<string>;
  close(): void;
}

/**
 * Asks the daemon for a command's way out, with the agent's key.
 *
 * @param say - Told what the command was refused.
 * @throws {CommandFailure} 3 when it is refused, 1 when no daemon answers.
 */
export async function openExec(
  daemon: { readonly socketPath: string; readonly key: string },
  asked: ExecRequest & { readonly purpose?: string },
  say: (text: string) => void,
): Promise<OpenExec> {
  const { socket, head } = await upgraded(daemon, asked);
  const lines = readLines(socket, head);
  const opened = openedSchema.parse(JSON.parse((await lines.next()).value ?? "null"));
  return {
    id: opened.id,
    socket: opened.socket,
    caPem: opened.ca,
    env: new Map(opened.env),
    cut: hear(lines, say),
    close: () => socket.destroy(),
  };
}

function upgraded(
  { socketPath, key }: { readonly socketPath: string; readonly key: string },
  asked: object,
): Promise<{ readonly socket: Duplex; readonly head: Buffer }> {
  const headers = {
    host: "doorward",
    connection: "Upgrade",
    upgrade: "doorward-exec",
    authorization: `Bearer ${key}`,
    "doorward-exec": Buffer.from(JSON.stringify(asked), "utf8").toString("base64"),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path: "/exec", headers });
    request.on("upgrade", (_, socket, head) => resolve({ socket, head }));
    request.on("response", (response) => void refusal(response).then(reject));
    request.on("error", (error: NodeJS.ErrnoException) => {
      const absent = error.code === "ENOENT" || error.code === "ECONNREFUSED";
      const why = absent
        ? "no daemon runs; start one with `doorward serve`"
        : `the daemon cannot be reached: ${error.message}`;
      reject(new CommandFailure(EXIT.failed, why));
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<CommandFailure> {
  const said = await text(response).catch(() => "");
  const { statusCode = 0 } = response;
  const status = statusCode >= 500 ? EXIT.failed : statusCode === 400 ? EXIT.usage : EXIT.refused;
  try {
    const { detail, remedy } = problemSchema.parse(JSON.parse(said));
    return new CommandFailure(status, `${detail}. ${remedy}`);
  } catch {
    return new CommandFailure(EXIT.failed, "what listens on the daemon's socket is no Doorward");
  }
}

/** Lines until the connection ends, however it ends. */
async function* readLines(socket: Duplex, head: Buffer): AsyncGenerator<string, undefined> {
  let pending = head.toString("utf8");
  const chunks = socket.setEncoding("utf8")[Symbol.asyncIterator]() as AsyncIterator<string>;
  for (;;) {
    for (let end = pending.indexOf("\n"); end !== -1; end = pending.indexOf("\n")) {
      yield pending.slice(0, end);
      pending = pending.slice(end + 1);
    }
    const next = await chunks.next().catch(() => undefined);
    if (next === undefined || next.done === true) return undefined;
    pending += next.value;
  }
}

/** @returns Why it ended. */
async function hear(lines: AsyncIterable<string>, say: (text: string) => void): Promise<string> {
  for await (const line of lines) {
    const { ended, refused } = newsSchema.parse(JSON.parse(line));
    if (refused !== undefined) say(`doorward: ${refused.detail}. ${refused.remedy}`);
    if (ended !== undefined) return `${ended.detail}. ${ended.remedy}`;
  }
  return "the daemon ended the connection";
}
