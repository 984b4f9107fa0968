/**
 * `join` and `leftJoin` of a stream with a table or a global table: each stream record meets the row that its
 * key (or the key chosen for it) has. Only the stream triggers; the result has the stream record's timestamp.
 *
 * - A versioned table is asked for the row as of the record's time; any other gives the one it has now.
 * - With grace the record waits in a buffer until the newest one is that much ahead, so that changes of the
 *   table that come late are seen. A record that is later than the grace waits for nothing.
 * - A null value is dropped; a null key is dropped by the inner join and finds no row in the left one.
 */
import type { Prefetch, ProcessorContext, Record } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { KeyValueMapper, ValueJoiner } from '../options.ts';
import type { TableReader, ValueGetter } from '../table-view.ts';
import { JoinBuffer } from './join-buffer.ts';
import { Operator } from './operator.ts';

export interface StreamTableJoinOptions<K, V, KT, VT, VOut> {
  readonly table: TableReader<KT, VT>;
  readonly joiner: ValueJoiner<K, V, VT | null, VOut>;
  readonly left: boolean;
  /** The table's key for a record; null when it has none. */
  readonly keySelector: KeyValueMapper<K, V, KT | null>;
  readonly buffer: { readonly store: string; readonly graceMs: number } | undefined;
  /** Stores beneath the table, by its key. */
  readonly reads: readonly string[];
}

export class StreamTableJoin<K, V, KT, VT, VOut> extends Operator<K, V, K, VOut> {
  readonly #options: StreamTableJoinOptions<K, V, KT, VT, VOut>;
  #get!: ValueGetter<KT, VT>;
  #buffer: JoinBuffer<K, V> | undefined;

  constructor(options: StreamTableJoinOptions<K, V, KT, VT, VOut>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, VOut>): void {
    super.init(context);
    const { table, buffer } = this.#options;
    this.#get = table.open(context);
    this.#buffer = buffer === undefined ? undefined : new JoinBuffer(context, buffer.store, buffer.graceMs);
  }

  prefetch(record: Record<K, V>): Prefetch[] {
    const { reads, buffer } = this.#options;
    const clock = buffer === undefined ? [] : [{ store: buffer.store, key: 'clock' }];
    const hasValue = record.value !== null && record.value !== undefined;
    const key = hasValue ? this.#tableKey(record) : undefined;
    return key === undefined ? clock : [...clock, ...reads.map((store) => ({ store, key }))];
  }

  process(record: Record<K, V>): void {
    const { key, value } = record;
    if (value === null || value === undefined) {
      dropped(this.context, 'null value', record);
      return;
    }
    if (this.#tableKey(record) === undefined && !this.#options.left) {
      dropped(this.context, 'null key', record);
      return;
    }
    // A record without a key has nothing to wait for: no row can come for it.
    if (this.#buffer === undefined || key === null || key === undefined || !this.#buffer.add(record)) {
      this.#join(record);
      return;
    }
    for (const over of this.#buffer.takeOver()) this.#join(over);
  }

  #join(record: Record<K, V>): void {
    const tableKey = this.#tableKey(record);
    const row = tableKey === undefined ? undefined : this.#get(tableKey, record.timestamp);
    const { joiner, left } = this.#options;
    if (row === undefined && !left) return;
    this.context.forward({ ...record, value: joiner(record.value, row?.value ?? null, record.key) });
  }

  #tableKey({ key, value }: Record<K, V>): KT | undefined {
    return this.#options.keySelector(key, value) ?? undefined;
  }
}
