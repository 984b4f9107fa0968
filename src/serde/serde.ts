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

function refused(sentence: string): StreamsError {
  return new StreamsError('VALUE_NOT_SERIALIZABLE', sentence);
}

/** Half a character has no bytes in UTF-8; Java writes a question mark for it, where Node would write U+FFFD. */
function encodable(text: string): string {
  return text.isWellFormed() ? text : text.replace(/\p{Surrogate}/gu, '?');
}

export const stringSerde: Serde<string> = {
  name: 'string',
  serialize: (value) => (value === null ? null : Buffer.from(encodable(value), 'utf8')),
  deserialize: (bytes) => (bytes === null ? null : bytes.toString('utf8')),
};

export const bytesSerde: Serde<Buffer> = {
  name: 'bytes',
  serialize: (value) => value,
  deserialize: (bytes) => bytes,
};

/** Without the check a fraction would lose its end, silently. */
function wholeNumber(value: number, bits: 16 | 32): number {
  const limit = 2 ** (bits - 1);
  if (Number.isInteger(value) && value >= -limit && value < limit) return value;
  throw refused(`${value} is not a whole number of ${bits} bits`);
}

/** 16-bit signed, big-endian, as Kafka's ShortSerializer. */
export const shortSerde: Serde<number> = {
  name: 'short',
  serialize: (value) => {
    if (value === null) return null;
    const bytes = Buffer.allocUnsafe(2);
    bytes.writeInt16BE(wholeNumber(value, 16));
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 2, 'a short').readInt16BE()),
};

/** 32-bit signed, big-endian, as Kafka's IntegerSerializer. */
export const integerSerde: Serde<number> = {
  name: 'integer',
  serialize: (value) => {
    if (value === null) return null;
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32BE(wholeNumber(value, 32));
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 4, 'an integer').readInt32BE()),
};

/** 64-bit signed, big-endian, as Kafka's LongSerializer. Beyond 2^53 refused: a number would lie (see bigintSerde). */
export const longSerde: Serde<number> = {
  name: 'long',
  serialize: (value) => {
    if (value === null) return null;
    if (!Number.isSafeInteger(value)) throw refused(`${value} is not a safe integer`);
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

/** All of Java's longs: 64-bit signed, big-endian, as Kafka's LongSerializer. */
export const bigintSerde: Serde<bigint> = {
  name: 'bigint',
  serialize: (value) => {
    if (value === null) return null;
    if (BigInt.asIntN(64, value) !== value) throw refused(`${value} is not a whole number of 64 bits`);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigInt64BE(value);
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 8, 'a long').readBigInt64BE()),
};

// Keys of NaN must be one key. The bits of a computed NaN are the processor's, so they are not taken over.
const floatNaN = Buffer.from('7fc00000', 'hex');
const doubleNaN = Buffer.from('7ff8000000000000', 'hex');

/** 32-bit IEEE 754, big-endian, as Kafka's FloatSerializer. Rounds, as Java does where a double becomes a float. */
export const floatSerde: Serde<number> = {
  name: 'float',
  serialize: (value) => {
    if (value === null) return null;
    if (Number.isNaN(value)) return Buffer.from(floatNaN);
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeFloatBE(value);
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 4, 'a float').readFloatBE()),
};

/** 64-bit IEEE 754, big-endian, as Kafka's DoubleSerializer. */
export const doubleSerde: Serde<number> = {
  name: 'double',
  serialize: (value) => {
    if (value === null) return null;
    if (Number.isNaN(value)) return Buffer.from(doubleNaN);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleBE(value);
    return bytes;
  },
  deserialize: (bytes) => (bytes === null ? null : sized(bytes, 8, 'a double').readDoubleBE()),
};

/** One byte, 1 or 0, as Kafka's BooleanSerializer. */
export const booleanSerde: Serde<boolean> = {
  name: 'boolean',
  serialize: (value) => (value === null ? null : Buffer.from([value ? 1 : 0])),
  deserialize: (bytes) => {
    if (bytes === null) return null;
    const byte = sized(bytes, 1, 'a boolean')[0];
    if (byte === 0 || byte === 1) return byte === 1;
    throw new StreamsError('RECORD_UNREADABLE', `a boolean is 0 or 1, not ${byte}`);
  },
};

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A UUID as text, in lower case, as Kafka's UUIDSerializer writes it. */
export const uuidSerde: Serde<string> = {
  name: 'uuid',
  serialize: (value) => {
    if (value === null) return null;
    if (!uuidPattern.test(value)) throw refused(`${JSON.stringify(value)} is not a UUID`);
    return Buffer.from(value.toLowerCase(), 'latin1');
  },
  deserialize: (bytes) => {
    if (bytes === null) return null;
    const text = bytes.toString('latin1');
    if (uuidPattern.test(text)) return text.toLowerCase();
    throw new StreamsError('RECORD_UNREADABLE', `${JSON.stringify(text.slice(0, 60))} is not a UUID`);
  },
};

/** No bytes at all, as Kafka's VoidSerializer: for keys or values that are always null. */
export const voidSerde: Serde<never> = {
  name: 'void',
  serialize: () => null,
  deserialize: (bytes) => {
    if (bytes === null) return null;
    throw new StreamsError('RECORD_UNREADABLE', `${bytes.length} bytes where nothing should be`);
  },
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
