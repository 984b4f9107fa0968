/**
 * How other operators look into a table: by key, through whatever lies between it and the nearest store.
 * A table without a store of its own answers from its parent's; a source gets its store only when somebody
 * asks. Old values, too, are sent only when somebody below needs them.
 */
import type { ProcessorContext } from '../graph/processor.ts';
import { TableStore, type ValueAndTimestamp } from './timestamped.ts';

/** `asOfMs`: the row at that time, where the store beneath is versioned; any other gives the present one. */
export type ValueGetter<K, V> = (key: K, asOfMs?: number) => ValueAndTimestamp<V> | undefined;

/** What an operator connects to read a table: the stores, and the getter made from its own context. */
export interface TableReader<K, V> {
  readonly stores: readonly string[];
  open(context: ProcessorContext<never, never>): ValueGetter<K, V>;
}

export interface TableView<K, V> {
  /** Its rows come from a versioned store: changes may be of the past, and lookups may name a time. */
  readonly versioned: boolean;
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
      return (key, asOfMs) => store.get(key, asOfMs);
    },
  };
}

/** The view of a table that has its own store from the start. */
export function storedView<K, V>(store: string, demand: Demand, versioned = false): TableView<K, V> {
  return {
    versioned,
    reader: () => storeReader(store),
    sendOldValues: () => {
      demand.oldValues = true;
      return true;
    },
  };
}
