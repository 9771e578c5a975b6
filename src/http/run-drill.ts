import { request as httpRequest, type IncomingMessage } from "node:http";
import type { KillOrders } from "../approvals/create-kills.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { DRILL_NAME } from "../policy/drill-overlay.ts";

/** One kill, as it was felt by who it stopped. */
export interface DrillRun {
  /** Milliseconds from the order to the refusal of a call made right after it. */
  readonly newCallMs: number;
  /** Milliseconds from the order to the end of a stream that was open. */
  readonly streamMs: number;
  /** Request ids: of the refused call, and of the stream that was cut. */
  readonly refused: string;
  readonly cut: string;
}

export interface DrillRunDeps {
  /** Path of the daemon's own socket: the drill's calls come in as any caller's do. */
  readonly socket: string;
  readonly kills: Pick<KillOrders, "set" | "lift">;
  readonly now: () => Date;
}

/** What a drill stops, and as whom it calls. */
export interface DrillTarget {
  /** `agent:NAME`. */
  readonly target: string;
  readonly key: string;
  readonly by: string;
}

/** An answer of the daemon may take this long before the drill has failed. */
const ANSWER_MS = 10_000;
const WHY = "drill";

/**
 * Stops the agent once and lifts it again: a stream is open, the kill is set, a new call is made.
 *
 * @throws {Problem} `internal_error` when anything but a refusal by the kill happens; `audit_unavailable`, `store_unavailable`.
 */
export async function runDrillOnce(deps: DrillRunDeps, { target, key, by }: DrillTarget): Promise<DrillRun> {
  const { kills, now } = deps;
  const stream = await send(deps, key, "/stream");
  if (stream.statusCode !== 200) throw failed("the stream was refused", await textOf(stream));
  const ended = Promise.withResolvers<number>();
  const begun = Promise.withResolvers<void>();
  stream.on("data", () => begun.resolve());
  stream.on("error", () => {});
  stream.on("close", () => ended.resolve(performance.now()));
  await within(begun.promise, "the stream did not begin");
  const orderedAt = performance.now();
  const setting = kills.set({ target, why: WHY, by, now: now() });
  const [felt] = await Promise.allSettled([feel(deps, { key, orderedAt, ended: ended.promise })]);
  stream.destroy();
  const { faults } = await setting;
  await kills.lift({ target, why: WHY, by, now: now() });
  if (felt.status === "rejected") throw felt.reason;
  if (faults.length > 0) throw failed("the kill could not be written down", faults.join("; "));
  return { ...felt.value, cut: String(stream.headers["doorward-request-id"]) };
}

/** What the one who is stopped notices. */
async function feel(
  deps: DrillRunDeps,
  run: { readonly key: string; readonly orderedAt: number; readonly ended: Promise<number> },
): Promise<Omit<DrillRun, "cut">> {
  const refusal = await send(deps, run.key, "/call");
  const refusedAt = performance.now();
  const text = await textOf(refusal);
  if (refusal.headers["doorward-error"] !== "killed") throw failed("the call was not refused by the kill", text);
  const endedAt = await within(run.ended, "the stream went on");
  return {
    newCallMs: refusedAt - run.orderedAt,
    streamMs: endedAt - run.orderedAt,
    refused: String(refusal.headers["doorward-request-id"]),
  };
}

/** Makes a call that must go through: before the first kill, and after the last. @throws {Problem} `internal_error`. */
export async function callOnce(deps: Pick<DrillRunDeps, "socket">, key: string): Promise<void> {
  const answer = await send(deps, key, "/call");
  const text = await textOf(answer);
  if (answer.statusCode === 200) return;
  const parsed = parseStrictJson(text);
  const { detail } = (parsed.ok ? parsed.value : {}) as { readonly detail?: unknown };
  throw failed("a call that nothing stops was refused", typeof detail === "string" ? detail : text);
}

function send({ socket }: Pick<DrillRunDeps, "socket">, key: string, path: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { host: "doorward", authorization: `Bearer ${key}` };
  const request = httpRequest(
    { socketPath: socket, path: `/api/${DRILL_NAME}${path}`, headers, agent: false },
    resolve,
  );
  request.setTimeout(ANSWER_MS, () => request.destroy(failed("the daemon did not answer", path)));
  request.on("error", reject).end();
  return promise;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return text;
}

function within<T>(done: Promise<T>, otherwise: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(failed(otherwise, `after ${ANSWER_MS} ms`)), ANSWER_MS);
  return Promise.race([done, promise]).finally(() => clearTimeout(timer));
}

function failed(what: string, detail: string): Problem {
  return new Problem("internal_error", {
    detail: `the drill failed: ${what} (${detail.slice(0, 300)})`,
    remedy: "Look at `doorward status`, and lift the kill if one is left: `doorward resume TARGET`.",
  });
}
