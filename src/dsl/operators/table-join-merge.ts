/** Where both sides of a table-table join come together: into the joined table's store, if it has one, and on. */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
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
    const { newValue, oldValue } = record.value;
    const put = this.#store?.put(record.key, newValue, record.timestamp);
    if (put === 'expired') return;
    if (put === undefined) this.context.forward(record);
    else this.context.forward({ ...record, value: changeOf(newValue, oldValue, put === 'out-of-order') });
  }
}
