/**
 * The Processor API: what a hand-written step sees. Names are Kafka Streams'. Processors are synchronous:
 * state is loaded before a batch (see `prefetch`), so no record waits for a disk.
 *
 * Contracts:
 * - A record is atomic: when `process` throws, all its changes, outputs and timers are rolled back, and
 *   the failure policy decides (dead letter by default).
 * - Values that came from a record or a store must not be changed in place; make a new one.
 */
import type { Headers } from '../base/record.ts';

/** Shape: what flows along an edge. `timestamp` in milliseconds since the epoch. */
export interface Record<K, V> {
  readonly key: K;
  readonly value: V;
  readonly timestamp: number;
  readonly headers: Headers;
}

/** Where the record being processed came from; absent in timers and punctuators. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Which clock a timer waits for.
 * - `wall`: the wall clock, and never before the inputs that were there at its due time are read.
 * - `stream`: the largest record timestamp that this task has taken.
 * - `watermark`: a clock that a processor moves by `context.timers.advanceWatermark`, kept with the state
 *   (a replay's driver promises with it that nothing older will come).
 */
export type TimerClock = 'wall' | 'stream' | 'watermark';

/** Shape: one timer per (node, key, name); scheduling it again moves it. `dueMs`: milliseconds since the epoch. */
export interface Timer<K> {
  readonly key: K;
  readonly name: string;
  readonly dueMs: number;
  readonly clock: TimerClock;
}

/** Durable: timers live in the changelogged state, survive restarts and move with their task. */
export interface Timers<K> {
  schedule(timer: Timer<K>): void;
  /** No effect when there is none. */
  cancel(key: K, name: string): void;
  /** Moves this task's watermark forward (never back). Timers that are due fire after the record. */
  advanceWatermark(toMs: number): void;
}

export type PunctuationType = 'stream-time' | 'wall-clock-time';

export interface ProcessorContext<K, V> {
  /** Shape: `0_3` = sub-topology 0, partition 3. */
  readonly taskId: string;
  readonly applicationId: string;
  /** The record's origin; undefined in timers and punctuators. */
  recordMetadata(): RecordMetadata | undefined;
  /** To every child, or to the named one. */
  forward(record: Record<K, V>, childName?: string): void;
  /** Errors: STORE_UNKNOWN when the store is not connected to this processor. */
  getStateStore<S extends StateStore>(name: string): S;
  readonly timers: Timers<unknown>;
  /** Not durable: restarts begin a new grid. Returns the cancel function. */
  schedule(intervalMs: number, type: PunctuationType, callback: (timestampMs: number) => void): () => void;
  /** Counts and logs, with its origin, that the record at hand (or a part of it) has no effect. */
  recordDropped(reason: string, details?: Readonly<globalThis.Record<string, string | number>>): void;
  /** Asks for a commit at the next opportunity. */
  commit(): void;
  currentSystemTimeMs(): number;
  /** The largest timestamp taken by the task; -1 before the first record. */
  currentStreamTimeMs(): number;
}

/** What a processor will read: a key, or a range of keys, of a connected store. */
export type Prefetch =
  | { readonly store: string; readonly key: unknown }
  | { readonly store: string; readonly from: unknown; readonly to: unknown };

/**
 * A hand-written step of a topology: one instance per task, called for one record at a time.
 *
 * @example
 * ```ts
 * // amounts: o1=30@100, o1=12@200
 * builder.addStateStore({
 *   name: 'sums',
 *   kind: 'key-value',
 *   keySerde: stringSerde,
 *   valueSerde: longSerde,
 *   changelog: true,
 * });
 * class Summing implements Processor<string, number, string, number> {
 *   #context!: ProcessorContext<string, number>;
 *   #sums!: KeyValueStore<string, number>;
 *   init(context: ProcessorContext<string, number>) {
 *     this.#context = context;
 *     this.#sums = context.getStateStore('sums');
 *   }
 *   process(record: Record<string, number>) {
 *     const value = (this.#sums.get(record.key) ?? 0) + record.value;
 *     this.#sums.put(record.key, value);
 *     this.#context.forward({ ...record, value });
 *   }
 * }
 * const sums = amounts.process(() => new Summing(), { stores: ['sums'], keepsKey: true });
 * // sums: o1=30@100, o1=42@200
 * ```
 */
