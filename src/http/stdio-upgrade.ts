import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { refuseSocket } from "../base/refuse-socket.ts";
import type { Authenticate } from "../identity/authenticate.ts";
import { tokenFromRequest } from "../identity/token-from-request.ts";
import type { Dispatch } from "../mcp/dispatch.ts";
import { type StdioDeps, serveStdio } from "../mcp/stdio-endpoint.ts";

/** How long a client may take to read its last answers when the daemon stops. */
const LINGER_MS = 1_000;

export interface StdioUpgrade {
  /** Turns `GET /stdio` on the local socket into lines of MCP, after the key was checked. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Ends every connection. */
  close(): void;
}

export function createStdioUpgrade(deps: {
  readonly authenticate: Authenticate;
  readonly audit: AuditLog;
  readonly dispatch: Dispatch;
  readonly refused: StdioDeps["refused"];
  readonly ended: StdioDeps["ended"];
  readonly now: () => Date;
}): StdioUpgrade {
  const open = new Set<Duplex>();

  const authenticate = (token: string | undefined) => {
    return deps.authenticate({ token, ip: "unix", purpose: undefined, task: undefined, now: deps.now() });
  };

  return {
    upgrade(request, socket, head) {
      socket.on("error", () => socket.destroy());
      if (
        request.url !== "/stdio" ||
        request.headers.upgrade !== "doorward-stdio" ||
        request.headers.origin !== undefined
      ) {
        return refuseSocket(socket, new Problem("not_found"), newId("req"));
      }
      const rawHeaders = ["authorization", request.headers.authorization ?? ""];
      const found = tokenFromRequest({ rawHeaders, search: "", credential: undefined });
      const token = found.ok ? found.token : undefined;
      const caller = authenticate(token);
      if (!caller.ok) {
        const { reason, agent, keyId } = caller;
        const event = {
          type: "token.refused",
          agent,
          code: "invalid_token",
          data: { reason, token: keyId, ip: "unix" },
        } as const;
        void deps.audit.append(event).then(
          () => refuseSocket(socket, new Problem("invalid_token"), newId("req")),
          () => refuseSocket(socket, new Problem("audit_unavailable"), newId("req")),
        );
        return;
      }
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: doorward-stdio\r\n\r\n");
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      serveStdio(
        socket,
        {
          dispatch: deps.dispatch,
          refused: deps.refused,
          ended: deps.ended,
          authenticate: () => authenticate(token),
        },
        head,
      );
    },
    close() {
      for (const socket of open) {
        socket.end();
        setTimeout(() => socket.destroy(), LINGER_MS).unref();
      }
    },
  };
}
