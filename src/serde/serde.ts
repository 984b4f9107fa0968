/**
 * Values to bytes and back. Primitive serdes are byte-equal with Kafka's Java serializers, so that records
 * of Java and Node estates are exchangeable. The Avro serde is in avro-serde.ts.
 */
import { StreamsError } from '../base/errors.ts';

export interface Serde<T> {
  readonly name: string;
  /** Null in, null out. Errors: VALUE_NOT_SERIALIZABLE, naming the field. */
  serialize(value: T | null, topic: string): Buffer | null;
  /** Null in, null out. Errors of kind `poison`: RECORD_UNREADABLE, RECORD_NOT_AVRO, SCHEMA_UNKNOWN, … */
  deserialize(bytes: Buffer | null, topic: string): T | null;
  /**
   * Before records are deserialized: undefined when everything needed is at hand, else a promise to wait
   * for (a schema to be fetched). Never on the hot path: an id is fetched once.
   * Errors (of the promise): REGISTRY_UNAVAILABLE = try again later; nothing else, a schema that does not
   * exist is remembered and `deserialize` then throws SCHEMA_UNKNOWN.
   */
  prepare?(bytes: Buffer): Promise<void> | undefined;
}

function sized(bytes: Buffer, size: number, name: string): Buffer {
  if (bytes.length === size) return bytes;
  throw new StreamsError('RECORD_UNREADABLE', `${name} needs ${size} bytes, there are ${bytes.length}`);
}

export const stringSerde: Serde<string> = {
  name: 'string',
  serialize: (value) => (value === null ? null : Buffer.from(value, 'utf8')),
  deserialize: (bytes) => (bytes === null ? null : bytes.toString('utf8')),
};

export const bytesSerde: Serde<Buffer> = {
  name: 'bytes',
  serialize: (value) => value,
  deserialize: (bytes) => bytes,
};

/** 32-bit signed, big-endian, as Kafka's IntegerSerializer. */
export const integerSerde: Serde<number> = {
  name: 'integer',
  serialize: (value) => {
    if (value === null) return null;
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32BE(value);
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 4, 'an integer').readInt32BE()),
};

/** 64-bit signed, big-endian, as Kafka's LongSerializer. Beyond 2^53 refused: a number would lie. */
export const longSerde: Serde<number> = {
  name: 'long',
  serialize: (value) => {
    if (value === null) return null;
    if (!Number.isSafeInteger(value))
      throw new StreamsError('VALUE_NOT_SERIALIZABLE', `${value} is not a safe integer`);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigInt64BE(BigInt(value));
    return bytes;
  },
  deserialize: (bytes) => {
    if (bytes === null) return null;
    const value = Number(sized(bytes, 8, 'a long').readBigInt64BE());
    if (!Number.isSafeInteger(value)) throw new StreamsError('RECORD_UNREADABLE', 'a long beyond 2^53');
    return value;
  },
};

/** 64-bit IEEE 754, big-endian, as Kafka's DoubleSerializer. */
export const doubleSerde: Serde<number> = {
  name: 'double',
  serialize: (value) => {
    if (value === null) return null;
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleBE(value);
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 8, 'a double').readDoubleBE()),
};

/**
 * JSON text. For examples and small tools; the shop uses Avro.
 *
 * @example
 * ```ts
 * import { jsonSerde } from 'millrace';
 *
 * const orders = jsonSerde<{ readonly total: number }>();
 * const bytes = orders.serialize({ total: 30 }, 'orders');
 * console.log(bytes?.toString(), orders.deserialize(bytes, 'orders')?.total);
 * // prints: {"total":30} 30
 * ```
 */
export function jsonSerde<T>(): Serde<T> {
  return {
    name: 'json',
    serialize: (value) => (value === null ? null : Buffer.from(JSON.stringify(value), 'utf8')),
    deserialize: (bytes) => {
      if (bytes === null) return null;
      try {
        return JSON.parse(bytes.toString('utf8')) as T;
      } catch (error) {
        throw new StreamsError('RECORD_UNREADABLE', 'the bytes are not JSON', { cause: error });
      }
    },
  };
}
