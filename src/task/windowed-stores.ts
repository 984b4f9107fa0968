/**
 * Window and session stores as processors see them: a value by key and time, or by key and session. Reads are
 * synchronous; what is not in memory throws StateMiss (see typed-stores.ts). How rows lie and expire: timed-rows.ts.
 *
 * The stores of windowed aggregates are of these kinds too, with keys as Kafka Streams lays them out, so that
 * changelogs look alike; their operator knows which windows there are, and deletes (dsl/operators/window-clock.ts).
 */
import type { StoreSpec } from '../graph/node.ts';
import type {
  Prefetch,
  SessionKey,
  SessionStore,
  SingleWindowStore,
  WindowKey,
  WindowStore,
} from '../graph/processor.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import { type StoreServices, type TimedKey, TimedRows, timeBytes } from './timed-rows.ts';
import type { TaskStore } from './typed-stores.ts';
import { type FoundRow, SessionReads, type SoughtKeys, WindowReads } from './window-reads.ts';

/** The keys that a declared range is of: bounds of one key, or of several. */
export function soughtKeys<K>(
  from: { readonly key: K | null },
  to: { readonly key: K | null },
): SoughtKeys<K> {
  if (from.key !== null && from.key === to.key) return { key: from.key };
  return { from: from.key, to: to.key };
}

const firstSequence = Buffer.alloc(4);

/** Tail of a row: 0 (4). Source: org.apache.kafka.streams.state.internals.WindowKeySchema. */
export class TypedSingleWindowStore<K, V>
  extends WindowReads<K, V>
  implements SingleWindowStore<K, V>, TaskStore
{
  readonly name: string;
  readonly #rows: TimedRows<K, V>;

  constructor(spec: StoreSpec, state: TaskState, services: StoreServices) {
    super();
    this.name = spec.name;
    this.#rows = new TimedRows(spec, state, services, firstSequence.length);
  }

  put(key: K, value: V | null, timestampMs: number): void {
    this.#rows.put(rowOf({ key, timestampMs }), value);
  }

  fetchOne(key: K, timestampMs: number): V | undefined {
    return this.#rows.getMany([rowOf({ key, timestampMs })])[0];
  }

  fetchMany(keys: readonly WindowKey<K>[]): readonly (V | undefined)[] {
    return this.#rows.getMany(keys.map(rowOf));
  }

  protected override find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[] {
    // Of one moment there is one row, and that is no range.
    if (!('key' in keys) || fromMs !== toMs) return this.#rows.find(keys, fromMs, toMs);
    const value = this.fetchOne(keys.key, fromMs);
    return value === undefined ? [] : [{ key: keys.key, timeMs: fromMs, startMs: fromMs, value }];
  }

  /** A read is of one value (`key` is a WindowKey) or of a span of one key or several (`from` and `to` are). */
  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return [this.#rows.requestOne(rowOf(read.key as WindowKey<K>))];
    return windowSpan(read, this.#rows);
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  upkeep(): LoadRequest[] {
    return this.#rows.upkeep;
  }
}

function rowOf<K>({ key, timestampMs }: WindowKey<K>): TimedKey<K> {
  return { key, timeMs: timestampMs, tail: firstSequence };
}

function windowSpan<K, V>(read: Prefetch, rows: TimedRows<K, V>): LoadRequest[] {
  if (!('from' in read)) return [];
  const from = read.from as WindowKey<K>;
  const to = read.to as WindowKey<K>;
  return to.timestampMs < 0 ? [] : [rows.request(soughtKeys(from, to), from.timestampMs, to.timestampMs)];
}

/** A counter that survives restarts with the task (duplicates of one key and time need distinct keys). */
export interface Sequence {
  next(): number;
}

/** Tail of a row: a number in order of arrival (8). */
export class TypedDuplicatesWindowStore<K, V>
  extends WindowReads<K, V>
  implements WindowStore<K, V>, TaskStore
{
  readonly name: string;
  readonly #rows: TimedRows<K, V>;
  readonly #sequence: Sequence;

  constructor(spec: StoreSpec, state: TaskState, services: StoreServices, sequence: Sequence) {
    super();
    this.name = spec.name;
    this.#rows = new TimedRows(spec, state, services, 8);
    this.#sequence = sequence;
  }

  put(key: K, value: V | null, timestampMs: number): void {
    if (value === null) return;
    this.#rows.put({ key, timeMs: timestampMs, tail: timeBytes(this.#sequence.next()) }, value);
  }

  protected override find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[] {
    return this.#rows.find(keys, fromMs, toMs);
  }

  /** A read of one moment is a range too, for there may be several values. */
  requests(read: Prefetch): LoadRequest[] {
    if (!('key' in read)) return windowSpan(read, this.#rows);
    const { key, timestampMs } = read.key as WindowKey<K>;
    return [this.#rows.request({ key }, timestampMs, timestampMs)];
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  upkeep(): LoadRequest[] {
    return this.#rows.upkeep;
  }
}

/** Time of a row: the end; tail: the start (8). Source: org.apache.kafka.streams.state.internals.SessionKeySchema. */
export class TypedSessionStore<K, V> extends SessionReads<K, V> implements SessionStore<K, V>, TaskStore {
  readonly name: string;
  readonly #rows: TimedRows<K, V>;

  constructor(spec: StoreSpec, state: TaskState, services: StoreServices) {
    super();
    this.name = spec.name;
    this.#rows = new TimedRows(spec, state, services, 8);
  }

  put(session: SessionKey<K>, value: V | null): void {
    this.#rows.put(sessionRow(session), value);
  }

  remove(session: SessionKey<K>): void {
    this.put(session, null);
  }

  override fetchSession(session: SessionKey<K>): V | undefined {
    return this.fetchSessions([session])[0];
  }

  fetchSessions(sessions: readonly SessionKey<K>[]): readonly (V | undefined)[] {
    return this.#rows.getMany(sessions.map(sessionRow));
  }

  protected override find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[] {
    return this.#rows.find(keys, fromMs, toMs);
  }

  /** A read is of one session, or of those of one key or several that end at or after `from.endMs`. */
  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return [this.#rows.requestOne(sessionRow(read.key as SessionKey<K>))];
    if (!('from' in read)) return [];
    const from = read.from as SessionKey<K>;
    const keys = soughtKeys(from, read.to as SessionKey<K>);
    return [this.#rows.request(keys, from.endMs, Number.POSITIVE_INFINITY)];
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  upkeep(): LoadRequest[] {
    return this.#rows.upkeep;
  }
}

function sessionRow<K>({ key, startMs, endMs }: SessionKey<K>): TimedKey<K> {
  return { key, timeMs: endMs, tail: timeBytes(startMs) };
}
