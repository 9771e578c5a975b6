import type { Loader } from "./load.ts";
import { processorUs } from "./processes.ts";
import { median } from "./statistics.ts";
import type { Target } from "./targets.ts";

/** Answers may differ by this share in weight (numbers of digits); a refusal differs by far more. */
const WEIGHT_TOLERANCE = 0.02;

/** One target in one round. */
export interface Sample {
  readonly callsPerSecond: number;
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly calls: number;
}

/** The samples of one target, one for each round, in the order of the rounds. */
export type Samples = ReadonlyMap<Target, readonly Sample[]>;

export interface RoundsSpec {
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
}

/**
 * Loads each target once a round, every other round in reverse: what disturbs the machine for a while disturbs all alike.
 *
 * @throws When a target failed or gave other answers than the right one.
 */
export async function runRounds(targets: readonly Target[], loader: Loader, spec: RoundsSpec): Promise<Samples> {
  const samples = new Map<Target, Sample[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < spec.rounds; round++) {
    for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
      samples.get(target)!.push(await sample(target, loader, spec));
    }
  }
  return samples;
}

async function sample(target: Target, loader: Loader, { connections, seconds }: RoundsSpec): Promise<Sample> {
  const before = processorUs(target.pid);
  const result = await loader.run({ request: target.request, connections, seconds });
  const cpuUs = (processorUs(target.pid) - before) / result.calls;
  const weight = result.bytes / result.calls;
  if (result.failed > 0) throw new Error(`${target.name}: ${result.failed} of ${result.calls} calls failed`);
  if (Math.abs(weight / target.wireBytes - 1) > WEIGHT_TOLERANCE) {
    throw new Error(`${target.name}: an answer weighs ${weight.toFixed(0)} bytes, the right one ${target.wireBytes}`);
  }
  return {
    callsPerSecond: result.calls / result.seconds,
    cpuUs,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    calls: result.calls,
  };
}

/** The median of one figure. */
export function typical(samples: readonly Sample[], figure: (sample: Sample) => number): number {
  return median(samples.map(figure));
}

/** The median of a comparison made within each round. */
export function compare(
  samples: readonly Sample[],
  base: readonly Sample[],
  how: (sample: Sample, base: Sample) => number,
): number {
  return median(samples.map((one, round) => how(one, base[round]!)));
}
