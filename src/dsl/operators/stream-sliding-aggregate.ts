/**
 * Aggregates over sliding windows [start, start + difference], both ends inclusive. There is a window for each
 * distinct content: one that ends at each record, and one that begins right after a record and holds later ones.
 *
 * A record changes the windows that hold it and creates up to three: the one that ends at it (left), the one
 * that begins after it (right), and the right one of the record before it. A window takes a record as long as
 * end >= T - grace.
 *
 * Records younger than the difference (in the first moments after the epoch) share the window [0, difference].
 * Source: org.apache.kafka.streams.kstream.internals.KStreamSlidingWindowAggregate.
 */
import type { Prefetch, Record } from '../../graph/processor.ts';
import type { ValueAndTimestamp } from '../timestamped.ts';
import type { SlidingWindows } from '../windows.ts';
import { TimedAggregate } from './timed-aggregate.ts';
import type { WindowedAggregateOptions } from './windowed-aggregate.ts';

/** What the windows around a record say. */
interface Around<A> {
  readonly starts: ReadonlySet<number>;
  /** Of the nearest window that ends before the record: what its left window begins with. */
  readonly left: ValueAndTimestamp<A> | undefined;
  readonly leftExists: boolean;
  /** Of the latest window that holds the record, before it did: what its right window begins with. */
  readonly right: ValueAndTimestamp<A> | undefined;
  readonly rightExists: boolean;
  /** The record before this one. */
  readonly previousMs: number | undefined;
}

export class StreamSlidingAggregate<K, V, A> extends TimedAggregate<K, V, A> {
  readonly #windows: SlidingWindows;

  constructor(windows: SlidingWindows, options: WindowedAggregateOptions<K, V, A>) {
    super(options);
    this.#windows = windows;
  }

  prefetch({ key, timestamp }: Record<K, V>): Prefetch[] {
    const reads: Prefetch[] = [{ store: this.options.clockStore, key: 'clock' }];
    if (key === null || key === undefined) return reads;
    const { fromMs, toMs } = this.#span(timestamp);
    const at = (timestampMs: number) => ({ key, timestampMs });
    reads.push({ store: this.options.store, from: at(fromMs), to: at(toMs) });
    return reads;
  }

  protected override needsValue(): boolean {
    return true;
  }

  protected override graceMs(): number {
    return this.#windows.graceMs;
  }

  protected override sizeMs(): number {
    return this.#windows.timeDifferenceMs;
  }

  /** The end is inclusive: a window that ends at the very time is open. */
  protected override closedStartMs(closeMs: number): number {
    return closeMs - this.#windows.timeDifferenceMs;
  }

  protected override update(record: Record<K, V>, closeMs: number): void {
    const { timeDifferenceMs } = this.#windows;
    const { timestamp } = record;
    const endMs = timestamp + timeDifferenceMs;
    if (endMs < closeMs) this.late(record, { startMs: timestamp, endMs }, closeMs);
    else if (timestamp < timeDifferenceMs) this.#updateEarly(record, closeMs);
    else this.#updateAround(record, closeMs);
  }

  /** The starts of all windows that may hold the record, or the one before it, or begin after it. */
  #span(timestampMs: number): { fromMs: number; toMs: number } {
    return { fromMs: Math.max(0, timestampMs - 2 * this.#windows.timeDifferenceMs), toMs: timestampMs + 1 };
  }

  #updateAround(record: Record<K, V>, closeMs: number): void {
    const around = this.#changeHolders(record, closeMs);
    if (around === undefined) return;
    const { timeDifferenceMs } = this.#windows;
    const { timestamp } = record;
    const { starts, left, previousMs, right } = around;
    if (
      previousMs !== undefined &&
      !starts.has(previousMs + 1) &&
      previousMs + 1 + timeDifferenceMs >= timestamp
    )
      this.#foldOpen(record, previousMs + 1, undefined, undefined, closeMs);
    if (!around.leftExists) {
      const leftHolds = previousMs !== undefined && timestamp - timeDifferenceMs <= previousMs;
      this.#foldOpen(record, timestamp - timeDifferenceMs, undefined, leftHolds ? left : undefined, closeMs);
    }
    if (!around.rightExists && right !== undefined && right.timestamp > timestamp)
      this.#createRight(record, right);
  }

  /** From the latest window back; undefined when there was a record at this very time: nothing is new then. */
  #changeHolders(record: Record<K, V>, closeMs: number): Around<A> | undefined {
    const { timestamp } = record;
    const { fromMs, toMs } = this.#span(timestamp);
    const starts = new Set<number>();
    let right: ValueAndTimestamp<A> | undefined;
    let rightExists = false;
    let left: ValueAndTimestamp<A> | undefined;
    let leftExists = false;
    let previousMs: number | undefined;
    for (const [startMs, row] of this.store.backwardFetch(record.key, fromMs, toMs)) {
      if (row === null) continue;
      starts.add(startMs);
      const endMs = startMs + this.#windows.timeDifferenceMs;
      if (startMs > timestamp) {
        rightExists = true;
        continue;
      }
      if (endMs <= timestamp) previousMs = row.timestamp;
      if (endMs < timestamp) {
        left = row;
        break;
      }
      this.#foldOpen(record, startMs, row, row, closeMs);
      if (endMs > timestamp) right ??= row;
      else if (row.timestamp >= timestamp) return undefined;
      else leftExists = true;
    }
    return { starts, left, leftExists, right, rightExists, previousMs };
  }

  #updateEarly(record: Record<K, V>, closeMs: number): void {
    const { timestamp } = record;
    const starts = new Set<number>();
    let combined: ValueAndTimestamp<A> | undefined;
    let right: ValueAndTimestamp<A> | undefined;
    let rightExists = false;
    for (const [startMs, row] of this.store.fetch(record.key, 0, timestamp + 1)) {
      if (row === null) continue;
      starts.add(startMs);
      if (startMs === 0) combined = row;
      else if (startMs <= timestamp) {
        right = row;
        this.#foldOpen(record, startMs, row, row, closeMs);
      } else rightExists = true;
    }
    // Without a window between, all that is later than the record is what the combined window holds.
    if (right === undefined && combined !== undefined && combined.timestamp > timestamp) right = combined;
    if (!rightExists && right !== undefined && right.timestamp > timestamp) this.#createRight(record, right);
    if (combined !== undefined && combined.timestamp < timestamp && !starts.has(combined.timestamp + 1))
      this.#foldOpen(record, combined.timestamp + 1, undefined, undefined, closeMs);
    this.#foldOpen(record, 0, combined, combined, closeMs);
  }

  #foldOpen(
    record: Record<K, V>,
    startMs: number,
    old: ValueAndTimestamp<A> | undefined,
    start: ValueAndTimestamp<A> | undefined,
    closeMs: number,
  ): void {
    const endMs = startMs + this.#windows.timeDifferenceMs;
    if (endMs < closeMs) {
      this.late(record, { startMs, endMs }, closeMs);
      return;
    }
    // What the left window begins with is older than the record, and so is its timestamp.
    this.fold(record, startMs, old, start);
  }

  #createRight(record: Record<K, V>, row: ValueAndTimestamp<A>): void {
    const startMs = record.timestamp + 1;
    this.put(record.key, startMs, undefined, row);
    const window = { startMs, endMs: startMs + this.#windows.timeDifferenceMs };
    this.forwardUpdate(record, window, { newValue: row.value, oldValue: null }, row.timestamp);
  }
}
