/** `mapValues` of a table: each row's value mapped; deletions stay deletions and are not shown to the mapper. */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
import type { ValueMapper } from '../options.ts';
import { type Demand, storedView, type TableView } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableMapValuesOptions<K, V, V2> {
  /** Null: no such row in the result. */
  readonly mapper: ValueMapper<K, V, V2 | null>;
  readonly store: string | undefined;
  /** Of this table's rows; see TableView. */
  readonly versioned: boolean;
  readonly demand: Demand;
}

export class TableMapValues<K, V, V2> extends Operator<K, Change<V>, K, Change<V2>> {
  readonly #options: TableMapValuesOptions<K, V, V2>;
  #store: TableStore<K, V2> | undefined;

  constructor(options: TableMapValuesOptions<K, V, V2>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<V2>>): void {
    super.init(context);
    const { store } = this.#options;
    this.#store = store === undefined ? undefined : new TableStore(context, store);
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    const newValue = this.#map(key, change.newValue);
    const oldValue = this.#options.demand.oldValues ? this.#oldValue(key, change) : null;
    const put = this.#store?.put(key, newValue, record.timestamp);
    if (put === 'expired') return;
    const isOutOfOrder = put === undefined ? change.outOfOrder === true : put === 'out-of-order';
    this.context.forward({ ...record, value: changeOf(newValue, oldValue, isOutOfOrder) });
  }

  #oldValue(key: K, change: Change<V>): V2 | null {
    if (this.#store !== undefined) return this.#store.get(key)?.value ?? null;
    return this.#map(key, change.oldValue);
  }

  #map(key: K, value: V | null): V2 | null {
    return value === null ? null : this.#options.mapper(value, key);
  }
}

export function tableMapValuesView<K, V, V2>(
  { mapper, store, versioned, demand }: TableMapValuesOptions<K, V, V2>,
  parent: TableView<K, V>,
): TableView<K, V2> {
  if (store !== undefined) return storedView(store, demand, versioned);
  return {
    versioned,
    reader: () => {
      const { stores, open } = parent.reader();
      return {
        stores,
        open: (context) => {
          const get = open(context);
          return (key, asOfMs) => {
            const row = get(key, asOfMs);
            const value = row === undefined ? null : mapper(row.value, key);
            return row === undefined || value === null ? undefined : { value, timestamp: row.timestamp };
          };
        },
      };
    },
    sendOldValues: (force) => {
      if (parent.sendOldValues(force)) demand.oldValues = true;
      return demand.oldValues;
    },
  };
}
