/**
 * What `suppress` holds back, in one key-value store:
 *
 *   one clock row    the largest timestamp that came, how many rows and bytes wait, where they lie in time
 *   entries          by key: the latest change, and what the table showed before the first one
 *   order rows       by the time that an entry waits from, then by key bytes
 *
 * All of it is state: after a crash or an abort nothing that was held back is lost, or comes out twice. Pure
 * but for the store it is given.
 */
import { readSortableInteger, sortableInteger } from '../../base/bytes.ts';
import { StreamsError } from '../../base/errors.ts';
import type { Header, Headers } from '../../base/record.ts';
import type { KeyValueStore, ProcessorContext } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import { noMarks, stretchEndMs, type TimeMarks, withMark, withoutBelow } from './time-marks.ts';

/** Units: `timeMs`, milliseconds since the epoch; -1 before the first record. */
export interface BufferClock {
  readonly timeMs: number;
  readonly records: number;
  readonly bytes: number;
  readonly waiting: TimeMarks;
}

const freshClock: BufferClock = { timeMs: -1, records: 0, bytes: 0, waiting: noMarks };

/** A row that is held back. */
export interface Held<V> {
  /** Waits from this time on. */
  readonly bufferMs: number;
  /** Of the latest change. */
  readonly timestamp: number;
  readonly headers: Headers;
  readonly newValue: V | null;
  /** What the table showed, and still shows, to others. */
  readonly priorValue: V | null;
  /** Of key and values; 0 where no limit asks. */
  readonly bytes: number;
}

/** A key of the store that is not just a row's key: the clock, or a place in the order of waiting. */
export class BufferKey<K> {
  readonly order: { readonly bufferMs: number; readonly key: K | undefined } | undefined;

  /** Without `order` the clock; without its key a bound, before all rows of its time. */
  constructor(order?: { readonly bufferMs: number; readonly key: K | undefined }) {
    this.order = order;
  }
}

const clockTag = Buffer.from([0]);
const entryTag = Buffer.from([1]);
const orderTag = Buffer.from([2]);

/** Layout: 0 is the clock; 1 · key an entry; 2 · time (8) · key a place in the order. */
export function bufferKeySerde<K>(keys: Serde<K>): Serde<K | BufferKey<K>> {
  const keyBytes = (key: K, topic: string): Buffer => {
    const bytes = keys.serialize(key, topic);
    if (bytes !== null) return bytes;
    throw new StreamsError('VALUE_NOT_SERIALIZABLE', `serde ${keys.name} made nothing of a key`);
  };
  return {
    name: `buffer of ${keys.name}`,
    serialize: (key, topic) => {
      if (key === null) return null;
      if (!(key instanceof BufferKey)) return Buffer.concat([entryTag, keyBytes(key, topic)]);
      if (key.order === undefined) return clockTag;
      const head = [orderTag, sortableInteger(key.order.bufferMs)];
      return Buffer.concat(
        key.order.key === undefined ? head : [...head, keyBytes(key.order.key as K, topic)],
      );
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      if (bytes[0] === 0) return new BufferKey<K>();
      if (bytes[0] === 1) return keys.deserialize(bytes.subarray(1), topic);
      const key = keys.deserialize(bytes.subarray(9), topic) ?? undefined;
      return new BufferKey<K>({ bufferMs: readSortableInteger(bytes, 1), key });
    },
  };
}

export type BufferRow<V> =
  | { readonly kind: 'clock'; readonly clock: BufferClock }
  | { readonly kind: 'entry'; readonly held: Held<V> }
  | { readonly kind: 'order' };

/** Layout: a tag (clock 0, entry 1, order 2), then numbers (8 each); of an entry also headers and two values, each part after its length (u32, all ones = absent). */
export function bufferRowSerde<V>(values: Serde<V>): Serde<BufferRow<V>> {
  return {
    name: `buffer of ${values.name}`,
    serialize: (row, topic) => {
      if (row === null) return null;
      if (row.kind === 'order') return orderTag;
      if (row.kind === 'clock') {
        const { timeMs, records, bytes, waiting } = row.clock;
        const numbers = [timeMs, records, bytes, waiting.stretchMs, ...waiting.firstMs];
        return Buffer.concat([clockTag, ...numbers.map(sortableInteger)]);
      }
      const { bufferMs, timestamp, headers, newValue, priorValue, bytes } = row.held;
      return Buffer.concat([
        entryTag,
        ...[bufferMs, timestamp, bytes, headers.length].map(sortableInteger),
        ...headers.flatMap(({ key, value }) => [...part(Buffer.from(key)), ...part(value)]),
        ...part(values.serialize(newValue, topic)),
        ...part(values.serialize(priorValue, topic)),
      ]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      if (bytes[0] === 2) return { kind: 'order' };
      if (bytes[0] === 0) return { kind: 'clock', clock: readClock(bytes) };
      return { kind: 'entry', held: readEntry(values, bytes, topic) };
    },
  };
}

function readClock(bytes: Buffer): BufferClock {
  const numbers: number[] = [];
  for (let at = 1; at + 8 <= bytes.length; at += 8) numbers.push(readSortableInteger(bytes, at));
  const [timeMs = -1, records = 0, size = 0, stretchMs = 1, ...firstMs] = numbers;
  return { timeMs, records, bytes: size, waiting: { stretchMs, firstMs } };
}

function readEntry<V>(values: Serde<V>, bytes: Buffer, topic: string): Held<V> {
  const number = (index: number): number => readSortableInteger(bytes, 1 + 8 * index);
  let at = 33;
  const next = (): Buffer | null => {
    const length = bytes.readUInt32BE(at);
    at += 4;
    if (length === absent) return null;
    at += length;
    return bytes.subarray(at - length, at);
  };
  const headers: Header[] = [];
  for (let left = number(3); left > 0; left--)
    headers.push({ key: next()?.toString() ?? '', value: next() ?? Buffer.alloc(0) });
  const newValue = values.deserialize(next(), topic);
  const priorValue = values.deserialize(next(), topic);
  return { bufferMs: number(0), timestamp: number(1), bytes: number(2), headers, newValue, priorValue };
}

const absent = 0xffffffff;

function part(bytes: Buffer | null): Buffer[] {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes?.length ?? absent);
  return bytes === null ? [length] : [length, bytes];
}

