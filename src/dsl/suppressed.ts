/** What `KTable.suppress` takes, and when a row of it is due. Names and meanings are Kafka Streams' (`Suppressed`). */
import { invalidTopology, type Named, type StoreOptions } from './options.ts';

/** Rows and bytes (of keys and values) that are held back at most; both open when absent. */
export interface BufferLimits {
  readonly maxRecords?: number;
  readonly maxBytes?: number;
}

/** `shutDownWhenFull`: the application ends with SUPPRESS_BUFFER_FULL, and no result is wrong. */
export type StrictBuffer = 'unbounded' | (BufferLimits & { readonly whenFull: 'shutDownWhenFull' });

/** `emitEarlyWhenFull`: the rows that have waited longest come out before their time. */
export type SuppressBuffer =
  | StrictBuffer
  | (BufferLimits & { readonly whenFull: 'emitEarlyWhenFull' | 'shutDownWhenFull' });

interface BufferSettings extends Named, StoreOptions {}

/** Holds each row back until so much time has passed, by the table's records; later changes replace it. */
export interface UntilTimeLimit extends BufferSettings {
  /** Infinity: until the buffer is full. */
  readonly untilTimeLimitMs: number;
  readonly buffer: SuppressBuffer;
}

/** Holds each window's result back until no record can change it any more: one final result per window. */
export interface UntilWindowCloses extends BufferSettings {
  readonly untilWindowCloses: true;
  readonly buffer: StrictBuffer;
}

export type Suppressed = UntilTimeLimit | UntilWindowCloses;

/** The limits with everything filled in. Errors: TOPOLOGY_INVALID. */
export function checkSuppressed(suppressed: Suppressed): {
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly emitsEarly: boolean;
} {
  // Callers without types, or with settings from a file, come here too.
  const given: unknown = 'untilTimeLimitMs' in suppressed ? suppressed.untilTimeLimitMs : 0;
  if (typeof given !== 'number' || !(given >= 0))
    throw invalidTopology(`suppress needs untilTimeLimitMs in milliseconds, not ${String(given)}`);
  const { buffer } = suppressed;
  if (buffer === 'unbounded')
    return { maxRecords: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY, emitsEarly: false };
  const emitsEarly = buffer.whenFull === 'emitEarlyWhenFull';
  if (emitsEarly && 'untilWindowCloses' in suppressed)
    throw invalidTopology(
      'suppress until the window closes cannot emit early: what comes out would not be final',
      "use 'unbounded' or whenFull: 'shutDownWhenFull'",
    );
  return {
    maxRecords: limit('maxRecords', buffer.maxRecords),
    maxBytes: limit('maxBytes', buffer.maxBytes),
    emitsEarly,
  };
}

function limit(name: string, value: number | undefined): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw invalidTopology(`a suppress buffer needs ${name} as a whole number, not ${String(value)}`);
}
