/**
 * `groupBy` of a table, before its repartition topic: each change becomes the removal of the old row from
 * its group and the addition of the new one to its own.
 *
 * Order: the removal first. Both go in one record when the group is the same one, so that nobody sees the
 * aggregate without either (Kafka Streams since 3.5). A mapped key or value of null belongs to no group.
 */
import type { Record } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import type { Change } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { KeyValue, KeyValueMapper } from '../options.ts';
import { Operator } from './operator.ts';

export class TableGroupBy<K, V, K2, V2> extends Operator<K, Change<V>, K2, Change<V2>> {
  readonly #mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>;
  readonly #keySerde: () => Serde<K2>;
  readonly #versioned: boolean;

  /**
   * `keySerde` is known only when the group is aggregated; it decides whether two keys are the same.
   * `versioned`: the table is, and changes of its past move nothing between groups.
   */
  constructor(mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>, keySerde: () => Serde<K2>, versioned: boolean) {
    super();
    this.#versioned = versioned;
    this.#mapper = mapper;
    this.#keySerde = keySerde;
  }

  process(record: Record<K, Change<V>>): void {
    const { oldValue, newValue } = record.value;
    if (record.key === null || record.key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    if (this.#versioned && record.value.outOfOrder === true) {
      dropped(this.context, 'late', record);
      return;
    }
    const oldPair = this.#map(record.key, oldValue);
    const newPair = this.#map(record.key, newValue);
    if (oldPair !== undefined && newPair !== undefined && this.#sameKey(oldPair[0], newPair[0])) {
      this.#send(record, newPair[0], { newValue: newPair[1], oldValue: oldPair[1] });
      return;
    }
    if (oldPair !== undefined) this.#send(record, oldPair[0], { newValue: null, oldValue: oldPair[1] });
    if (newPair !== undefined) this.#send(record, newPair[0], { newValue: newPair[1], oldValue: null });
  }

  #map(key: K, value: V | null): KeyValue<K2, V2> | undefined {
    if (value === null) return undefined;
    const pair = this.#mapper(key, value);
    return isAbsent(pair[0]) || isAbsent(pair[1]) ? undefined : pair;
  }

  #sameKey(a: K2, b: K2): boolean {
    if (a === b) return true;
    if (typeof a !== 'object') return false;
    const serde = this.#keySerde();
    const [left, right] = [serde.serialize(a, ''), serde.serialize(b, '')];
    return left !== null && right !== null && left.equals(right);
  }

  #send(record: Record<K, Change<V>>, key: K2, value: Change<V2>): void {
    this.context.forward({ ...record, key, value });
  }
}

function isAbsent(value: unknown): boolean {
  return value === null || value === undefined;
}
