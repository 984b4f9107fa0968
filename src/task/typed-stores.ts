/**
 * Stores as processors see them: typed values over the bytes of a task's state. Reads are synchronous;
 * what is not in memory is reported by throwing `StateMiss`, and the task decides whether that is a slow
 * path (an operator of ours: load, then process the record again) or an error (a hand-written processor
 * that did not declare the read).
 */
import { must } from '../base/assert.ts';
import { mapKey, prefixEnd, readSortableInteger, sortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { KeyValueStore, Prefetch, WindowStore } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations, StateEntry } from '../store/generations.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import { deepFreeze } from './freeze.ts';
import { requireRecordFits } from './record-size.ts';

/** Thrown by a read of something that is not in memory. Never leaves the task. */
export class StateMiss extends Error {
  readonly store: string;
  readonly requests: readonly LoadRequest[];

  /** `more`: what the same read lacks besides, so that it is loaded in one go. */
  constructor(request: LoadRequest, more: readonly LoadRequest[] = []) {
    super(`state of store ${request.store} is not loaded`);
    this.name = 'StateMiss';
    this.store = request.store;
    this.requests = [request, ...more];
  }
}

/** What the task needs of a store besides what processors see. */
export interface TaskStore {
  readonly name: string;
  /** What has to be loaded for this declared read. */
  requests(read: Prefetch): LoadRequest[];
  /** What has to be loaded for a key of the store's own key type; empty when it is no such key. */
  requestsForKey(key: unknown): LoadRequest[];
}

export function keyBytes<K>(serde: Serde<K>, key: K, store: string): Buffer {
  const bytes = serde.serialize(key, store);
  if (bytes === null)
    throw new StreamsError('VALUE_NOT_SERIALIZABLE', 'a store key cannot be null', { context: { store } });
  return bytes;
}

/** The entries of the keys. Errors: one StateMiss for all that are not in memory. */
export function readMany(store: string, generations: Generations, keys: readonly Buffer[]): StateEntry[] {
  const missing: LoadRequest[] = [];
  const found: StateEntry[] = [];
  for (const key of keys) {
    const entry = generations.read(mapKey(key));
    if (entry === undefined) missing.push({ store, key });
    else found.push(entry);
  }
  const [first, ...more] = missing;
  if (first !== undefined) throw new StateMiss(first, more);
  return found;
}

interface KnownKey {
  readonly key: unknown;
  readonly bytes: Buffer;
  /** `mapKey(bytes)`. */
  readonly mapped: string;
}

export class TypedKeyValueStore<K, V> implements KeyValueStore<K, V>, TaskStore {
  readonly name: string;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #kept: (value: unknown) => void;
  #last: KnownKey | undefined;

  /** `frozen`: values that go in or come out cannot be changed afterwards; for tests. */
  constructor(spec: StoreSpec, state: Pick<TaskState, 'generations'>, frozen = false) {
    this.#kept = frozen ? deepFreeze : () => {};
    this.name = spec.name;
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
  }

  get(key: K): V | undefined {
    const { bytes, mapped } = this.#known(key);
    const entry = this.#generations.read(mapped);
    if (entry === undefined) throw new StateMiss({ store: this.name, key: bytes });
    return this.#decode(entry);
  }

