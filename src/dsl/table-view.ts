/**
 * How other operators look into a table: by key, through whatever lies between it and the nearest store.
 * A table without a store of its own answers from its parent's; a source gets its store only when somebody
 * asks. Old values, too, are sent only when somebody below needs them.
 */
import type { ProcessorContext } from '../graph/processor.ts';
import { TableStore, type ValueAndTimestamp } from './timestamped.ts';

export type ValueGetter<K, V> = (key: K) => ValueAndTimestamp<V> | undefined;

/** What an operator connects to read a table: the stores, and the getter made from its own context. */
export interface TableReader<K, V> {
  readonly stores: readonly string[];
  open(context: ProcessorContext<never, never>): ValueGetter<K, V>;
}

export interface TableView<K, V> {
  /** May give the table's source a store. */
  reader(): TableReader<K, V>;
  /**
   * Asks for `oldValue` in every change. `force`: give the source a store for it if it has none.
   * Returns whether old values will be sent.
   */
  sendOldValues(force: boolean): boolean;
}

/** Read after `build`, by the processors of running tasks: what was asked of their node until then. */
export interface Demand {
  oldValues: boolean;
}

export function storeReader<K, V>(name: string): TableReader<K, V> {
  return {
    stores: [name],
    open: (context) => {
      const store = new TableStore<K, V>(context, name);
      return (key) => store.get(key);
    },
  };
}

/** The view of a table that has its own store from the start. */
export function storedView<K, V>(store: string, demand: Demand): TableView<K, V> {
  return {
    reader: () => storeReader(store),
    sendOldValues: () => {
      demand.oldValues = true;
      return true;
    },
  };
}
