/** Where both sides of a table-table join come together: into the joined table's store, if it has one, and on. */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { TableStore } from '../timestamped.ts';
import { Operator } from './operator.ts';

export class TableJoinMerge<K, V> extends Operator<K, Change<V>, K, Change<V>> {
  readonly #storeName: string | undefined;
  #store: TableStore<K, V> | undefined;

  constructor(storeName: string | undefined) {
    super();
    this.#storeName = storeName;
  }

  override init(context: ProcessorContext<K, Change<V>>): void {
    super.init(context);
    this.#store = this.#storeName === undefined ? undefined : new TableStore(context, this.#storeName);
  }

  process(record: Record<K, Change<V>>): void {
    this.#store?.put(record.key, record.value.newValue, record.timestamp);
    this.context.forward(record);
  }
}
