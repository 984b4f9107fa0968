/**
 * What the two tables of a foreign-key join tell each other through their internal topics, and how the right
 * side keeps its subscriptions. Pure.
 *
 *   subscription   left row → right side, by foreign key: this row wants that row's value, or no longer does
 *   response       right side → left row, by primary key: that row's value, and for which left row it is meant
 */
import { createHash } from 'node:crypto';
import { prefixEnd, readSortableInteger, sortableInteger } from '../../base/bytes.ts';
import { StreamsError } from '../../base/errors.ts';
import type { Serde } from '../../serde/serde.ts';
import { bytesOf } from './ordered-key.ts';

/** Order: their place is their code on the wire; Kafka Streams' words in Kafka Streams' order. */
export const instructions = [
  'delete-key-no-propagate',
  'delete-key-and-propagate',
  'propagate-null-if-no-fk-val-available',
  'propagate-only-if-fk-val-available',
] as const;
export type Instruction = (typeof instructions)[number];

/**
 * `hash`: of the left row's value, null when it has none; in inner joins the number of the question.
 * `partition`: where the left row lives.
 */
export interface Subscription<K> {
  readonly hash: Buffer | null;
  readonly instruction: Instruction;
  readonly primaryKey: K;
  readonly partition: number;
}

/** `partition` is not sent: it says where to. */
export interface SubscriptionResponse<V> {
  readonly hash: Buffer | null;
  readonly foreignValue: V | null;
  readonly partition?: number;
}

const hashBytes = 16;

/** 128 bits: two values of one row that differ must not be taken for each other. */
export function valueHash<V>(serde: Serde<V>, value: V | null): Buffer | null {
  if (value === null) return null;
  const bytes = bytesOf(serde, value, 'foreign-key-join');
  return createHash('sha256').update(bytes).digest().subarray(0, hashBytes);
}

/** The number of a question stands where a value's hash stands. Layout: 0 (8) · number (8). */
export function questionHash(question: number): Buffer {
  return Buffer.concat([Buffer.alloc(hashBytes - 8), sortableInteger(question)]);
}

/** What an inner join knows of a left row: the number of its last question, and whether it has a result. */
export interface Asked {
  readonly question: number;
  readonly joined: boolean;
}

/** Null stands for the row with the last number given out; its layout is one byte, 0. Of a left row: 1 · key. */
export function askedKeySerde<K>(keys: Serde<K>): Serde<K | null> {
  return {
    name: `questions of ${keys.name}`,
    serialize: (key, topic) =>
      key === null ? Buffer.from([0]) : Buffer.concat([Buffer.from([1]), bytesOf(keys, key, topic)]),
    deserialize: (bytes, topic) =>
      bytes === null || bytes[0] !== 1 ? null : keys.deserialize(bytes.subarray(1), topic),
  };
}

/** Layout: number (8) · joined (1). */
export const askedSerde: Serde<Asked> = {
  name: 'question',
  serialize: (asked) =>
    asked === null
      ? null
      : Buffer.concat([sortableInteger(asked.question), Buffer.from([asked.joined ? 1 : 0])]),
  deserialize: (bytes) =>
    bytes === null ? null : { question: readSortableInteger(bytes, 0), joined: bytes[8] === 1 },
};

