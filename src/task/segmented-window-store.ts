/**
 * The window store of a join of streams: values are written once and found over a narrow span of time, so rows lie
 * by time first, in segments as long as half the retention. A read touches the few segments that its span meets;
 * what has expired is one range, and needs no index beside the rows.
 *
 * Row layout: segment (8) · key length (u32) · key · timestamp (8) · sequence (8).
 */
import { must } from '../base/assert.ts';
import { mapKey, prefixEnd, readSortableInteger, sortableInteger } from '../base/bytes.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { Prefetch, WindowKey, WindowStore } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations } from '../store/generations.ts';
import { endKey, type LoadRequest, type RangeRequest, type TaskState } from '../store/task-state.ts';
import { Expiry } from './expiry.ts';
import { requireRecordFits } from './record-size.ts';
import { requireTime, type StoreServices } from './timed-rows.ts';
import { keyBytes, StateMiss, type TaskStore } from './typed-stores.ts';
import { type FoundRow, type SoughtKeys, WindowReads } from './window-reads.ts';
import { type Sequence, soughtKeys } from './windowed-stores.ts';

/** Kafka Streams' shortest segment. */
const segmentMsMin = 60_000;
/** A longer span of one key is found by reading all segments in one go. */
const segmentsMax = 64;
const lengthAt = 8;
const keyAt = 12;

export class SegmentedWindowStore<K, V> extends WindowReads<K, V> implements WindowStore<K, V>, TaskStore {
  readonly name: string;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #segmentMs: number;
  readonly #duplicates: boolean;
  readonly #services: StoreServices;
  readonly #sequence: Sequence;
  readonly #expiry: Expiry;

  constructor(spec: StoreSpec, state: TaskState, services: StoreServices, sequence: Sequence) {
    super();
    this.name = spec.name;
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
    const retentionMs = must(spec.retentionMs, `window store ${spec.name} has no retention`);
    this.#segmentMs = Math.max(Math.floor(retentionMs / 2), segmentMsMin);
    this.#duplicates = spec.retainDuplicates ?? false;
    this.#services = services;
    this.#sequence = sequence;
    this.#expiry = new Expiry({
      store: spec.name,
      retentionMs,
      stepMs: this.#segmentMs,
      generations: this.#generations,
      clocks: services.clocks,
      bounds: (fromMs, endMs) => ({
        from: sortableInteger(this.#segmentOf(fromMs)),
        to: sortableInteger(this.#segmentOf(endMs)),
      }),
      timeOf: (row) => readSortableInteger(row) * this.#segmentMs,
      remove: (row) => this.#generations.write(mapKey(row), null, undefined, row),
    });
  }

  put(key: K, value: V | null, timestampMs: number): void {
    requireTime(this.name, timestampMs);
    if (value === null && this.#duplicates) return;
    if (!this.#expiry.observe(timestampMs)) {
      this.#services.expired(this.name, timestampMs);
      return;
    }
    const bytes = Buffer.concat([
      this.#prefix(this.#segmentOf(timestampMs), keyBytes(this.#keys, key, this.name)),
      sortableInteger(timestampMs),
      sortableInteger(this.#duplicates ? this.#sequence.next() : 0),
    ]);
    const valueBytes = this.#values.serialize(value, this.name);
    requireRecordFits({ store: this.name }, bytes, valueBytes);
    this.#generations.write(mapKey(bytes), valueBytes, value ?? undefined, bytes);
  }

  protected override find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[] {
    const bytes = (key: K | null): Buffer | undefined =>
      key === null ? undefined : keyBytes(this.#keys, key, this.name);
    const [low, high] =
      'key' in keys ? [bytes(keys.key), bytes(keys.key)] : [bytes(keys.from), bytes(keys.to)];
    const { hiddenMs } = this.#expiry;
    const found: { bytes: Buffer; row: FoundRow<K, V> }[] = [];
    for (const request of this.#spans(keys, fromMs, toMs)) {
      const entries = this.#generations.readRange(mapKey(request.from), endKey(request.to));
      if (entries === undefined) throw new StateMiss(request);
      for (const [mapped, entry] of entries) {
        const row = Buffer.from(mapped, 'latin1');
        const keyEnd = keyAt + row.readUInt32BE(lengthAt);
        const own = row.subarray(keyAt, keyEnd);
        const timeMs = readSortableInteger(row, keyEnd);
        if (timeMs < fromMs || timeMs > toMs || timeMs <= hiddenMs) continue;
        if (low !== undefined && Buffer.compare(own, low) < 0) continue;
        if (high !== undefined && Buffer.compare(own, high) > 0) continue;
        if (entry.decoded === undefined) entry.decoded = this.#values.deserialize(entry.bytes, this.name);
        const key = 'key' in keys ? keys.key : (this.#keys.deserialize(Buffer.from(own), this.name) as K);
        found.push({ bytes: own, row: { key, timeMs, startMs: timeMs, value: entry.decoded as V } });
      }
    }
    // Segments follow each other, and the rows of a key in each are in order.
    if (!('key' in keys)) found.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    return found.map(({ row }) => row);
  }

  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) {
      const { key, timestampMs } = read.key as WindowKey<K>;
      return this.#spans({ key }, timestampMs, timestampMs);
    }
    if (!('from' in read)) return [];
    const from = read.from as WindowKey<K>;
    const to = read.to as WindowKey<K>;
    return this.#spans(soughtKeys(from, to), from.timestampMs, to.timestampMs);
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  upkeep(): LoadRequest[] {
    return this.#expiry.upkeep();
  }

  #segmentOf(timeMs: number): number {
    return Math.floor(Math.min(timeMs, Number.MAX_SAFE_INTEGER) / this.#segmentMs);
  }

  #prefix(segment: number, key: Buffer): Buffer {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(key.length);
    return Buffer.concat([sortableInteger(segment), length, key]);
  }

  #spans(keys: SoughtKeys<K>, fromMs: number, toMs: number): RangeRequest[] {
    if (toMs < 0 || toMs < fromMs) return [];
    const first = this.#segmentOf(Math.max(0, fromMs));
    const last = this.#segmentOf(toMs);
    if (!('key' in keys) || last - first >= segmentsMax)
      return [{ store: this.name, from: sortableInteger(first), to: sortableInteger(last + 1) }];
    const bytes = keyBytes(this.#keys, keys.key, this.name);
    return Array.from({ length: last - first + 1 }, (_, index): RangeRequest => {
      const prefix = this.#prefix(first + index, bytes);
      const end = must(prefixEnd(Buffer.concat([prefix, sortableInteger(toMs)])), 'a time has an end');
      return {
        store: this.name,
        from: Buffer.concat([prefix, sortableInteger(Math.max(0, fromMs))]),
        to: end,
      };
    });
  }
}