  getMany(keys: readonly K[]): readonly (V | undefined)[] {
    const all = keys.map((key) => keyBytes(this.#keys, key, this.name));
    return readMany(this.name, this.#generations, all).map((entry) => this.#decode(entry));
  }

  put(key: K, value: V): void {
    const { bytes, mapped } = this.#known(key);
    const valueBytes = this.#values.serialize(value, this.name);
    requireRecordFits({ store: this.name }, bytes, valueBytes);
    this.#kept(value);
    this.#generations.write(mapped, valueBytes, value, bytes);
  }

  putIfAbsent(key: K, value: V): V | undefined {
    const earlier = this.get(key);
    if (earlier === undefined) this.put(key, value);
    return earlier;
  }

  delete(key: K): V | undefined {
    const earlier = this.get(key);
    const { bytes, mapped } = this.#known(key);
    this.#generations.write(mapped, null, undefined, bytes);
    return earlier;
  }

  *range(from: K, to: K): Iterable<readonly [K, V]> {
    const bounds = this.#bounds(from, to);
    const entries = this.#generations.readRange(mapKey(bounds.from), mapKey(bounds.to));
    if (entries === undefined) throw new StateMiss({ store: this.name, ...bounds });
    for (const [key, entry] of entries) {
      const decoded = this.#keys.deserialize(Buffer.from(key, 'latin1'), this.name);
      yield [decoded as K, this.#decode(entry) as V];
    }
  }

  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return this.requestsForKey(read.key);
    return [{ store: this.name, ...this.#bounds(read.from as K, read.to as K) }];
  }

  requestsForKey(key: unknown): LoadRequest[] {
    if (key === null || key === undefined) return [];
    const { bytes, mapped } = this.#known(key as K);
    return [{ store: this.name, key: bytes, mapped }];
  }

  /** A key's bytes; kept for the last key, because a read and a write of one key follow each other. */
  #known(key: K): KnownKey {
    const last = this.#last;
    if (last !== undefined && last.key === key) return last;
    const bytes = keyBytes(this.#keys, key, this.name);
    const known = { key, bytes, mapped: mapKey(bytes) };
    // Anything but text could be changed by its owner and still be the same.
    if (typeof key === 'string') this.#last = known;
    return known;
  }

  /** `to` is inclusive for users and exclusive below. */
  #bounds(from: K, to: K): { from: Buffer; to: Buffer } {
    return {
      from: keyBytes(this.#keys, from, this.name),
      to: Buffer.concat([keyBytes(this.#keys, to, this.name), Buffer.from([0])]),
    };
  }

  #decode(entry: StateEntry): V | undefined {
    if (entry.bytes === null) return undefined;
    if (entry.decoded === undefined) {
      entry.decoded = this.#values.deserialize(entry.bytes, this.name);
      this.#kept(entry.decoded);
    }
    return entry.decoded as V;
  }
}

/** A counter that survives restarts with the task (duplicates of one key and time need distinct keys). */
export interface Sequence {
  next(): number;
}

/** Retention is two segments; a fetch over far more would walk through empty ones for ever. */
const segmentsMax = 10_000;

/**
 * Key layout: segment (8) · key length (u32) · key · timestamp (8) · sequence (8). The segment first, so that
 * what has expired is one range; a read touches the few segments that its time span meets.
 */
export class TypedWindowStore<K, V> implements WindowStore<K, V>, TaskStore {
  readonly name: string;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #segmentMs: number;
  readonly #duplicates: boolean;
  readonly #sequence: Sequence;

  constructor(spec: StoreSpec, state: TaskState, sequence: Sequence) {
    this.name = spec.name;
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
    const retentionMs = must(spec.retentionMs, `window store ${spec.name} has no retention`);
    // Kafka Streams' rule: half of the retention, but no segment below a minute.
    this.#segmentMs = Math.max(Math.floor(retentionMs / 2), 60_000);
    this.#duplicates = spec.retainDuplicates ?? false;
    this.#sequence = sequence;
  }

  put(key: K, value: V, timestampMs: number): void {
    const sequence = this.#duplicates ? this.#sequence.next() : 0;
    const bytes = Buffer.concat([
      this.#prefix(Math.floor(timestampMs / this.#segmentMs), keyBytes(this.#keys, key, this.name)),
      sortableInteger(timestampMs),
      sortableInteger(sequence),
    ]);
    const valueBytes = this.#values.serialize(value, this.name);
    requireRecordFits({ store: this.name }, bytes, valueBytes);
    this.#generations.write(mapKey(bytes), valueBytes, value);
  }

  *fetch(key: K, fromMs: number, toMs: number): Iterable<readonly [number, V]> {
    for (const request of this.#spans(key, fromMs, toMs)) {
      const entries = this.#generations.readRange(mapKey(request.from), mapKey(request.to));
      if (entries === undefined) throw new StateMiss(request);
      for (const [entryKey, entry] of entries) {
        const bytes = Buffer.from(entryKey, 'latin1');
        if (entry.decoded === undefined) entry.decoded = this.#values.deserialize(entry.bytes, this.name);
        yield [readSortableInteger(bytes, bytes.length - 16), entry.decoded as V];
      }
    }
  }

  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return [];
    const { key, timestampMs: fromMs } = read.from as { key: K; timestampMs: number };
    return this.#spans(key, fromMs, (read.to as { timestampMs: number }).timestampMs);
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  #prefix(segment: number, key: Buffer): Buffer {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(key.length);
    return Buffer.concat([sortableInteger(segment), length, key]);
  }

  #spans(key: K, fromMs: number, toMs: number): { store: string; from: Buffer; to: Buffer }[] {
    const bytes = keyBytes(this.#keys, key, this.name);
    const spans: { store: string; from: Buffer; to: Buffer }[] = [];
    const first = Math.floor(Math.max(0, fromMs) / this.#segmentMs);
    const last = Math.floor(toMs / this.#segmentMs);
    if (!(last - first < segmentsMax)) {
      throw new StreamsError('PROCESSING_FAILED', 'a fetch spans more time than a window store can hold', {
        context: { store: this.name, fromMs, toMs },
        hint: 'name the bounds of the window, not of all time',
      });
    }
    for (let segment = first; segment <= last; segment++) {
      const prefix = this.#prefix(segment, bytes);
      const end = must(prefixEnd(Buffer.concat([prefix, sortableInteger(toMs)])), 'a time has an end');
      spans.push({
        store: this.name,
        from: Buffer.concat([prefix, sortableInteger(Math.max(0, fromMs))]),
        to: end,
      });
    }
    return spans;
  }
}
