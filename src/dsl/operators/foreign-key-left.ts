/**
 * The left side of a foreign-key join. `SubscriptionSend` tells the right side which row each left row wants;
 * `ResponseJoin` takes what comes back, and joins it if the left row is still the one that asked.
 *
 * What is sent for a change (`fk`: the foreign keys of the old and the new value):
 * - left join: always a subscription to the new fk, null included, for every change has a result; before it the
 *   old one is given up if it was another.
 * - inner join: a new fk is subscribed to; it answers with null when there is no row and the fk has changed,
 *   because there may be an earlier result to delete. Without a new fk the old one is given up, with an answer.
 *
 * An answer to an older question is dropped, so what is asked last must be answered wherever there is a result to
 * take away. An inner join therefore numbers its questions and keeps, for each left row, the last number and whether
 * there is a result (`askedStore`). By the hash of the value alone, as in Kafka Streams, a row that changes twice, or
 * together with the row it names, can leave a result for good.
 */
import type { KeyValueStore, ProcessorContext, Record } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { ForeignKeyExtractor, ValueJoiner } from '../options.ts';
import type { TableReader, ValueGetter } from '../table-view.ts';
import {
  type Asked,
  type Instruction,
  questionHash,
  type Subscription,
  type SubscriptionResponse,
  valueHash,
} from './foreign-key-wire.ts';
import { Operator } from './operator.ts';

export interface SubscriptionSendOptions<K, V, KO> {
  readonly extractor: ForeignKeyExtractor<K, V, KO>;
  readonly foreignKeySerde: Serde<KO>;
  readonly valueSerde: Serde<V>;
  /** Undefined: a left join, in which every question is answered. */
  readonly askedStore: string | undefined;
  /** The left table is: changes of its past join nothing. */
  readonly versioned: boolean;
}

/** Under null: the last number given out. */
type AskedStore<K> = KeyValueStore<K | null, Asked | null>;

export class SubscriptionSend<K, V, KO> extends Operator<K, Change<V>, KO | null, Subscription<K>> {
  readonly #options: SubscriptionSendOptions<K, V, KO>;
  #asked: AskedStore<K> | undefined;

  constructor(options: SubscriptionSendOptions<K, V, KO>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<KO | null, Subscription<K>>): void {
    super.init(context);
    const { askedStore } = this.#options;
    if (askedStore !== undefined) this.#asked = context.getStateStore<AskedStore<K>>(askedStore);
  }

  process(record: Record<K, Change<V>>): void {
    const { key, value: change } = record;
    if (this.#options.versioned && change.outOfOrder === true) {
      dropped(this.context, 'late', record);
      return;
    }
    const oldKey = this.#foreignKey(key, change.oldValue);
    const newKey = this.#foreignKey(key, change.newValue);
    if (this.#asked === undefined) this.#sendLeft(record, oldKey, newKey);
    else this.#sendInner(record, oldKey, newKey, this.#asked);
  }

  #sendLeft(record: Record<K, Change<V>>, oldKey: KO | null, newKey: KO | null): void {
    const { oldValue, newValue } = record.value;
    if (oldValue === null && newValue === null) return;
    const hash = valueHash(this.#options.valueSerde, newValue);
    if (oldKey !== null && this.#differs(oldKey, newKey))
      this.#send(record, oldKey, 'delete-key-no-propagate', hash);
    this.#send(record, newKey, 'propagate-null-if-no-fk-val-available', hash);
  }

  #sendInner(record: Record<K, Change<V>>, oldKey: KO | null, newKey: KO | null, store: AskedStore<K>): void {
    if (newKey === null && record.value.newValue !== null) dropped(this.context, 'null key', record);
    // Nothing is asked: an answer that is under way is still the last one.
    if (newKey === null && oldKey === null) return;
    const question = (store.get(null)?.question ?? 0) + 1;
    const joined = store.get(record.key)?.joined ?? false;
    store.put(null, { question, joined: false });
    store.put(record.key, { question, joined });
    const hash = questionHash(question);
    if (newKey === null) {
      this.#send(record, oldKey, 'delete-key-and-propagate', hash);
      return;
    }
    const moves = oldKey !== null && this.#differs(oldKey, newKey);
    if (moves) this.#send(record, oldKey, 'delete-key-no-propagate', hash);
    const always = moves || joined;
    this.#send(
      record,
      newKey,
      always ? 'propagate-null-if-no-fk-val-available' : 'propagate-only-if-fk-val-available',
      hash,
    );
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

  #send(
    record: Record<K, Change<V>>,
    foreignKey: KO | null,
    instruction: Instruction,
    hash: Buffer | null,
  ): void {
    const value: Subscription<K> = {
      hash,
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
  /** Undefined: a left join. */
  readonly askedStore: string | undefined;
}

export class ResponseJoin<K, V, KO, VO, VOut> extends Operator<K, SubscriptionResponse<VO>, K, VOut | null> {
  readonly #options: ResponseJoinOptions<K, V, KO, VO, VOut>;
  #get!: ValueGetter<K, V>;
  #asked: AskedStore<K> | undefined;

  constructor(options: ResponseJoinOptions<K, V, KO, VO, VOut>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, VOut | null>): void {
    super.init(context);
    const { table, askedStore } = this.#options;
    this.#get = table.open(context);
    if (askedStore !== undefined) this.#asked = context.getStateStore<AskedStore<K>>(askedStore);
  }

  process(record: Record<K, SubscriptionResponse<VO>>): void {
    const { joiner } = this.#options;
    const { hash, foreignValue } = record.value;
    const own = this.#get(record.key)?.value ?? null;
    // The left row has changed since it asked; the answer to its newer question is on its way.
    if (!this.#isCurrent(record.key, own, hash)) {
      dropped(this.context, 'late', record);
      return;
    }
    const hasResult = own !== null && (foreignValue !== null || this.#asked === undefined);
    this.context.forward({ ...record, value: hasResult ? joiner(own, foreignValue, record.key) : null });
    if (this.#asked !== undefined) this.#note(record.key, own, hasResult, this.#asked);
  }

  #isCurrent(key: K, own: V | null, hash: Buffer | null): boolean {
    const asked = this.#asked?.get(key);
    if (this.#asked !== undefined)
      return asked !== undefined && asked !== null && hash?.equals(questionHash(asked.question)) === true;
    const ownHash = valueHash(this.#options.valueSerde, own);
    return hash === null || ownHash === null ? hash === ownHash : hash.equals(ownHash);
  }

  /** A row that names no other has had its last answer: nothing more is to be known of it. */
  #note(key: K, own: V | null, joined: boolean, store: AskedStore<K>): void {
    const asked = store.get(key);
    if (asked === undefined || asked === null) return;
    if (own === null || (this.#options.extractor(own, key) ?? null) === null) store.put(key, null);
    else if (asked.joined !== joined) store.put(key, { ...asked, joined });
  }
}
