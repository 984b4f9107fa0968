/**
 * The left side of a foreign-key join. `SubscriptionSend` tells the right side which row each left row wants;
 * `ResponseJoin` takes what comes back, and joins it if the left row is still the one that asked.
 *
 * What is sent for a change (`fk`: the foreign keys of the old and the new value):
 * - left join: always a subscription to the new fk, null included, for every change has a result; before it the
 *   old one is given up if it was another.
 * - inner join: a new fk is subscribed to; it answers with null when there is no row and the fk has changed,
 *   because there may be an earlier result to delete. Without a new fk the old one is given up, with an answer.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { ForeignKeyExtractor, ValueJoiner } from '../options.ts';
import type { TableReader, ValueGetter } from '../table-view.ts';
import {
  type Instruction,
  type Subscription,
  type SubscriptionResponse,
  valueHash,
} from './foreign-key-wire.ts';
import { Operator } from './operator.ts';

export interface SubscriptionSendOptions<K, V, KO> {
  readonly extractor: ForeignKeyExtractor<K, V, KO>;
  readonly foreignKeySerde: Serde<KO>;
  readonly valueSerde: Serde<V>;
  readonly left: boolean;
  /** The left table is: changes of its past join nothing. */
  readonly versioned: boolean;
}

export class SubscriptionSend<K, V, KO> extends Operator<K, Change<V>, KO | null, Subscription<K>> {
  readonly #options: SubscriptionSendOptions<K, V, KO>;

  constructor(options: SubscriptionSendOptions<K, V, KO>) {
    super();
    this.#options = options;
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    if (this.#options.versioned && change.outOfOrder === true) {
      dropped(this.context, 'late', record);
      return;
    }
    const oldKey = this.#foreignKey(key, change.oldValue);
    const newKey = this.#foreignKey(key, change.newValue);
    if (this.#options.left) this.#sendLeft(record, oldKey, newKey);
    else this.#sendInner(record, oldKey, newKey);
  }

  #sendLeft(record: Record<K, Change<V>>, oldKey: KO | null, newKey: KO | null): void {
    const { oldValue, newValue } = record.value;
    if (oldValue === null && newValue === null) return;
    if (oldKey !== null && this.#differs(oldKey, newKey))
      this.#send(record, oldKey, 'delete-key-no-propagate');
    this.#send(record, newKey, 'propagate-null-if-no-fk-val-available');
  }

  #sendInner(record: Record<K, Change<V>>, oldKey: KO | null, newKey: KO | null): void {
    if (newKey === null) {
      if (record.value.newValue !== null) dropped(this.context, 'null key', record);
      if (oldKey !== null) this.#send(record, oldKey, 'delete-key-and-propagate');
      return;
    }
    if (oldKey === null || !this.#differs(oldKey, newKey)) {
      this.#send(record, newKey, 'propagate-only-if-fk-val-available');
      return;
    }
    this.#send(record, oldKey, 'delete-key-no-propagate');
    this.#send(record, newKey, 'propagate-null-if-no-fk-val-available');
  }

  #foreignKey(key: K, value: V | null): KO | null {
    return value === null ? null : (this.#options.extractor(value, key) ?? null);
  }

  #differs(a: KO, b: KO | null): boolean {
    if (b === null) return true;
    if (a === b) return false;
    const { foreignKeySerde } = this.#options;
    const [first, second] = [foreignKeySerde.serialize(a, ''), foreignKeySerde.serialize(b, '')];
    return first === null || second === null || !first.equals(second);
  }

  #send(record: Record<K, Change<V>>, foreignKey: KO | null, instruction: Instruction): void {
    const value: Subscription<K> = {
      hash: valueHash(this.#options.valueSerde, record.value.newValue),
      instruction,
      primaryKey: record.key,
      partition: Number(this.context.taskId.split('_')[1]),
    };
    this.context.forward({ ...record, key: foreignKey, value });
  }
}

export interface ResponseJoinOptions<K, V, KO, VO, VOut> {
  readonly table: TableReader<K, V>;
  readonly extractor: ForeignKeyExtractor<K, V, KO>;
  readonly valueSerde: Serde<V>;
  readonly joiner: ValueJoiner<K, V, VO | null, VOut | null>;
  readonly left: boolean;
}

export class ResponseJoin<K, V, KO, VO, VOut> extends Operator<K, SubscriptionResponse<VO>, K, VOut | null> {
  readonly #options: ResponseJoinOptions<K, V, KO, VO, VOut>;
  #get!: ValueGetter<K, V>;

  constructor(options: ResponseJoinOptions<K, V, KO, VO, VOut>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, VOut | null>): void {
    super.init(context);
    this.#get = this.#options.table.open(context);
  }

  process(record: Record<K, SubscriptionResponse<VO>>): void {
    const { valueSerde, joiner, left } = this.#options;
    const { hash, foreignValue } = record.value;
    const own = this.#get(record.key)?.value ?? null;
    const ownHash = valueHash(valueSerde, own);
    // The left row has changed since it asked; the answer to its newer question is on its way.
    const isOutdated = hash === null ? ownHash !== null : ownHash === null || !hash.equals(ownHash);
    if (isOutdated && !(foreignValue === null && this.#asksNothing(record.key, own))) {
      dropped(this.context, 'late', record);
      return;
    }
    const hasResult = own !== null && (foreignValue !== null || left);
    this.context.forward({ ...record, value: hasResult ? joiner(own, foreignValue, record.key) : null });
  }

  /**
   * A left row of an inner join without a foreign key has asked for nothing since it lost its key, so the answer that
   * takes its result away is the last one, whatever else has changed in the row. Dropped (as Kafka Streams does when
   * two such changes are under way at once), the result would stay for good.
   */
  #asksNothing(key: K, own: V | null): boolean {
    const { extractor, left } = this.#options;
    return !left && (own === null || (extractor(own, key) ?? null) === null);
  }
}
