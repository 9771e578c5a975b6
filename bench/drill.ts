import { type BenchHome, drill } from "./doorward.ts";
import type { Row } from "./report.ts";

/** How long a kill takes to be felt, by `doorward drill`: a new call, and a stream that is open. */
export async function measureDrill(home: BenchHome, runs: number): Promise<readonly Row[]> {
  const report = await drill(home, runs);
  const row = (work: string, { p50, p99 }: { readonly p50: number; readonly p99: number }): Row => ({
    work: `${work}, ${runs} kills`,
    figure: `${p99.toFixed(1)} ms`,
    beside: `p99; p50 ${p50.toFixed(1)} ms`,
    limit: { text: "≤ 1000 ms", met: p99 <= 1_000 && report.audit_ok, required: true },
  });
  return [
    row("from the order to the refusal of a new call", report.new_call_ms),
    row("from the order to the end of an open stream", report.stream_ms),
  ];
}
