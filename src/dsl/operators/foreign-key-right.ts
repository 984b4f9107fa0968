/**
 * The right side of a foreign-key join: `SubscriptionReceive` keeps which left rows want a row of this table,
 * `SubscriptionJoin` answers each with the row as it is now, `ForeignTableJoin` tells all of them when it changes.
 */
import type { KeyValueStore, Prefetch, ProcessorContext, Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { TableReader, ValueGetter } from '../table-view.ts';
import { type Subscription, SubscriptionKey, type SubscriptionResponse } from './foreign-key-wire.ts';
import { Operator } from './operator.ts';

type SubscriptionStore<KO, K> = KeyValueStore<SubscriptionKey<KO, K>, Subscription<K> | null>;

/** Passes each subscription on as it came; a null key is that of a left row that wants an answer and no row. */
export class SubscriptionReceive<KO, K> extends Operator<
  KO | null,
  Subscription<K>,
  KO | null,
  Subscription<K>
> {
  readonly #storeName: string;
  #store!: SubscriptionStore<KO, K>;

  constructor(storeName: string) {
    super();
    this.#storeName = storeName;
  }

  override init(context: ProcessorContext<KO | null, Subscription<K>>): void {
    super.init(context);
    this.#store = context.getStateStore(this.#storeName);
  }

  /** It only writes. */
  prefetch(): Prefetch[] {
    return [];
  }

  process(record: Record<KO | null, Subscription<K>>): void {
    const { key, value } = record;
    const { instruction, primaryKey } = value;
    if (key === null) {
      if (instruction !== 'propagate-null-if-no-fk-val-available') {
        dropped(this.context, 'null key', record);
        return;
      }
    } else {
      const isGivenUp =
        instruction === 'delete-key-no-propagate' || instruction === 'delete-key-and-propagate';
      this.#store.put(new SubscriptionKey(key, { key: primaryKey }), isGivenUp ? null : value);
    }
    this.context.forward(record);
  }
}

export class SubscriptionJoin<KO, K, VO> extends Operator<
  KO | null,
  Subscription<K>,
  K,
  SubscriptionResponse<VO>
> {
  readonly #table: TableReader<KO, VO>;
  #get!: ValueGetter<KO, VO>;

  constructor(table: TableReader<KO, VO>) {
    super();
    this.#table = table;
  }

  override init(context: ProcessorContext<K, SubscriptionResponse<VO>>): void {
    super.init(context);
    this.#get = this.#table.open(context);
  }

  process(record: Record<KO | null, Subscription<K>>): void {
    const { key, value: subscription } = record;
    const { instruction, hash, partition, primaryKey } = subscription;
    if (instruction === 'delete-key-no-propagate') return;
    const row = key === null ? undefined : this.#get(key);
    if (row === undefined && instruction === 'propagate-only-if-fk-val-available') return;
    const isGivenUp = instruction === 'delete-key-and-propagate';
    const foreignValue = isGivenUp ? null : (row?.value ?? null);
    this.context.forward({
      ...record,
      key: primaryKey,
      value: { hash, foreignValue, partition },
      timestamp: row === undefined ? record.timestamp : Math.max(record.timestamp, row.timestamp),
    });
  }
}

export class ForeignTableJoin<KO, K, VO> extends Operator<KO, Change<VO>, K, SubscriptionResponse<VO>> {
  readonly #storeName: string;
  readonly #sameKey: (a: KO, b: KO) => boolean;
  readonly #versioned: boolean;
  #store!: SubscriptionStore<KO, K>;

  /** `versioned`: the right table is, and changes of its past join nothing. */
  constructor(storeName: string, sameKey: (a: KO, b: KO) => boolean, versioned: boolean) {
    super();
    this.#storeName = storeName;
    this.#sameKey = sameKey;
    this.#versioned = versioned;
  }

  override init(context: ProcessorContext<K, SubscriptionResponse<VO>>): void {
    super.init(context);
    this.#store = context.getStateStore(this.#storeName);
  }

  process(record: Record<KO, Change<VO>>): void {
    const { key, value: change } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    if (this.#versioned && change.outOfOrder === true) {
      dropped(this.context, 'late', record);
      return;
    }
    const from = new SubscriptionKey<KO, K>(key, 'first');
    const to = new SubscriptionKey<KO, K>(key, 'last');
    for (const [found, subscription] of this.#store.range(from, to)) {
      // The range's end is inclusive: it may be another foreign key's.
      if (subscription === null || !this.#sameKey(found.foreignKey, key)) continue;
      const { hash, partition, primaryKey } = subscription;
      const value = { hash, foreignValue: change.newValue, partition };
      this.context.forward({ ...record, key: primaryKey, value });
    }
  }
}
