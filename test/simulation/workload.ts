/** What the workloads of the simulator have in common: their options, and the settings that a seed draws. */
import type { Random } from '#streams';
import type { FaultKind, SimulatedApplication, SimulationOptions } from '#streams/testing';

export interface WorkloadOptions {
  readonly kinds?: readonly FaultKind[];
  readonly faults?: number;
  readonly keepLog?: boolean;
}

/** About a dozen faults of all kinds, unless told otherwise. */
export function faultsOf(options: WorkloadOptions): NonNullable<SimulationOptions['faults']> {
  return { count: options.faults ?? 12, ...(options.kinds === undefined ? {} : { kinds: options.kinds }) };
}

/** From a cache that holds next to nothing to one that holds all, from a commit for every few records to few. */
export function drawSettings(
  random: Random,
  commitIntervalsMs: readonly number[],
): NonNullable<SimulatedApplication['settings']> {
  return {
    commitIntervalMs: commitIntervalsMs[random.integer(commitIntervalsMs.length)] as number,
    cacheEntriesMax: [3, 20, 1_000][random.integer(3)] as number,
    commitRecordsMax: [50, 500, 20_000][random.integer(3)] as number,
  };
}

/** Some clusters keep standbys, and hand their stores over. */
export function drawStandbys(random: Random): NonNullable<SimulatedApplication['settings']> {
  return { numStandbyReplicas: [0, 0, 1, 2][random.integer(4)] as number, instanceHeartbeatMs: 300 };
}
