/**
 * Stores as processors see them: typed values over the bytes of a task's state. Reads are synchronous;
 * what is not in memory is reported by throwing `StateMiss`, and the task decides whether that is a slow
 * path (an operator of ours: load, then process the record again) or an error (a hand-written processor
 * that did not declare the read).
 */
import { fromMapKey, mapKey, prefixEnd } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { KeyValueStore, Prefetch, PrefixSerializer } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations, StateEntry } from '../store/generations.ts';
import { endKey, type LoadRequest, type RangeRequest, type TaskState } from '../store/task-state.ts';
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
  /** What the store wants in memory for work of its own, at the start of a round. */
  upkeep?(): LoadRequest[];
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

const emptyKey = Buffer.alloc(0);

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

  put(key: K, value: V | null): void {
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

  putAll(entries: Iterable<readonly [K, V | null]>): void {
    for (const [key, value] of entries) this.put(key, value);
  }

  delete(key: K): V | undefined {
    const earlier = this.get(key);
    const { bytes, mapped } = this.#known(key);
    this.#generations.write(mapped, null, undefined, bytes);
    return earlier;
  }

  range(from: K | null, to: K | null): Iterable<readonly [K, V]> {
    return this.#listed(this.#entries(this.#bounds(from, to)));
  }

  reverseRange(from: K | null, to: K | null): Iterable<readonly [K, V]> {
    return this.#listed(this.#entries(this.#bounds(from, to)).reverse());
  }

  all(): Iterable<readonly [K, V]> {
    return this.range(null, null);
  }

  reverseAll(): Iterable<readonly [K, V]> {
    return this.reverseRange(null, null);
  }

  prefixScan<P>(prefix: P, prefixSerializer: PrefixSerializer<P>): Iterable<readonly [K, V]> {
    return this.#listed(this.#entries(this.#prefixed(prefix, prefixSerializer)));
  }

  approximateNumEntries(): number {
    return this.#entries(this.#bounds(null, null)).length;
  }

  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return this.requestsForKey(read.key);
    if ('prefix' in read) return [this.#prefixed(read.prefix, read.prefixSerializer)];
    return [this.#bounds(read.from as K | null, read.to as K | null)];
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
  #bounds(from: K | null, to: K | null): RangeRequest {
    return {
      store: this.name,
      from: from === null ? emptyKey : keyBytes(this.#keys, from, this.name),
      to: to === null ? undefined : Buffer.concat([keyBytes(this.#keys, to, this.name), Buffer.from([0])]),
    };
  }

  #prefixed<P>(prefix: P, serializer: PrefixSerializer<P>): RangeRequest {
    const from = serializer.serialize(prefix, this.name) ?? emptyKey;
    return { store: this.name, from, to: prefixEnd(from) };
  }

  /** What is there now, in order. */
  #entries(request: RangeRequest): [string, StateEntry][] {
    const [from, to] = [mapKey(request.from), endKey(request.to)];
    // Bounds the wrong way round hold nothing.
    if (from >= to) return [];
    const entries = this.#generations.readRange(from, to);
    if (entries === undefined) throw new StateMiss(request);
    return entries;
  }

  /** Decodes one after the other, for not everybody reads to the end. */
  #listed(entries: readonly (readonly [string, StateEntry])[]): Iterable<readonly [K, V]> {
    const read = ([key, entry]: readonly [string, StateEntry]): readonly [K, V] => [
      this.#keys.deserialize(fromMapKey(key), this.name) as K,
      this.#decode(entry) as V,
    ];
    return {
      *[Symbol.iterator]() {
        for (const entry of entries) yield read(entry);
      },
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
