import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { makeHome, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Answer, type Double, startDouble } from "../harness/double.testing.ts";
import { exchangeRaw, requestBytes } from "../laws/raw-http.testing.ts";
import { startStage } from "../laws/stage.testing.ts";

/** A daemon with one open service, two agents, and somebody who watches that it goes on serving. */
export interface AbuseStage extends AsyncDisposable {
  readonly home: TestHome;
  readonly daemon: TestDaemon;
  readonly upstream: Double;
  readonly key: string;
  readonly otherKey: string;
  /** Whether an ordinary call is answered as it should be. */
  serves(): Promise<boolean>;
  /** The longest that `/healthz` took since this was asked last, in milliseconds. */
  slowest(): Promise<number>;
  /** The daemon's resident memory in bytes. */
  memoryBytes(): Promise<number>;
}

export const LIMITS = "{ timeout: 20s, request: 1MiB, response: 10MiB }";

export const abuseConfig = (url: string, limits = LIMITS) => `version: 1
services:
  api:
    url: ${url}
    private: true
    credential: { kind: bearer, secret: "local:api" }
    limits: ${limits}
    operations:
      all: { effect: read, allow: ["GET /{path...}", "POST /{path...}"] }
      hold: { effect: destructive, allow: ["DELETE /{path...}"], approval: { message: "Delete" } }
roles: { user: { allow: ["api:*"] } }
agents: { bot: { roles: [user] }, other: { roles: [user] } }
`;

export async function startAbuse(answer: Answer, limits = LIMITS): Promise<AbuseStage> {
  const upstream = await startDouble(answer);
  const home = await makeHome({
    config: abuseConfig(upstream.url, limits),
    secrets: { api: "rk_live_abuse_stage" },
    agents: ["bot", "other"],
  });
  const daemon = await startStage(home);
  const prober = startProber(daemon.url);
  const key = home.key("bot");
  return {
    home,
    daemon,
    upstream,
    key,
    otherKey: home.key("other"),
    serves: async () => {
      const answer = await exchangeRaw(
        daemon.url,
        requestBytes({ target: "/api/api/plain", headers: [["Authorization", `Bearer ${key}`]] }),
      );
      return answer?.status === 200;
    },
    slowest: prober.slowest,
    async memoryBytes() {
      const answer = await exchangeRaw(daemon.url, requestBytes({ target: "/metrics" }));
      return Number(/^process_resident_memory_bytes (\S+)/m.exec(answer!.body.toString("utf8"))![1]);
    },
    async [Symbol.asyncDispose]() {
      await prober.stop();
      await daemon[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

function startProber(url: string) {
  const worker = new Worker(new URL("./prober.testing.ts", import.meta.url), { workerData: Number(new URL(url).port) });
  worker.unref();
  return {
    async slowest() {
      worker.postMessage("slowest");
      const [ms] = (await once(worker, "message")) as [number];
      return Math.round(ms);
    },
    stop: () => worker.terminate(),
  };
}
