/**
 * `aggregate`, `reduce` and `count` of a regrouped table: takes the old row's contribution out, then puts
 * the new row's in. The result's timestamp is the later of the change's and the aggregate's so far.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { Aggregator, Initializer } from '../options.ts';
import type { Demand } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableAggregateOptions<K, V, A> {
  readonly store: string;
  /** Undefined: the first row is the first aggregate (`reduce`). */
  readonly initializer: Initializer<A> | undefined;
  readonly adder: Aggregator<K, V, A>;
  readonly subtractor: Aggregator<K, V, A>;
  readonly demand: Demand;
}

export class TableAggregate<K, V, A> extends Operator<K, Change<V>, K, Change<A>> {
  readonly #options: TableAggregateOptions<K, V, A>;
  #store!: TableStore<K, A>;

  constructor(options: TableAggregateOptions<K, V, A>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<A>>): void {
    super.init(context);
    this.#store = new TableStore(context, this.#options.store);
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    const old = this.#store.get(key);
    const without = this.#subtract(key, change.oldValue, old?.value ?? null);
    const newValue = this.#add(key, change.newValue, without);
    const timestamp = old === undefined ? record.timestamp : Math.max(record.timestamp, old.timestamp);
    if (this.#store.put(key, newValue, timestamp) === 'expired') {
      dropped(this.context, 'late', record);
      return;
    }
    const oldValue = this.#options.demand.oldValues ? (old?.value ?? null) : null;
    this.context.forward({ ...record, value: { newValue, oldValue }, timestamp });
  }

  #subtract(key: K, row: V | null, aggregate: A | null): A | null {
    return row === null || aggregate === null ? aggregate : this.#options.subtractor(key, row, aggregate);
  }

  #add(key: K, row: V | null, aggregate: A | null): A | null {
    if (row === null) return aggregate;
    const { initializer, adder } = this.#options;
    const start = aggregate ?? initializer?.();
    // `reduce` has no initializer: V is A there.
    return start === undefined ? (row as unknown as A) : adder(key, row, start);
  }
}
