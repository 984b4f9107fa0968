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
import type { Serde } from '../serde/serde.ts';

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

/**
 * What a processor will read of a connected store: a key, a range (null is an open end), or all keys with a prefix.
 * A key of a window store is a `WindowKey`, of a session store a `SessionKey`, of a versioned store a plain key;
 * the bounds of a range likewise, with null for `key` in both where all keys are meant (in a versioned store a
 * range is of one key, its bounds are `WindowKey`s). Declaring more than is read is allowed.
 */
export type Prefetch =
  | { readonly store: string; readonly key: unknown }
  | { readonly store: string; readonly from: unknown; readonly to: unknown }
  | {
      readonly store: string;
      readonly prefix: unknown;
      readonly prefixSerializer: PrefixSerializer<unknown>;
    };

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

/** Makes bytes of what all keys of a scan begin with; any serde of it will do. */
export type PrefixSerializer<P> = Pick<Serde<P>, 'serialize'>;

/**
 * Reads are synchronous. Order of entries: byte order of the serialized keys. What iterates shows the store as it
 * was when the method was called, uncommitted changes included; it may be iterated while the store is changed.
 * Errors: STATE_NOT_LOADED when what is read was not declared in `prefetch`.
 */
export interface ReadOnlyKeyValueStore<K, V> extends StateStore {
  get(key: K): V | undefined;
  /** Both inclusive; null is an open end. */
  range(from: K | null, to: K | null): Iterable<readonly [K, V]>;
  /** As `range`, from the last to the first. */
  reverseRange(from: K | null, to: K | null): Iterable<readonly [K, V]>;
  all(): Iterable<readonly [K, V]>;
  reverseAll(): Iterable<readonly [K, V]>;
  /** Entries whose serialized key begins with the serialized prefix. */
  prefixScan<P>(prefix: P, prefixSerializer: PrefixSerializer<P>): Iterable<readonly [K, V]>;
  /** Counts: it reads the whole store, as `all` does. */
  approximateNumEntries(): number;
}

export interface KeyValueStore<K, V> extends ReadOnlyKeyValueStore<K, V> {
  /** As `get` for each; what is not in memory is loaded at once. */
  getMany(keys: readonly K[]): readonly (V | undefined)[];
  /** Null deletes. */
  put(key: K, value: V | null): void;
  /** The earlier value; undefined when there was none, and then this one is stored. */
  putIfAbsent(key: K, value: V): V | undefined;
  putAll(entries: Iterable<readonly [K, V | null]>): void;
  delete(key: K): V | undefined;
}

/** Shape: a key at a time; the key by which a window store without duplicates finds one value. */
export interface WindowKey<K> {
  readonly key: K;
  readonly timestampMs: number;
}

/** The values of one key by time. */
export type TimedValues<V> = Iterable<readonly [timestampMs: number, value: V]>;
/** Values of several keys. Order: byte order of the serialized keys, then time. */
export type WindowedValues<K, V> = Iterable<readonly [WindowKey<K>, V]>;

/**
 * Values by key and time. Times are inclusive, and null for a key is an open end. What iterates shows the store as
 * it was when the method was called. A store with a retention shows what is younger than the largest time put less
 * the retention.
 */
export interface ReadOnlyWindowStore<K, V> extends StateStore {
  /** The value at exactly that time; of several the first. */
  fetch(key: K, timestampMs: number): V | undefined;
  /** In time order, then in order of arrival. */
  fetch(key: K, fromMs: number, toMs: number): TimedValues<V>;
  fetch(keyFrom: K | null, keyTo: K | null, fromMs: number, toMs: number): WindowedValues<K, V>;
  /** As `fetch`, from the last to the first. */
  backwardFetch(key: K, fromMs: number, toMs: number): TimedValues<V>;
  backwardFetch(keyFrom: K | null, keyTo: K | null, fromMs: number, toMs: number): WindowedValues<K, V>;
  all(): WindowedValues<K, V>;
  backwardAll(): WindowedValues<K, V>;
  fetchAll(fromMs: number, toMs: number): WindowedValues<K, V>;
  backwardFetchAll(fromMs: number, toMs: number): WindowedValues<K, V>;
}

/** Several values of one key and time are kept when `retainDuplicates`. */
export interface WindowStore<K, V> extends ReadOnlyWindowStore<K, V> {
  /**
   * Null deletes (a store that retains duplicates has nothing to delete by). What is older than the retention is
   * not stored, and counted as dropped.
   */
  put(key: K, value: V | null, timestampMs: number): void;
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

/** A window store without duplicates: one value by key and time. */
export interface SingleWindowStore<K, V> extends WindowStore<K, V> {
  fetchOne(key: K, timestampMs: number): V | undefined;
  /** As `fetchOne` for each; what is not in memory is loaded at once. */
  fetchMany(keys: readonly WindowKey<K>[]): readonly (V | undefined)[];
}

/** Shape: the span from the first to the last event of a session, both inclusive. */
export interface SessionKey<K> {
  readonly key: K;
  readonly startMs: number;
  readonly endMs: number;
}

/** Order: byte order of the serialized keys, then end, then start. */
export type SessionValues<K, V> = Iterable<readonly [SessionKey<K>, V]>;

/**
 * Values by key and session. Null for a key is an open end. What iterates shows the store as it was when the
 * method was called. A store with a retention shows sessions that end later than the largest end put less the
 * retention.
 */
export interface ReadOnlySessionStore<K, V> extends StateStore {
  fetchSession(session: SessionKey<K>): V | undefined;
  /** All sessions of the key, or of the keys between two. */
  fetch(key: K): SessionValues<K, V>;
  fetch(keyFrom: K | null, keyTo: K | null): SessionValues<K, V>;
  /** As `fetch`, from the last to the first. */
  backwardFetch(key: K): SessionValues<K, V>;
  backwardFetch(keyFrom: K | null, keyTo: K | null): SessionValues<K, V>;
  /** Of all keys: with earliestEndMs <= end <= latestEndMs. */
  findSessions(earliestEndMs: number, latestEndMs: number): SessionValues<K, V>;
  /** Of the key: with earliestEndMs <= end and start <= latestStartMs. */
  findSessions(key: K, earliestEndMs: number, latestStartMs: number): SessionValues<K, V>;
  findSessions(
    keyFrom: K | null,
    keyTo: K | null,
    earliestEndMs: number,
    latestStartMs: number,
  ): SessionValues<K, V>;
  /** As `findSessions`, from the last to the first. */
  backwardFindSessions(key: K, earliestEndMs: number, latestStartMs: number): SessionValues<K, V>;
  backwardFindSessions(
    keyFrom: K | null,
    keyTo: K | null,
    earliestEndMs: number,
    latestStartMs: number,
  ): SessionValues<K, V>;
}

export interface SessionStore<K, V> extends ReadOnlySessionStore<K, V> {
  /** Null deletes. What ended before the retention is not stored, and counted as dropped. */
  put(session: SessionKey<K>, value: V | null): void;
  remove(session: SessionKey<K>): void;
  /** As `fetchSession` for each; what is not in memory is loaded at once. */
  fetchSessions(sessions: readonly SessionKey<K>[]): readonly (V | undefined)[];
}
