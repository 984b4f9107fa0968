/**
 * Turns a stream of values into a table: the end of `table(topic)` and `toTable`.
 *
 * - A null key is dropped and counted; a null value deletes, and is forwarded as a deletion.
 * - The later offset wins, even with an older timestamp, which is then the one that is stored. A versioned
 *   table puts the older one into its history instead, and refuses what is older than that.
 * - The store is only there when the table was named or somebody below reads it or needs old values.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
import { dropped } from '../dropped.ts';
import { type Demand, storeReader, type TableView } from '../table-view.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export interface TableSourceDemand extends Demand {
  stored: boolean;
}

export class TableSource<K, V> extends Operator<K, V | null, K, Change<V>> {
  readonly #storeName: string;
  readonly #demand: TableSourceDemand;
  #store: TableStore<K, V> | undefined;

  constructor(storeName: string, demand: TableSourceDemand) {
    super();
    this.#storeName = storeName;
    this.#demand = demand;
  }

  override init(context: ProcessorContext<K, Change<V>>): void {
    super.init(context);
    this.#store = this.#demand.stored ? new TableStore(context, this.#storeName) : undefined;
  }

  process(record: Record<K, V | null>): void {
    const { key, value: newValue } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    const oldValue = this.#demand.oldValues ? (this.#store?.get(key)?.value ?? null) : null;
    const put = this.#store?.put(key, newValue, record.timestamp) ?? 'latest';
    if (put === 'expired') dropped(this.context, 'late', record);
    else this.context.forward({ ...record, value: changeOf(newValue, oldValue, put === 'out-of-order') });
  }
}

/** `materialize` adds the store to the graph; it is called once, when the first reader asks. */
export function tableSourceView<K, V>(
  storeName: string,
  demand: TableSourceDemand,
  materialize: () => void,
  versioned = false,
): TableView<K, V> {
  const ensureStore = (): void => {
    if (demand.stored) return;
    demand.stored = true;
    materialize();
  };
  return {
    versioned,
    reader: () => {
      ensureStore();
      return storeReader(storeName);
    },
    sendOldValues: (force) => {
      if (!demand.stored && !force) return false;
      ensureStore();
      demand.oldValues = true;
      return true;
    },
  };
}
