/**
 * `join` and `leftJoin` of a stream with a table: each stream record meets the row that its key has now.
 * Only the stream triggers; the result has the stream record's timestamp.
 *
 * Nulls: a null value is dropped; a null key is dropped by the inner join and finds no row in the left one.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { ValueJoiner } from '../options.ts';
import type { TableReader, ValueGetter } from '../table-view.ts';
import { Operator } from './operator.ts';

export class StreamTableJoin<K, V, VT, VOut> extends Operator<K, V, K, VOut> {
  readonly #table: TableReader<K, VT>;
  readonly #joiner: ValueJoiner<K, V, VT | null, VOut>;
  readonly #left: boolean;
  #get!: ValueGetter<K, VT>;

  constructor(table: TableReader<K, VT>, joiner: ValueJoiner<K, V, VT | null, VOut>, left: boolean) {
    super();
    this.#table = table;
    this.#joiner = joiner;
    this.#left = left;
  }

  override init(context: ProcessorContext<K, VOut>): void {
    super.init(context);
    this.#get = this.#table.open(context);
  }

  process(record: Record<K, V>): void {
    const { key, value } = record;
    if (value === null || value === undefined) {
      dropped(this.context, 'null value', record);
      return;
    }
    const keyless = key === null || key === undefined;
    if (keyless && !this.#left) {
      dropped(this.context, 'null key', record);
      return;
    }
    const row = keyless ? undefined : this.#get(key, record.timestamp);
    if (row === undefined && !this.#left) return;
    this.context.forward({ ...record, value: this.#joiner(value, row?.value ?? null, key) });
  }
}
