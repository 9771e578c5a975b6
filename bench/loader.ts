/**
 * The loader where wrk is not installed: as many loops as connections, each sending one request after the other.
 *
 * Run as a program of its own: `node bench/loader.ts '{"request":…,"connections":32,"seconds":2}'`; prints one JSON object.
 */
import { Pool } from "undici";
import type { LoadResult, LoadSpec } from "./load.ts";

const { request, connections, seconds } = JSON.parse(process.argv[2]!) as LoadSpec;
const { origin, pathname, search } = new URL(request.url);
const pool = new Pool(origin, { connections, pipelining: 1 });
const begin = performance.now();
const latenciesUs: number[] = [];
let bytes = 0;
let failed = 0;
let count = 1;

function once(): Promise<void> {
  count++;
  const body = request.body?.replace("COUNT", String(count)) ?? null;
  return new Promise((resolve) => {
    pool.dispatch(
      { path: pathname + search, method: request.method, headers: { ...request.headers }, body },
      {
        onRequestStart() {},
        onResponseStart(controller, status) {
          if (status >= 400) failed++;
          const { rawHeaders } = controller as { readonly rawHeaders?: readonly Buffer[] };
          bytes += `HTTP/1.1 ${status} OK\r\n\r\n`.length;
          for (const part of rawHeaders ?? []) bytes += part.length + 2;
        },
        onResponseData(_, chunk) {
          bytes += chunk.length;
        },
        onResponseEnd() {
          resolve();
        },
        onResponseError() {
          failed++;
          resolve();
        },
      },
    );
  });
}

async function loop(): Promise<void> {
  while (performance.now() - begin < seconds * 1_000) {
    const sentAt = performance.now();
    await once();
    latenciesUs.push((performance.now() - sentAt) * 1_000);
  }
}

await Promise.all(Array.from({ length: connections }, loop));
const elapsed = (performance.now() - begin) / 1_000;
latenciesUs.sort((a, b) => a - b);
const at = (share: number) =>
  Math.round(latenciesUs[Math.min(latenciesUs.length - 1, Math.floor(latenciesUs.length * share))] ?? 0);
const result: LoadResult = {
  calls: latenciesUs.length,
  seconds: elapsed,
  bytes,
  failed,
  p50Us: at(0.5),
  p99Us: at(0.99),
};
process.stdout.write(JSON.stringify(result));
await pool.destroy();
