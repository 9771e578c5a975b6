import { readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import type { JsonObject } from "../base/json.ts";
import { PROBLEMS, Problem, type ProblemCode } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Home } from "../config/home.ts";
import type { Application } from "./application.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import type { Terminal } from "./terminal.ts";

/** Runs administrative actions: in the daemon when one runs, else in this process, which then holds the home's lock. */
export interface AdminClient extends AsyncDisposable {
  readonly daemon: boolean;
  /** @throws {Problem} What the action refuses with. */
  run<T extends object>(action: string, args?: JsonObject): Promise<T>;
}

/** How long an answer of the daemon may take. */
const ANSWER_MS = 60_000;
/** The same where an MCP server is started, for which a package may have to be installed. */
const START_ANSWER_MS = 6 * 60_000;
const STARTING_ACTIONS = new Set(["service.add", "service.test"]);
/** A preview may be nested as deep as a service's answer, and stands in ours. */
const ANSWER_DEPTH = 1_000;
const PASSPHRASE_RULE = "owner:passphrase";

/**
 * Finds who can carry out an action on this home.
 *
 * @param openHere - Opens the home in this process.
 */
export async function connectAdmin(
  home: Home,
  terminal: Terminal,
  openHere: () => Promise<Application>,
): Promise<AdminClient> {
  const key = await readFile(home.ownerKey, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
  if (await answers(home.socket)) {
    const post: Post = (action, args, passphrase) => overSocket(home.socket, { action, args, key, passphrase });
    return { daemon: true, run: withPassphrase(post, terminal), [Symbol.asyncDispose]: async () => {} };
  }
  const application = await openHere();
  const ownerKey = await application.ownerKey();
  const post: Post = (action, args, passphrase) => application.administer(action, args, { key: ownerKey, passphrase });
  return {
    daemon: false,
    run: withPassphrase(post, terminal),
    [Symbol.asyncDispose]: () => application[Symbol.asyncDispose](),
  };
}

type Post = (action: string, args: JsonObject, passphrase: string | undefined) => Promise<object>;

/** Asks for the owner's passphrase when an action needs it, on the terminal alone. */
function withPassphrase(post: Post, terminal: Terminal): AdminClient["run"] {
  return async <T extends object>(action: string, args: JsonObject = {}) => {
    try {
      return (await post(action, args, undefined)) as T;
    } catch (error) {
      if (!(error instanceof Problem) || error.fields.rule !== PASSPHRASE_RULE) throw error;
      const passphrase = await terminal.askHidden("Owner's passphrase: ");
      if (passphrase === undefined) {
        throw new CommandFailure(
          EXIT.refused,
          `${error.message}, and there is no terminal to type it on. ${error.remedy}`,
        );
      }
      return (await post(action, args, passphrase)) as T;
    }
  };
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = httpRequest(
      { socketPath: socket, path: "/healthz", headers: { host: "doorward" }, timeout: 5_000 },
      (response) => {
        response.resume();
        resolve(true);
      },
    );
    probe.on("timeout", () => probe.destroy());
    probe.on("error", () => resolve(false));
    probe.end();
  });
}

function overSocket(
  socketPath: string,
  call: {
    readonly action: string;
    readonly args: JsonObject;
    readonly key: string | undefined;
    readonly passphrase: string | undefined;
  },
): Promise<object> {
  const body = JSON.stringify(call.args);
  const headers: Record<string, string | number> = {
    host: "doorward",
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  if (call.key !== undefined) headers["authorization"] = `Bearer ${call.key}`;
  if (call.passphrase !== undefined)
    headers["doorward-passphrase"] = Buffer.from(call.passphrase, "utf8").toString("base64");
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        socketPath,
        method: "POST",
        path: `/admin/v1/${call.action}`,
        headers,
        timeout: STARTING_ACTIONS.has(call.action) ? START_ANSWER_MS : ANSWER_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const answer = parseStrictJson(Buffer.concat(chunks), { depth: ANSWER_DEPTH });
          if (!answer.ok) reject(new Error("what listens on the daemon's socket is no Doorward"));
          else if (response.statusCode === 200) resolve(answer.value as object);
          else reject(asProblem(answer.value as { readonly [field: string]: unknown }));
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error("the daemon does not answer")));
    request.on("error", reject);
    request.end(body);
  });
}

function asProblem(document: { readonly [field: string]: unknown }): Problem {
  const code = String(document["code"]);
  const known = Object.hasOwn(PROBLEMS, code) ? (code as ProblemCode) : "internal_error";
  const rule = document["rule"];
  return new Problem(known, {
    detail: String(document["detail"]),
    remedy: String(document["remedy"]),
    fields: typeof rule === "string" ? { rule } : {},
  });
}

/** What a running daemon says of its evidence; `undefined` when none runs on this home. */
export async function readDaemonStatus(
  home: Home,
): Promise<{ readonly node: string; readonly audit: { readonly seq: number; readonly hash: string } } | undefined> {
  if (!(await answers(home.socket))) return undefined;
  return (await overSocket(home.socket, { action: "status", args: {}, key: undefined, passphrase: undefined })) as {
    node: string;
    audit: { seq: number; hash: string };
  };
}
