/**
 * `filter` and `filterNot` of a table: a row that no longer passes is forwarded as a deletion, unless it is
 * known that nothing was there before.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
import type { Predicate } from '../options.ts';
import { type Demand, storedView, type TableView } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableFilterOptions<K, V> {
  readonly keep: Predicate<K, V>;
  readonly store: string | undefined;
  /** Of this table's rows; see TableView. */
  readonly versioned: boolean;
  /** The table above is versioned. */
  readonly parentVersioned: boolean;
  readonly demand: Demand;
}

export class TableFilter<K, V> extends Operator<K, Change<V>, K, Change<V>> {
  readonly #options: TableFilterOptions<K, V>;
  #store: TableStore<K, V> | undefined;

  constructor(options: TableFilterOptions<K, V>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<V>>): void {
    super.init(context);
    const { store } = this.#options;
    this.#store = store === undefined ? undefined : new TableStore(context, store);
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    const { parentVersioned, demand } = this.#options;
    const { oldValues } = demand;
    const newValue = this.#pass(key, change.newValue);
    const oldValue = oldValues ? this.#oldValue(key, change) : null;
    // A deletion in the past of a versioned table is news whatever the present is.
    if (!parentVersioned && oldValues && oldValue === null && newValue === null) return;
    const put = this.#store?.put(key, newValue, record.timestamp);
    if (put === 'expired') return;
    const isOutOfOrder = put === undefined ? change.outOfOrder === true : put === 'out-of-order';
    this.context.forward({ ...record, value: changeOf(newValue, oldValue, isOutOfOrder) });
  }

  #oldValue(key: K, change: Change<V>): V | null {
    if (this.#store !== undefined) return this.#store.get(key)?.value ?? null;
    return this.#pass(key, change.oldValue);
  }

  #pass(key: K, value: V | null): V | null {
    return value !== null && this.#options.keep(key, value) ? value : null;
  }
}

export function tableFilterView<K, V>(
  { keep, store, versioned, demand }: TableFilterOptions<K, V>,
  parent: TableView<K, V>,
): TableView<K, V> {
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
            return row !== undefined && keep(key, row.value) ? row : undefined;
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
