/**
 * What aggregates over windows of one size share (time, sliding and unlimited windows): values by key and
 * window start, each with its timestamp.
 */
import type { ProcessorContext, Record, SingleWindowStore } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import type { ValueAndTimestamp } from '../timestamped.ts';
import { endOf, type Window, type Windowed } from '../windows.ts';
import { WindowedAggregate } from './windowed-aggregate.ts';

export abstract class TimedAggregate<K, V, A> extends WindowedAggregate<K, V, A> {
  protected store!: SingleWindowStore<K, ValueAndTimestamp<A> | null>;

  override init(context: ProcessorContext<Windowed<K>, Change<A>>): void {
    super.init(context);
    this.store = context.getStateStore(this.options.store);
  }

  protected abstract sizeMs(): number;

  /** Windows that start before this are over. */
  protected abstract closedStartMs(closeMs: number): number;

  /** Folds the record into a window; `old`: what is there, `start`: what it is folded into. */
  protected fold(
    record: Record<K, V>,
    startMs: number,
    old: ValueAndTimestamp<A> | undefined,
    start: ValueAndTimestamp<A> | undefined = old,
  ): void {
    const { key, value } = record;
    const newValue = this.aggregated(key, value, start?.value);
    const timestamp = Math.max(record.timestamp, start?.timestamp ?? record.timestamp);
    this.put(key, startMs, old, newValue === null ? null : { value: newValue, timestamp });
    const window = { startMs, endMs: endOf(startMs, this.sizeMs()) };
    this.forwardUpdate(record, window, { newValue, oldValue: old?.value ?? null }, timestamp);
  }

  protected put(
    key: K,
    startMs: number,
    old: ValueAndTimestamp<A> | undefined,
    row: ValueAndTimestamp<A> | null,
  ): void {
    this.store.put(key, row, startMs);
    if (old === undefined && row !== null) this.times.add(startMs, startMs, key);
  }

  protected emitClosed(record: Record<K, V>, closeMs: number): void {
    const closed = this.times.takeClosed(this.closedStartMs(closeMs));
    const keys = closed.map(({ key, startMs }) => ({ key: key as K, timestampMs: startMs }));
    for (const [index, row] of this.store.fetchMany(keys).entries()) {
      const { key, timestampMs: startMs } = keys[index] as { key: K; timestampMs: number };
      const window: Window = { startMs, endMs: endOf(startMs, this.sizeMs()) };
      // An aggregator that returned null has deleted it.
      if (row !== undefined && row !== null)
        this.forwardFinal(record, { key, window }, row.value, row.timestamp);
    }
  }

  protected removeExpired(): void {
    for (const { key, startMs } of this.times.takeExpired()) this.store.put(key as K, null, startMs);
  }
}