/** The store, for one record: `begin`, then the rest, then `end`, which writes the clock. */
export class SuppressBuffer<K, V> {
  readonly #store: KeyValueStore<K | BufferKey<K>, BufferRow<V> | null>;
  #clock: BufferClock = freshClock;

  constructor(context: ProcessorContext<never, never>, name: string) {
    this.#store = context.getStateStore(name);
  }

  get records(): number {
    return this.#clock.records;
  }

  get bytes(): number {
    return this.#clock.bytes;
  }

  /** Moves the clock on; returns its time, the record included. */
  begin(timestampMs: number): number {
    const row = this.#store.get(new BufferKey<K>());
    const clock = row?.kind === 'clock' ? row.clock : freshClock;
    this.#clock = { ...clock, timeMs: Math.max(clock.timeMs, timestampMs) };
    return this.#clock.timeMs;
  }

  get(key: K): Held<V> | undefined {
    const row = this.#store.get(key);
    return row?.kind === 'entry' ? row.held : undefined;
  }

  /** `earlier`: the key's entry so far; its place in the order stays. */
  put(key: K, held: Held<V>, earlier: Held<V> | undefined): void {
    this.#store.put(key, { kind: 'entry', held });
    const bytes = this.#clock.bytes + held.bytes - (earlier?.bytes ?? 0);
    if (earlier !== undefined) {
      this.#clock = { ...this.#clock, bytes };
      return;
    }
    this.#store.put(new BufferKey({ bufferMs: held.bufferMs, key }), { kind: 'order' });
    const { records, waiting } = this.#clock;
    this.#clock = {
      ...this.#clock,
      bytes,
      records: records + 1,
      waiting: withMark(waiting, held.bufferMs),
    };
  }

  /** Takes out the entries that wait from before `endMs`, in order of waiting. */
  takeBefore(endMs: number): (readonly [K, Held<V>])[] {
    const firstMs = this.#clock.waiting.firstMs[0];
    if (firstMs === undefined || firstMs >= endMs) return [];
    return this.#take(firstMs, stretchEndMs(this.#clock.waiting, endMs - 1), (held) => held.bufferMs < endMs);
  }

  /** Takes out the entries that have waited longest, as long as the buffer `isOver` its limits. */
  takeWhile(isOver: () => boolean): (readonly [K, Held<V>])[] {
    const taken: (readonly [K, Held<V>])[] = [];
    while (isOver()) {
      const { waiting } = this.#clock;
      const firstMs = waiting.firstMs[0];
      if (firstMs === undefined) break;
      taken.push(...this.#take(firstMs, stretchEndMs(waiting, firstMs), isOver));
    }
    return taken;
  }

  end(): void {
    this.#store.put(new BufferKey<K>(), { kind: 'clock', clock: this.#clock });
  }

  /** Of whole stretches, so that the first of those that stay is known exactly. */
  #take(fromMs: number, toMs: number, wanted: (held: Held<V>) => boolean): (readonly [K, Held<V>])[] {
    const bounds = [fromMs, toMs].map((bufferMs) => new BufferKey<K>({ bufferMs, key: undefined }));
    const places: { readonly bufferMs: number; readonly key: K }[] = [];
    for (const [place] of this.#store.range(bounds[0] as BufferKey<K>, bounds[1] as BufferKey<K>)) {
      if (place instanceof BufferKey && place.order?.key !== undefined)
        places.push(place.order as { bufferMs: number; key: K });
    }
    const rows = this.#store.getMany(places.map(({ key }) => key));
    const taken: (readonly [K, Held<V>])[] = [];
    this.#clock = { ...this.#clock, waiting: withoutBelow(this.#clock.waiting, toMs) };
    let done = false;
    for (const [index, place] of places.entries()) {
      const row = rows[index];
      if (row?.kind !== 'entry') continue;
      done ||= !wanted(row.held);
      if (done) {
        this.#clock = { ...this.#clock, waiting: withMark(this.#clock.waiting, place.bufferMs) };
        continue;
      }
      this.#remove(place, row.held);
      taken.push([place.key, row.held]);
    }
    return taken;
  }

  #remove(place: { readonly bufferMs: number; readonly key: K }, held: Held<V>): void {
    this.#store.put(place.key, null);
    this.#store.put(new BufferKey(place), null);
    const { records, bytes } = this.#clock;
    this.#clock = { ...this.#clock, records: records - 1, bytes: bytes - held.bytes };
  }
}
