import type { ServerResponse } from "node:http";
import { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import type { SideRoute } from "./create-front.ts";
import type { Metrics } from "./metrics.ts";

export interface HealthSources {
  /** Why this node cannot serve; empty when it can. Shown without authentication: no names, no paths. */
  readonly notReady: () => Promise<readonly string[]>;
  readonly metrics: Metrics;
}

/** `/healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus). */
export function createHealthRoutes({ notReady, metrics }: HealthSources): SideRoute {
  return async (request, response, requestId) => {
    const path = request.url?.split("?", 1)[0];
    if (path !== "/healthz" && path !== "/readyz" && path !== "/metrics") return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      sendProblem(response, new Problem("method_not_allowed"), requestId, { allow: "GET, HEAD" });
      return true;
    }
    if (path === "/healthz") send(response, requestId, 200, "application/json", '{"status":"ok"}');
    else if (path === "/metrics") send(response, requestId, 200, metrics.contentType, await metrics.print());
    else {
      const reasons = await notReady();
      const status = reasons.length === 0 ? 200 : 503;
      const body = JSON.stringify({ status: status === 200 ? "ready" : "not_ready", reasons });
      send(response, requestId, status, "application/json", body);
    }
    return true;
  };
}

function send(response: ServerResponse, requestId: string, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    "content-type": type,
    "content-length": body.length,
    "cache-control": "no-store",
    "doorward-request-id": requestId,
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
