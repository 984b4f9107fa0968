/** Bytes of keys that lie in time order in a store, with a key of the user's in the middle. Used by joins. */
import { StreamsError } from '../../base/errors.ts';
import type { Serde } from '../../serde/serde.ts';

const keyEnd = Buffer.from([0, 0]);

/** So that keys sort as their bytes do whatever follows them: 0 becomes 0 255, and 0 0 ends. */
export function escaped(key: Buffer): Buffer {
  if (!key.includes(0)) return Buffer.concat([key, keyEnd]);
  const bytes: number[] = [];
  for (const byte of key) bytes.push(...(byte === 0 ? [0, 255] : [byte]));
  return Buffer.concat([Buffer.from(bytes), keyEnd]);
}

/** Of what `escaped` gave, its end included. */
export function unescaped(ended: Buffer): Buffer {
  const bytes = ended.subarray(0, ended.length - keyEnd.length);
  if (!bytes.includes(0)) return bytes;
  const key: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    key.push(bytes[i] as number);
    if (bytes[i] === 0) i++;
  }
  return Buffer.from(key);
}

/** Errors: VALUE_NOT_SERIALIZABLE when the serde makes nothing of it. */
export function bytesOf<T>(serde: Serde<T>, value: T, topic: string): Buffer {
  const bytes = serde.serialize(value, topic);
  if (bytes !== null) return bytes;
  throw new StreamsError(
    'VALUE_NOT_SERIALIZABLE',
    `serde ${serde.name} made nothing of what a join has to keep`,
  );
}
