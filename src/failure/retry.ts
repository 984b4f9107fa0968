/** When a failed call is made again: a pure decision. Called by src/task/async-calls.ts. */
import type { ErrorKind, StreamsError } from '../base/errors.ts';

/** Units: milliseconds. `retries`: tries after the first one. */
export interface RetrySchedule {
  readonly retries: number;
  readonly backoffMs: number;
  readonly backoffMsMax: number;
}

/** `poison`: will never do. The others are about the instance: another call does not cure it. */
const neverAgain: ReadonlySet<ErrorKind> = new Set([
  'poison',
  'abort',
  'fenced',
  'corrupted',
  'user',
  'fatal',
]);

/**
 * How long to wait before the next try; undefined: give up.
 * Arguments: `error` undefined for one that is not ours, of which nothing is known; `attempt` from 1.
 */
export function retryWaitMs(
  error: StreamsError | undefined,
  attempt: number,
  schedule: RetrySchedule,
): number | undefined {
  if (attempt > schedule.retries) return undefined;
  if (error !== undefined && neverAgain.has(error.kind)) return undefined;
  return Math.min(schedule.backoffMsMax, schedule.backoffMs * 2 ** Math.min(attempt - 1, 30));
}
