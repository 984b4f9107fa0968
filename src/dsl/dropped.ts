/**
 * The one place that hears of every record an operator drops (null keys, null values), as Kafka Streams'
 * `dropped-records` does. Nothing counts yet: the processor context has no metrics. Whoever wires it must
 * count once per processed record and not per call, for a record is processed again after a slow read.
 */
import type { ProcessorContext, Record } from '../graph/processor.ts';

export type DropReason = 'null key' | 'null value' | 'late';

export function dropped(
  _context: ProcessorContext<never, never>,
  _reason: DropReason,
  _record: Record<unknown, unknown>,
): void {}
