/**
 * Aggregates over tumbling, hopping and unlimited windows. A window [start, end) takes a record as long as
 * end > T - grace, T being the largest timestamp that came here, the record included.
 *
 * Order: a record updates its windows by start. Source: org.apache.kafka.streams.kstream.internals.KStreamWindowAggregate.
 */
import type { Prefetch, Record } from '../../graph/processor.ts';
import { endOf, type TimeWindows, type UnlimitedWindows, unlimitedEndMs } from '../windows.ts';
import { TimedAggregate } from './timed-aggregate.ts';
import type { WindowedAggregateOptions } from './windowed-aggregate.ts';

export class StreamWindowAggregate<K, V, A> extends TimedAggregate<K, V, A> {
  readonly #windows: TimeWindows | UnlimitedWindows;

  constructor(windows: TimeWindows | UnlimitedWindows, options: WindowedAggregateOptions<K, V, A>) {
    super(options);
    this.#windows = windows;
  }

  prefetch({ key, timestamp }: Record<K, V>): Prefetch[] {
    const reads: Prefetch[] = [{ store: this.options.clockStore, key: 'clock' }];
    if (key === null || key === undefined) return reads;
    for (const timestampMs of windowStarts(this.#windows, timestamp))
      reads.push({ store: this.options.store, key: { key, timestampMs } });
    return reads;
  }

  protected override graceMs(): number {
    return this.#windows.type === 'time' ? this.#windows.graceMs : 0;
  }

  protected override sizeMs(): number {
    return this.#windows.type === 'time' ? this.#windows.sizeMs : unlimitedEndMs;
  }

  /** The end is exclusive: a window that ends at the very time is over. */
  protected override closedStartMs(closeMs: number): number {
    return closeMs - this.sizeMs() + 1;
  }

  protected override update(record: Record<K, V>, closeMs: number): void {
    for (const startMs of windowStarts(this.#windows, record.timestamp)) {
      const endMs = endOf(startMs, this.sizeMs());
      if (endMs > closeMs) this.fold(record, startMs, this.store.fetchOne(record.key, startMs) ?? undefined);
      else this.late(record, { startMs, endMs }, closeMs);
    }
  }
}

/** The starts of the windows that a time lies in, ascending. */
export function windowStarts(windows: TimeWindows | UnlimitedWindows, timestampMs: number): number[] {
  if (windows.type === 'unlimited') return timestampMs >= windows.startMs ? [windows.startMs] : [];
  const { sizeMs, advanceMs } = windows;
  const starts: number[] = [];
  const first = Math.floor(Math.max(0, timestampMs - sizeMs + advanceMs) / advanceMs) * advanceMs;
  for (let startMs = first; startMs <= timestampMs; startMs += advanceMs) starts.push(startMs);
  return starts;
}
