/** Invariants that stay switched on in production: a broken one ends the task, it is never retried. */
import { type ErrorContext, StreamsError } from './errors.ts';

/** Throws INVARIANT_BROKEN unless `condition` holds. */
export function assert(condition: unknown, sentence: string, context: ErrorContext = {}): asserts condition {
  if (!condition) throw new StreamsError('INVARIANT_BROKEN', sentence, { context });
}

/** The value, which must be there. */
export function must<T>(value: T | undefined | null, sentence: string, context: ErrorContext = {}): T {
  if (value === undefined || value === null)
    throw new StreamsError('INVARIANT_BROKEN', sentence, { context });
  return value;
}

/** For the `default` of a switch over a closed union: does not compile when a case is missing. */
export function unreachable(value: never, sentence: string): never {
  throw new StreamsError('INVARIANT_BROKEN', `${sentence}: ${String(value)}`);
}
