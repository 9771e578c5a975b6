import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What the process counts of itself. Labels are names of the file and codes of the contract, never what a caller sent. */
export interface Metrics {
  readonly finished: (call: {
    service: string;
    code: string | undefined;
    durationMs: number;
    redacted: number;
  }) => void;
  /** @returns The Prometheus text format. */
  readonly print: () => Promise<string>;
  readonly contentType: string;
  close(): void;
}

export interface MetricsSources {
  readonly isService: (name: string) => boolean;
  readonly callsUnderWay: () => number;
  readonly sessions: () => number;
  readonly auditAvailable: () => boolean;
  readonly configCurrent: () => boolean;
}

const SECONDS_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const calls = new Counter({
    name: "doorward_calls_total",
    help: "Calls by service and outcome",
    labelNames: ["service", "code"],
    registers,
  });
  const seconds = new Histogram({
    name: "doorward_call_seconds",
    help: "Time of calls",
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const redactions = new Counter({
    name: "doorward_redactions_total",
    help: "Traces of credentials taken out of answers",
    registers,
  });
  gauge("doorward_calls_under_way", "Calls that have not ended", sources.callsUnderWay);
  gauge("doorward_mcp_sessions", "Sessions of older MCP revisions", sources.sessions);
  gauge("doorward_audit_available", "1 when evidence can be written", () => Number(sources.auditAvailable()));
  gauge("doorward_config_current", "1 when the file on disk is the one in force", () =>
    Number(sources.configCurrent()),
  );
  /** Counted since the last scrape, by service and code: a labelled counter costs a call more than a plain one. */
  const counted = new Map<string, Map<string, number>>();
  const settle = () => {
    for (const [service, codes] of counted) {
      for (const [code, count] of codes) calls.labels(service, code).inc(count);
    }
    counted.clear();
  };
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  gauge("doorward_event_loop_delay_p99_seconds", "Since the last scrape", () => {
    const p99 = delay.percentile(99) / 1e9;
    delay.reset();
    return p99;
  });
  gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }

  return {
    contentType: registry.contentType,
    print: () => {
      settle();
      return registry.metrics();
    },
    close: () => delay.disable(),
    finished({ service, code, durationMs, redacted }) {
      const name = sources.isService(service) ? service : "unknown";
      const outcome = code ?? "ok";
      let codes = counted.get(name);
      if (codes === undefined) {
        codes = new Map();
        counted.set(name, codes);
      }
      codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
      seconds.observe(durationMs / 1_000);
      if (redacted > 0) redactions.inc(redacted);
    },
  };
}
