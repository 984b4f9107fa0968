/**
 * Where a stream-table join with grace keeps its stream records until their time is over: one key-value store
 * with a clock row and the records by (time, key bytes, arrival), as Kafka Streams orders them. All of it is
 * state: a crash loses nothing of it.
 */
import { readSortableInteger, sortableInteger } from '../../base/bytes.ts';
import { StreamsError } from '../../base/errors.ts';
import type { Headers } from '../../base/record.ts';
import type { KeyValueStore, ProcessorContext, Record } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import { bytesOf, escaped, unescaped } from './ordered-key.ts';

/** A key of the buffer's store. Without `of`: a bound, before all records of its time. */
class BufferKey<K> {
  readonly timestampMs: number;
  readonly of: { readonly key: K; readonly sequence: number } | undefined;

  constructor(timestampMs: number, of?: { key: K; sequence: number }) {
    this.timestampMs = timestampMs;
    this.of = of;
  }
}

/** Units: milliseconds; -1 before the first record. */
interface BufferClock {
  /** The largest time of a record that was buffered. */
  readonly observedMs: number;
  /** No buffered record is older. */
  readonly firstMs: number;
  readonly sequence: number;
  readonly count: number;
}

type BufferRow<V> =
  | { readonly kind: 'clock'; readonly clock: BufferClock }
  | { readonly kind: 'record'; readonly value: V; readonly headers: Headers };

const clockBytes = Buffer.from([0]);
const recordTag = Buffer.from([1]);

/** Layout: 1 · time (8) · key, escaped · arrival (8). Whatever is no BufferKey stands for the clock row. */
export function bufferKeySerde<K>(keys: Serde<K>): Serde<BufferKey<K> | null> {
  return {
    name: `buffered ${keys.name}`,
    serialize: (key, topic) => {
      if (!(key instanceof BufferKey)) return clockBytes;
      const time = sortableInteger(key.timestampMs);
      if (key.of === undefined) return Buffer.concat([recordTag, time]);
      const own = escaped(bytesOf(keys, key.of.key as K, topic));
      return Buffer.concat([recordTag, time, own, sortableInteger(key.of.sequence)]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null || bytes[0] !== 1) return null;
      const key = keys.deserialize(unescaped(bytes.subarray(9, bytes.length - 8)), topic);
      if (key === null) throw new StreamsError('RECORD_UNREADABLE', 'a buffered record has no key');
      const sequence = readSortableInteger(bytes, bytes.length - 8);
      return new BufferKey(readSortableInteger(bytes, 1), { key, sequence });
    },
  };
}

/** Layout: 0 · four numbers (8 each); or 1 · headers · value. */
export function bufferRowSerde<V>(values: Serde<V>): Serde<BufferRow<V>> {
  return {
    name: `buffered ${values.name}`,
    serialize: (row, topic) => {
      if (row === null) return null;
      if (row.kind === 'record')
        return Buffer.concat([recordTag, headerBytes(row.headers), bytesOf(values, row.value, topic)]);
      const { observedMs, firstMs, sequence, count } = row.clock;
      return Buffer.concat([clockBytes, ...[observedMs, firstMs, sequence, count].map(sortableInteger)]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      if (bytes[0] === 1) {
        const { headers, end } = readHeaders(bytes, 1);
        return { kind: 'record', headers, value: values.deserialize(bytes.subarray(end), topic) as V };
      }
      const [observedMs, firstMs, sequence, count] = [1, 9, 17, 25].map((at) =>
        readSortableInteger(bytes, at),
      ) as [number, number, number, number];
      return { kind: 'clock', clock: { observedMs, firstMs, sequence, count } };
    },
  };
}

/** Layout: count (u32), then for each: length (u32) · name · length (u32) · value. */
function headerBytes(headers: Headers): Buffer {
  const parts = [u32(headers.length)];
  for (const { key, value } of headers) {
    const name = Buffer.from(key);
    parts.push(u32(name.length), name, u32(value.length), value);
  }
  return Buffer.concat(parts);
}

function readHeaders(bytes: Buffer, from: number): { headers: Headers; end: number } {
  let at = from + 4;
  const take = (): Buffer => {
    const start = at + 4;
    at = start + bytes.readUInt32BE(at);
    return bytes.subarray(start, at);
  };
  const headers = [];
  for (let left = bytes.readUInt32BE(from); left > 0; left--) {
    const key = take().toString('utf8');
    headers.push({ key, value: take() });
  }
  return { headers, end: at };
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export class JoinBuffer<K, V> {
  readonly #store: KeyValueStore<BufferKey<K> | null, BufferRow<V> | null>;
  readonly #graceMs: number;

  constructor(context: ProcessorContext<never, never>, name: string, graceMs: number) {
    this.#store = context.getStateStore(name);
    this.#graceMs = graceMs;
  }

  /** False: its time is over already, so that nothing has to wait for it. */
  add({ key, value, timestamp, headers }: Record<K, V>): boolean {
    const clock = this.#clock();
    if (timestamp < clock.observedMs - this.#graceMs) return false;
    const sequence = clock.sequence + 1;
    this.#store.put(new BufferKey(timestamp, { key, sequence }), { kind: 'record', value, headers });
    this.#setClock({
      observedMs: Math.max(clock.observedMs, timestamp),
      firstMs: clock.count === 0 ? timestamp : Math.min(clock.firstMs, timestamp),
      sequence,
      count: clock.count + 1,
    });
    return true;
  }

  /** The records whose grace is over, which are no longer kept then. Order: by time, key bytes, arrival. */
  takeOver(): Record<K, V>[] {
    const clock = this.#clock();
    const overMs = clock.observedMs - this.#graceMs;
    if (clock.count === 0 || clock.firstMs > overMs) return [];
    const taken: Record<K, V>[] = [];
    const entries = this.#store.range(new BufferKey<K>(clock.firstMs), new BufferKey<K>(overMs + 1));
    for (const [key, row] of [...entries]) {
      if (key?.of === undefined || row?.kind !== 'record') continue;
      taken.push({ key: key.of.key, value: row.value, timestamp: key.timestampMs, headers: row.headers });
      this.#store.put(key, null);
    }
    this.#setClock({ ...clock, firstMs: overMs + 1, count: clock.count - taken.length });
    return taken;
  }

  #clock(): BufferClock {
    const row = this.#store.get(null);
    return row?.kind === 'clock' ? row.clock : { observedMs: -1, firstMs: -1, sequence: 0, count: 0 };
  }

  #setClock(clock: BufferClock): void {
    this.#store.put(null, { kind: 'clock', clock });
  }
}
