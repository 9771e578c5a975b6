import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { z } from "zod";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { refuseSocket } from "../base/refuse-socket.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Authenticate } from "../identity/authenticate.ts";
import type { Principal } from "../identity/principal.ts";
import { tokenFromRequest } from "../identity/token-from-request.ts";
import type { ExecRequest, ExecSession, ExecSessions } from "../sandbox/exec-sessions.ts";

/** How long a command line may take to take note that its way out is gone. */
const LINGER_MS = 1_000;
const MAX_CONTEXT_CHARACTERS = 256;
const MAX_ENTRIES = 50;
/** A command that goes on asking has been told. */
const REFUSALS_TOLD = 20;
/** Why most sessions end. */
const ENDED = "the command ended";

const name = z.string().min(1).max(64);
/** The header `doorward-exec`: what {@link ExecRequest} says, and why. Base64 of UTF-8. */
const askedSchema = z.strictObject({
  command: z.string().max(MAX_CONTEXT_CHARACTERS),
  mode: z.enum(["strict", "degraded", "off"]),
  services: z.array(name).max(MAX_ENTRIES),
  env: z
    .array(z.strictObject({ name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), service: name }))
    .max(MAX_ENTRIES),
  purpose: z.string().min(1).max(MAX_CONTEXT_CHARACTERS).optional(),
});

export interface ExecUpgrade {
  /**
   * Turns `GET /exec` on the local socket into a command's way out, after the agent's key was checked. One line of JSON says
   * where it is; it ends with the connection. Further lines say what was refused, and that a kill ended it.
   */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Ends every command's way out. */
  close(): Promise<void>;
}

export function createExecUpgrade(deps: {
  readonly authenticate: Authenticate;
  readonly sessions: ExecSessions;
  readonly audit: AuditLog;
  readonly now: () => Date;
  readonly fault: (error: unknown, requestId: string) => void;
}): ExecUpgrade {
  const open = new Map<Duplex, (problem: Problem) => Promise<void>>();

  const serve = async (request: IncomingMessage, socket: Duplex) => {
    const asked = readAsked(request);
    const { authenticate, principal } = await identify(deps, request, asked.purpose);
    let end: ((problem: Problem) => Promise<void>) | undefined;
    let early: Problem | undefined;
    let refusals = 0;
    const session = await deps.sessions.open({ authenticate, principal }, asked, {
      cut(problem) {
        early = problem;
        void end?.(problem);
      },
      refused(problem) {
        refusals += 1;
        if (refusals <= REFUSALS_TOLD && socket.writable) socket.write(line("refused", problem));
      },
    });
    let closed: Promise<void> | undefined;
    const close = (reason: string) => {
      closed ??= session.close(reason);
      return closed;
    };
    if (early !== undefined || socket.destroyed) {
      await close(early?.code ?? ENDED);
      throw early ?? new Problem("invalid_request", { detail: "the caller went away" });
    }
    end = (problem) => {
      socket.end(line("ended", problem));
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
      return close(problem.code === "killed" ? "killed" : problem.message);
    };
    open.set(socket, end);
    socket.on("close", () => {
      open.delete(socket);
      void close(ENDED);
    });
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: doorward-exec\r\n\r\n");
    socket.write(`${JSON.stringify(described(session))}\n`);
    // Nothing is expected; what comes must be read for the end to be seen.
    socket.on("end", () => socket.end()).resume();
  };

  return {
    upgrade(request, socket) {
      socket.on("error", () => socket.destroy());
      serve(request, socket).catch((error: unknown) => {
        const requestId = newId("req");
        if (!(error instanceof Problem)) deps.fault(error, requestId);
        refuseSocket(
          socket,
          error instanceof Problem ? error : new Problem("internal_error", { cause: error }),
          requestId,
        );
      });
    },
    async close() {
      const stopped = new Problem("upstream_unreachable", { detail: "the daemon stopped" });
      await Promise.all([...open.values()].map((end) => end(stopped)));
    },
  };
}

function line(kind: "ended" | "refused", { code, message: detail, remedy }: Problem): string {
  return `${JSON.stringify({ [kind]: { code, detail, remedy } })}\n`;
}

function described({ id, socket, caPem, env }: ExecSession) {
  return { id, socket, ca: caPem, env };
}

function readAsked({ url, headers }: IncomingMessage): ExecRequest & { readonly purpose?: string | undefined } {
  const { upgrade, origin, "doorward-exec": asked } = headers;
  if (url !== "/exec" || upgrade !== "doorward-exec" || origin !== undefined) throw new Problem("not_found");
  const json = parseStrictJson(Buffer.from(typeof asked === "string" ? asked : "", "base64"));
  const parsed = json.ok ? askedSchema.safeParse(json.value) : undefined;
  if (parsed?.success === true) return parsed.data;
  throw new Problem("invalid_request", { detail: "the header `doorward-exec` does not say what is to be run" });
}

/** @throws {Problem} `invalid_token`, as recorded. */
async function identify(
  deps: { readonly authenticate: Authenticate; readonly audit: AuditLog; readonly now: () => Date },
  { headers }: IncomingMessage,
  purpose: string | undefined,
): Promise<{ readonly principal: Principal; readonly authenticate: () => ReturnType<Authenticate> }> {
  const rawHeaders = ["authorization", headers.authorization ?? ""];
  const found = tokenFromRequest({ rawHeaders, search: "", credential: undefined });
  const token = found.ok ? found.token : undefined;
  const authenticate = () => deps.authenticate({ token, ip: "unix", purpose, task: undefined, now: deps.now() });
  const caller = authenticate();
  if (caller.ok) return { principal: caller.principal, authenticate };
  const { reason, agent, keyId } = caller;
  await deps.audit.append({
    type: "token.refused",
    agent,
    code: "invalid_token",
    data: { reason, token: keyId, ip: "unix" },
  });
  throw new Problem("invalid_token");
}
