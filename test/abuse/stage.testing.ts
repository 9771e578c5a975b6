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
  slowest(): number;
  /** The daemon's resident memory in bytes. */
  memoryBytes(): Promise<number>;
}

const PROBE_EVERY_MS = 20;

export const abuseConfig = (url: string, more = "") => `version: 1
services:
  api:
    url: ${url}
    private: true
    credential: { kind: bearer, secret: "local:api" }
    limits: { timeout: 20s, request: 1MiB, response: 10MiB }
    operations:
      all: { effect: read, allow: ["GET /{path...}", "POST /{path...}"] }
      hold: { effect: destructive, allow: ["DELETE /{path...}"], approval: { message: "Delete" } }
roles: { user: { allow: ["api:*"] } }
agents: { bot: { roles: [user] }, other: { roles: [user] } }
${more}`;

export async function startAbuse(answer: Answer): Promise<AbuseStage> {
  const upstream = await startDouble(answer);
  const home = await makeHome({ config: abuseConfig(upstream.url), secrets: { api: "rk_live_abuse_stage" }, agents: ["bot", "other"] });
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
      const answer = await exchangeRaw(daemon.url, requestBytes({ target: "/api/api/plain", headers: [["Authorization", `Bearer ${key}`]] }));
      return answer?.status === 200;
    },
    slowest: prober.slowest,
    async memoryBytes() {
      const answer = await exchangeRaw(daemon.url, requestBytes({ target: "/metrics" }));
      return Number(/^process_resident_memory_bytes (\S+)/m.exec(answer!.body.toString("utf8"))![1]);
    },
    async [Symbol.asyncDispose]() {
      prober.stop();
      await daemon[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

function startProber(url: string) {
  let slowestMs = 0;
  let stopped = false;
  const probe = async () => {
    while (!stopped) {
      const startedAt = performance.now();
      const lateMs = -startedAt;
      await exchangeRaw(url, requestBytes({ target: "/healthz" }));
      slowestMs = Math.max(slowestMs, performance.now() + lateMs);
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
  };
  void probe();
  return {
    slowest() {
      const was = slowestMs;
      slowestMs = 0;
      return Math.round(was);
    },
    stop() {
      stopped = true;
    },
  };
}
