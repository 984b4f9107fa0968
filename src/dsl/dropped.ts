/**
 * The one place that hears of every record an operator drops (null keys, null values, late ones), as Kafka
 * Streams' `dropped-records` does. The task counts and logs it, with the record's origin, once per record.
 */
import type { ProcessorContext, Record } from '../graph/processor.ts';

export type DropReason = 'null key' | 'null value' | 'late';

export function dropped(
  context: ProcessorContext<never, never>,
  reason: DropReason,
  record: Record<unknown, unknown>,
  details: Readonly<globalThis.Record<string, string | number>> = {},
): void {
  context.recordDropped(reason, { timestamp: record.timestamp, ...details });
}
