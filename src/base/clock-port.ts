/**
 * Time and chance as ports. Nothing in the engine reads the clock, sets a timer or rolls dice by itself:
 * a whole cluster then runs in one seeded simulation, and the same seed gives the same log twice.
 * Real time lives in wall-clock.ts, stepped time in manual-clock.ts, seeded chance in seeded-random.ts.
 */

/** Units: milliseconds since the epoch (`nowMs`), milliseconds of a clock that never steps (`monotonicMs`). */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  /** Resolves after `delayMs`; a rejected or aborted signal resolves it at once. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Lets pending I/O and other tasks run, then resolves: one turn of the event loop. */
  yield(): Promise<void>;
}

/** Chance. Shape: `next()` is uniform in [0, 1). */
export interface Random {
  next(): number;
  /** An integer in [0, endExclusive). */
  integer(endExclusive: number): number;
}
