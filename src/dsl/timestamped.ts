/**
 * Tables store each value with its timestamp, in the layout of Kafka Streams' timestamped store: eight
 * bytes of milliseconds, big-endian, then the value. `TableStore` is how table operators read and write one.
 */
import { StreamsError } from '../base/errors.ts';
import type {
  KeyValueStore,
  ProcessorContext,
  StateStore,
  VersionedKeyValueStore,
} from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';

/** Shape: what a table's store holds. `timestamp` in milliseconds since the epoch. */
export interface ValueAndTimestamp<V> {
  readonly value: V;
  readonly timestamp: number;
}

export function timestampedSerde<V>(inner: Serde<V>): Serde<ValueAndTimestamp<V>> {
  const prepare = inner.prepare?.bind(inner);
  return {
    name: `timestamped ${inner.name}`,
    serialize: (stored, topic) => {
      if (stored === null) return null;
      const value = inner.serialize(stored.value, topic);
      if (value === null)
        throw new StreamsError(
          'VALUE_NOT_SERIALIZABLE',
          `serde ${inner.name} made nothing of a table's value`,
        );
      const bytes = Buffer.allocUnsafe(8 + value.length);
      bytes.writeBigInt64BE(BigInt(stored.timestamp), 0);
      value.copy(bytes, 8);
      return bytes;
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      if (bytes.length < 8)
        throw new StreamsError(
          'RECORD_UNREADABLE',
          `a timestamped value needs 8 bytes, there are ${bytes.length}`,
        );
      const value = inner.deserialize(bytes.subarray(8), topic);
      return value === null ? null : { value, timestamp: Number(bytes.readBigInt64BE(0)) };
    },
    ...(prepare === undefined ? {} : { prepare: (bytes: Buffer) => prepare(bytes.subarray(8)) }),
  };
}

/** What a put into a table's store came to; only a versioned one can say anything but `latest`. */
export type TablePut = 'latest' | 'out-of-order' | 'expired';

/** A table's store, typed; created in a processor's `init`. Versioned or not, it is used in the same way. */
export class TableStore<K, V> {
  readonly #plain: KeyValueStore<K, ValueAndTimestamp<V> | null> | undefined;
  readonly #versioned: VersionedKeyValueStore<K, V> | undefined;

  constructor(context: ProcessorContext<never, never>, name: string) {
    const store = context.getStateStore<StateStore>(name);
    if ('historyRetentionMs' in store) this.#versioned = store as VersionedKeyValueStore<K, V>;
    else this.#plain = store as KeyValueStore<K, ValueAndTimestamp<V> | null>;
  }

  /** The row that the key has now or, in a versioned store, that it had at `asOfMs`. */
  get(key: K, asOfMs?: number): ValueAndTimestamp<V> | undefined {
    if (this.#versioned !== undefined) return this.#versioned.get(key, asOfMs);
    return this.#plain?.get(key) ?? undefined;
  }

  /** A null value deletes. What is `expired` was not stored, and nobody below may hear of it. */
  put(key: K, value: V | null, timestamp: number): TablePut {
    if (this.#versioned !== undefined) {
      const put = this.#versioned.put(key, value, timestamp);
      return typeof put === 'number' ? 'out-of-order' : put;
    }
    // Not `delete`, which returns the earlier value and so would have to read it.
    this.#plain?.put(key, value === null ? null : { value, timestamp });
    return 'latest';
  }
}
