/**
 * `filter` and `filterNot` of a table: a row that no longer passes is forwarded as a deletion, unless it is
 * known that nothing was there before.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import type { Predicate } from '../options.ts';
import { type Demand, storedView, type TableView } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableFilterOptions<K, V> {
  readonly keep: Predicate<K, V>;
  readonly store: string | undefined;
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
    const { oldValues } = this.#options.demand;
    const newValue = this.#pass(key, change.newValue);
    const oldValue = oldValues ? this.#oldValue(key, change) : null;
    if (oldValues && oldValue === null && newValue === null) return;
    this.#store?.put(key, newValue, record.timestamp);
    this.context.forward({ ...record, value: { newValue, oldValue } });
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
  { keep, store, demand }: TableFilterOptions<K, V>,
  parent: TableView<K, V>,
): TableView<K, V> {
  if (store !== undefined) return storedView(store, demand);
  return {
    reader: () => {
      const { stores, open } = parent.reader();
      return {
        stores,
        open: (context) => {
          const get = open(context);
          return (key) => {
            const row = get(key);
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