export interface Processor<KIn, VIn, KOut = unknown, VOut = unknown> {
  init?(context: ProcessorContext<KOut, VOut>): void;
  process(record: Record<KIn, VIn>): void;
  /** What `process` will read for this record. By default: the record's key in every connected key-value store. */
  prefetch?(record: Record<KIn, VIn>): Iterable<Prefetch>;
  /** A timer of this node is due. By default nothing may be scheduled. */
  onTimer?(timer: Timer<KIn>, context: ProcessorContext<KOut, VOut>): void;
  /** What `onTimer` will read. By default: the timer's key in every connected key-value store. */
  prefetchTimer?(timer: Timer<KIn>): Iterable<Prefetch>;
  close?(): void;
}

export interface StateStore {
  readonly name: string;
}

/** Reads are synchronous. Errors: STATE_NOT_LOADED when the key was not declared in `prefetch`. */
export interface KeyValueStore<K, V> extends StateStore {
  get(key: K): V | undefined;
  /** As `get` for each; what is not in memory is loaded at once. */
  getMany(keys: readonly K[]): readonly (V | undefined)[];
  put(key: K, value: V): void;
  /** The earlier value; undefined when there was none, and then this one is stored. */
  putIfAbsent(key: K, value: V): V | undefined;
  delete(key: K): V | undefined;
  /** In byte order of the serialized keys; `from` and `to` inclusive, as Kafka Streams' `range`. */
  range(from: K, to: K): Iterable<readonly [K, V]>;
}

/** Values by key and time; several of one key and time are kept when `retainDuplicates`. */
export interface WindowStore<K, V> extends StateStore {
  /** Null deletes (a store that retains duplicates has nothing to delete by). */
  put(key: K, value: V, timestampMs: number): void;
  /** Values of the key with fromMs <= timestamp <= toMs, in time order, then in order of arrival. */
  fetch(key: K, fromMs: number, toMs: number): Iterable<readonly [timestampMs: number, value: V]>;
}

/** Shape: a value with the time since when it holds; `validToMs`: until when (exclusive), absent for the latest. */
export interface VersionedRecord<V> {
  readonly value: V;
  readonly timestamp: number;
  readonly validToMs?: number;
}

/**
 * What a put came to: the latest version of its key; a version of the past, which ends at the given time; or
 * `expired`: older than the history retention, and not stored.
 */
export type VersionedPut = 'latest' | 'expired' | number;

/**
 * The latest value of each key and those before it, for `historyRetentionMs` back from the largest time put.
 * Puts may come in any order of time; those of one time replace each other.
 */
export interface VersionedKeyValueStore<K, V> extends StateStore {
  readonly historyRetentionMs: number;
  /**
   * The latest version, or the one that held at `asOfMs`. Undefined: there was none, or it is older than the
   * retention (the latest version never is).
   */
  get(key: K, asOfMs?: number): VersionedRecord<V> | undefined;
  /** Null deletes from that time on, until the next version. Errors: TIMESTAMP_INVALID. */
  put(key: K, value: V | null, timestampMs: number): VersionedPut;
  /** As a put of null; returns what held at that time. */
  delete(key: K, timestampMs: number): VersionedRecord<V> | undefined;
}

/** Shape: a key at a time; the key by which a window store without duplicates finds one value. */
export interface WindowKey<K> {
  readonly key: K;
  readonly timestampMs: number;
}

/** A window store without duplicates: one value by key and time. */
export interface SingleWindowStore<K, V> extends WindowStore<K, V> {
  fetchOne(key: K, timestampMs: number): V | undefined;
  /** As `fetchOne` for each; what is not in memory is loaded at once. */
  fetchMany(keys: readonly WindowKey<K>[]): readonly (V | undefined)[];
  /** As `fetch`, the latest first. */
  backwardFetch(key: K, fromMs: number, toMs: number): Iterable<readonly [timestampMs: number, value: V]>;
}

/** Shape: the span from the first to the last event of a session, both inclusive. */
export interface SessionKey<K> {
  readonly key: K;
  readonly startMs: number;
  readonly endMs: number;
}

/** Values by key and session. */
export interface SessionStore<K, V> extends StateStore {
  /** Null deletes. */
  put(session: SessionKey<K>, value: V): void;
  fetchSession(session: SessionKey<K>): V | undefined;
  /** As `fetchSession` for each; what is not in memory is loaded at once. */
  fetchSessions(sessions: readonly SessionKey<K>[]): readonly (V | undefined)[];
  /** Sessions of the key with earliestEndMs <= end and start <= latestStartMs, by end, then by start. */
  findSessions(key: K, earliestEndMs: number, latestStartMs: number): Iterable<readonly [SessionKey<K>, V]>;
}
