/**
 * What windowed aggregates share: the order of work for a record (clock, windows, final results, removal of
 * what is too old) and how results leave. One class below per kind of window: stream-window-aggregate.ts,
 * stream-sliding-aggregate.ts, stream-session-aggregate.ts.
 *
 * - A null key is dropped. A null value reaches the aggregator, as in Kafka Streams (sliding windows drop it).
 * - A record that comes after the end and the grace of a window does not change it, and is counted as late.
 * - Results of `onWindowClose` come out once, when the operator's clock has passed end and grace, with the
 *   record that moved it: by window start (sessions: end), then by key bytes.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { Aggregator, Initializer } from '../options.ts';
import type { Demand } from '../table-view.ts';
import type { EmitStrategy } from '../windowed-options.ts';
import type { Window, Windowed } from '../windows.ts';
import { Operator } from './operator.ts';
import { WindowTimes } from './window-clock.ts';

export interface WindowedAggregateOptions<K, V, A> {
  readonly store: string;
  readonly clockStore: string;
  /** Which of several inputs of one store this is (cogroup); each has its own clock. */
  readonly input: number;
  readonly retentionMs: number;
  readonly emit: EmitStrategy;
  /** Undefined: the first value is the first aggregate (`reduce`). */
  readonly initializer: Initializer<A> | undefined;
  readonly aggregator: Aggregator<K, V, A>;
  readonly demand: Demand;
}

export abstract class WindowedAggregate<K, V, A> extends Operator<K, V, Windowed<K>, Change<A>> {
  protected readonly options: WindowedAggregateOptions<K, V, A>;
  protected times!: WindowTimes<K>;

  constructor(options: WindowedAggregateOptions<K, V, A>) {
    super();
    this.options = options;
  }

  override init(context: ProcessorContext<Windowed<K>, Change<A>>): void {
    super.init(context);
    const { clockStore, retentionMs, emit } = this.options;
    this.times = new WindowTimes(context, {
      store: clockStore,
      retentionMs,
      emitsFinal: emit === 'onWindowClose',
    });
  }

  process(record: Record<K, V>): void {
    const { key, value, timestamp } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    if (this.needsValue() && (value === null || value === undefined)) {
      dropped(this.context, 'null value', record);
      return;
    }
    const closeMs = this.times.begin(this.options.input, timestamp) - this.graceMs();
    this.update(record, closeMs);
    if (this.options.emit === 'onWindowClose') this.emitClosed(record, closeMs);
    this.removeExpired();
    this.times.end();
  }

  protected needsValue(): boolean {
    return false;
  }

  /** How long after its end (in sessions, its last event) a window is open. */
  protected abstract graceMs(): number;

  /** `closeMs`: windows that ended before (in time windows, at) it are over. */
  protected abstract update(record: Record<K, V>, closeMs: number): void;

  protected abstract emitClosed(record: Record<K, V>, closeMs: number): void;

  protected abstract removeExpired(): void;

  protected aggregated(key: K, value: V, aggregate: A | undefined): A | null {
    const { initializer, aggregator } = this.options;
    const start = aggregate ?? initializer?.();
    // `reduce` has no initializer: V is A there.
    return start === undefined ? (value as unknown as A) : aggregator(key, value, start);
  }

  protected late(record: Record<K, V>, { startMs, endMs }: Window, closeMs: number): void {
    dropped(this.context, 'late', record, { windowStart: startMs, windowEnd: endMs, closedBefore: closeMs });
  }

  protected forwardUpdate(
    record: Record<K, V>,
    window: Window,
    change: { readonly newValue: A | null; readonly oldValue: A | null },
    timestamp: number,
  ): void {
    if (this.options.emit === 'onWindowClose') return;
    const { newValue } = change;
    const oldValue = this.options.demand.oldValues ? change.oldValue : null;
    this.context.forward({
      ...record,
      key: { key: record.key, window },
      value: { newValue, oldValue },
      timestamp,
    });
  }

  protected forwardFinal(record: Record<K, V>, key: Windowed<K>, newValue: A, timestamp: number): void {
    this.context.forward({ ...record, key, value: { newValue, oldValue: null }, timestamp });
  }
}
