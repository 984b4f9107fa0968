/**
 * `transformValues` of a table: as `mapValues`, by an object that may read stores and that is shown deletions.
 * Without a store of its own, whoever looks into the result transforms the row above anew, with a transformer
 * of its own.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
import type { ValueTransformerSupplier, ValueTransformerWithKey } from '../options.ts';
import { type Demand, storedView, type TableView } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableTransformValuesOptions<K, V, V2> {
  readonly supplier: ValueTransformerSupplier<K, V, V2>;
  /** Of the transformer. */
  readonly stores: readonly string[];
  /** Of the result. */
  readonly store: string | undefined;
  /** Of the result's rows; see TableView. */
  readonly versioned: boolean;
  readonly demand: Demand;
}

export class TableTransformValues<K, V, V2> extends Operator<K, Change<V>, K, Change<V2>> {
  readonly #options: TableTransformValuesOptions<K, V, V2>;
  readonly #transformer: ValueTransformerWithKey<K, V, V2>;
  #store: TableStore<K, V2> | undefined;

  constructor(options: TableTransformValuesOptions<K, V, V2>) {
    super();
    this.#options = options;
    this.#transformer = options.supplier();
  }

  override init(context: ProcessorContext<K, Change<V2>>): void {
    super.init(context);
    const { store } = this.#options;
    this.#store = store === undefined ? undefined : new TableStore(context, store);
    this.#transformer.init?.(context);
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    const newValue = this.#transformer.transform(key, change.newValue);
    const oldValue = this.#options.demand.oldValues ? this.#oldValue(key, change) : null;
    const put = this.#store?.put(key, newValue, record.timestamp);
    if (put === 'expired') return;
    const isOutOfOrder = put === undefined ? change.outOfOrder === true : put === 'out-of-order';
    this.context.forward({ ...record, value: changeOf(newValue, oldValue, isOutOfOrder) });
  }

  #oldValue(key: K, change: Change<V>): V2 | null {
    if (this.#store !== undefined) return this.#store.get(key)?.value ?? null;
    return this.#transformer.transform(key, change.oldValue);
  }
}

export function tableTransformValuesView<K, V, V2>(
  { supplier, stores, store, versioned, demand }: TableTransformValuesOptions<K, V, V2>,
  parent: TableView<K, V>,
): TableView<K, V2> {
  if (store !== undefined) return storedView(store, demand, versioned);
  return {
    versioned,
    reader: () => {
      const above = parent.reader();
      return {
        stores: [...new Set([...above.stores, ...stores])],
        open: (context) => {
          const get = above.open(context);
          const transformer = supplier();
          transformer.init?.(context);
          return (key, asOfMs) => {
            const row = get(key, asOfMs);
            const value = transformer.transform(key, row?.value ?? null);
            return value === null ? undefined : { value, timestamp: row?.timestamp ?? -1 };
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
