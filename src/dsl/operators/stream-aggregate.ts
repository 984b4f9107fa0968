/**
 * `aggregate`, `reduce` and `count` of a grouped stream: one aggregate per key, kept as a table.
 *
 * - A null key or value is dropped and counted.
 * - The result's timestamp is the later of the record's and the aggregate's so far.
 * - An aggregator that returns null deletes the aggregate; the next record starts afresh.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { Aggregator, Initializer } from '../options.ts';
import type { Demand } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface StreamAggregateOptions<K, V, A> {
  readonly store: string;
  /** Undefined: the first value is the first aggregate (`reduce`). */
  readonly initializer: Initializer<A> | undefined;
  readonly aggregator: Aggregator<K, V, A>;
  readonly demand: Demand;
}

export class StreamAggregate<K, V, A> extends Operator<K, V, K, Change<A>> {
  readonly #options: StreamAggregateOptions<K, V, A>;
  #store!: TableStore<K, A>;

  constructor(options: StreamAggregateOptions<K, V, A>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<A>>): void {
    super.init(context);
    this.#store = new TableStore(context, this.#options.store);
  }

  process(record: Record<K, V>): void {
    const { key, value } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    if (value === null || value === undefined) {
      dropped(this.context, 'null value', record);
      return;
    }
    const { initializer, aggregator, demand } = this.#options;
    const old = this.#store.get(key);
    const timestamp = old === undefined ? record.timestamp : Math.max(record.timestamp, old.timestamp);
    const start = old === undefined ? initializer?.() : old.value;
    // `reduce` has no initializer: V is A there.
    const newValue = start === undefined ? (value as unknown as A) : aggregator(key, value, start);
    if (this.#store.put(key, newValue, timestamp) === 'expired') {
      dropped(this.context, 'late', record);
      return;
    }
    const oldValue = demand.oldValues ? (old?.value ?? null) : null;
    this.context.forward({ ...record, value: { newValue, oldValue }, timestamp });
  }
}