/** Layout: 1, with the high bit set when there is no hash · instruction (u8) · hash (16) · primary key · partition (i32). */
export function subscriptionSerde<K>(keys: Serde<K>): Serde<Subscription<K>> {
  const prepare = keys.prepare?.bind(keys);
  return {
    name: `subscription of ${keys.name}`,
    serialize: (subscription, topic) => {
      if (subscription === null) return null;
      const { hash, instruction, primaryKey, partition } = subscription;
      const head = Buffer.from([hash === null ? 0x81 : 0x01, instructions.indexOf(instruction)]);
      const tail = Buffer.allocUnsafe(4);
      tail.writeInt32BE(partition);
      return Buffer.concat([head, hash ?? Buffer.alloc(0), bytesOf(keys, primaryKey, topic), tail]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const at = checkHead(bytes, 'a subscription', 6);
      const instruction = instructions[bytes[1] as number];
      if (instruction === undefined) throw unreadable('a subscription has an unknown instruction');
      return {
        hash: at === 2 ? null : bytes.subarray(2, at),
        instruction,
        primaryKey: keys.deserialize(bytes.subarray(at, -4), topic) as K,
        partition: bytes.readInt32BE(bytes.length - 4),
      };
    },
    ...(prepare === undefined
      ? {}
      : { prepare: (bytes: Buffer) => prepare(bytes.subarray(checkHead(bytes, 'a subscription', 6), -4)) }),
  };
}

/** Layout: 1, with the high bit set when there is no hash · 1 when there is a value (u8) · hash (16) · value. */
export function responseSerde<V>(values: Serde<V>): Serde<SubscriptionResponse<V>> {
  const prepare = values.prepare?.bind(values);
  return {
    name: `response of ${values.name}`,
    serialize: (response, topic) => {
      if (response === null) return null;
      const { hash, foreignValue } = response;
      const head = Buffer.from([hash === null ? 0x81 : 0x01, foreignValue === null ? 0 : 1]);
      const value = foreignValue === null ? Buffer.alloc(0) : bytesOf(values, foreignValue, topic);
      return Buffer.concat([head, hash ?? Buffer.alloc(0), value]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const at = checkHead(bytes, 'a response', 2);
      const foreignValue = bytes[1] === 1 ? values.deserialize(bytes.subarray(at), topic) : null;
      return { hash: at === 2 ? null : bytes.subarray(2, at), foreignValue };
    },
    ...(prepare === undefined
      ? {}
      : {
          prepare: (bytes: Buffer) =>
            bytes[1] === 1 ? prepare(bytes.subarray(checkHead(bytes, 'a response', 2))) : undefined,
        }),
  };
}

/** Where the hash ends. */
function checkHead(bytes: Buffer, what: string, lengthMin: number): number {
  const hasHash = ((bytes[0] ?? 0) & 0x80) === 0;
  if (((bytes[0] ?? 0) & 0x7f) !== 1) throw unreadable(`${what} is of another version`);
  if (bytes.length < lengthMin + (hasHash ? hashBytes : 0)) throw unreadable(`${what} ends too early`);
  return hasHash ? 2 + hashBytes : 2;
}

function unreadable(sentence: string): StreamsError {
  return new StreamsError('RECORD_UNREADABLE', sentence);
}

/** A subscription's place in its store. `primaryKey` as a bound: before or after all of the foreign key's. */
export class SubscriptionKey<KO, K> {
  readonly foreignKey: KO;
  readonly primaryKey: { readonly key: K } | 'first' | 'last';

  constructor(foreignKey: KO, primaryKey: { readonly key: K } | 'first' | 'last') {
    this.foreignKey = foreignKey;
    this.primaryKey = primaryKey;
  }
}

/** Layout: length of the foreign key (u32) · foreign key · primary key, as in Kafka Streams. */
export function subscriptionKeySerde<KO, K>(
  foreignKeys: Serde<KO>,
  keys: Serde<K>,
): Serde<SubscriptionKey<KO, K>> {
  return {
    name: `subscription key of ${foreignKeys.name} and ${keys.name}`,
    serialize: (key, topic) => {
      if (!(key instanceof SubscriptionKey))
        throw new StreamsError('VALUE_NOT_SERIALIZABLE', 'that is no key of a subscription');
      const { foreignKey, primaryKey } = key as SubscriptionKey<KO, K>;
      const foreign = bytesOf(foreignKeys, foreignKey, topic);
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(foreign.length);
      const prefix = Buffer.concat([length, foreign]);
      if (primaryKey === 'first') return prefix;
      if (primaryKey === 'last') return prefixEnd(prefix) ?? prefix;
      return Buffer.concat([prefix, bytesOf(keys, primaryKey.key, topic)]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const end = 4 + bytes.readUInt32BE();
      const foreignKey = foreignKeys.deserialize(bytes.subarray(4, end), topic) as KO;
      return new SubscriptionKey(foreignKey, { key: keys.deserialize(bytes.subarray(end), topic) as K });
    },
  };
}
