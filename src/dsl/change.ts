/**
 * What flows along the edges of tables: the new value and the one it replaces, so that an aggregate below
 * can take the old contribution back. The serde carries changes through the repartition topic of a
 * regrouped table.
 */
import { StreamsError } from '../base/errors.ts';
import type { Serde } from '../serde/serde.ts';

/** Null: absent. `oldValue` is only filled in when an operator below asked for it. */
export interface Change<V> {
  readonly newValue: V | null;
  readonly oldValue: V | null;
  /** The change is of a versioned table's past: its key has a later version, which is still the latest. */
  readonly outOfOrder?: true;
}

export function changeOf<V>(newValue: V | null, oldValue: V | null, isOutOfOrder: boolean): Change<V> {
  return isOutOfOrder ? { newValue, oldValue, outOfOrder: true } : { newValue, oldValue };
}

const absent = 0xffffffff;

/** Layout: length of the new value (u32, all ones = absent) · new value · old value (absent when `hasOld` is 0) · hasOld (u8). */
export function changeSerde<V>(inner: Serde<V>): Serde<Change<V>> {
  const prepare = inner.prepare?.bind(inner);
  return {
    name: `change of ${inner.name}`,
    serialize: (change, topic) => {
      if (change === null) return null;
      const newBytes = inner.serialize(change.newValue, topic);
      const oldBytes = inner.serialize(change.oldValue, topic);
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(newBytes?.length ?? absent);
      const none = Buffer.alloc(0);
      return Buffer.concat([
        length,
        newBytes ?? none,
        oldBytes ?? none,
        Buffer.from([oldBytes === null ? 0 : 1]),
      ]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const [newBytes, oldBytes] = parts(bytes);
      return { newValue: inner.deserialize(newBytes, topic), oldValue: inner.deserialize(oldBytes, topic) };
    },
    ...(prepare === undefined
      ? {}
      : {
          prepare: (bytes: Buffer) => {
            const waits = parts(bytes).map((part) => (part === null ? undefined : prepare(part)));
            return waits.some((wait) => wait !== undefined)
              ? Promise.all(waits).then(() => undefined)
              : undefined;
          },
        }),
  };
}

function parts(bytes: Buffer): [newBytes: Buffer | null, oldBytes: Buffer | null] {
  if (bytes.length < 5) throw new StreamsError('RECORD_UNREADABLE', 'a change needs at least 5 bytes');
  const length = bytes.readUInt32BE(0);
  const end = length === absent ? 4 : 4 + length;
  if (end > bytes.length - 1) throw new StreamsError('RECORD_UNREADABLE', 'a change ends too early');
  return [
    length === absent ? null : bytes.subarray(4, end),
    bytes[bytes.length - 1] === 1 ? bytes.subarray(end, bytes.length - 1) : null,
  ];
}
