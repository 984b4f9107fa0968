/**
 * The reading methods of window and session stores, made of one search that each layout of rows does its own way
 * (windowed-stores.ts, segmented-window-store.ts). What they return was read when they were called.
 */
import type {
  ReadOnlySessionStore,
  ReadOnlyWindowStore,
  SessionKey,
  SessionValues,
  TimedValues,
  WindowedValues,
  WindowKey,
} from '../graph/processor.ts';

/** A row as it was found. `timeMs`: a window's time, a session's end; `startMs` is of sessions. */
export interface FoundRow<K, V> {
  readonly key: K;
  readonly timeMs: number;
  readonly startMs: number;
  readonly value: V;
}

/** What is searched: one key, or those from one to another, both inclusive, null for an open end. */
export type SoughtKeys<K> = { readonly key: K } | { readonly from: K | null; readonly to: K | null };

const allKeys = { from: null, to: null } as const;

/** Rows by key bytes, then time, then what comes behind; times inclusive. */
export type FindRows<K, V> = (keys: SoughtKeys<K>, fromMs: number, toMs: number) => FoundRow<K, V>[];

type TimedRow<V> = readonly [timestampMs: number, value: V];

export abstract class WindowReads<K, V> implements ReadOnlyWindowStore<K, V> {
  abstract readonly name: string;
  protected abstract find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[];

  fetch(key: K, timestampMs: number): V | undefined;
  fetch(key: K, fromMs: number, toMs: number): TimedValues<V>;
  fetch(keyFrom: K | null, keyTo: K | null, fromMs: number, toMs: number): WindowedValues<K, V>;
  fetch(...args: FetchArguments<K>): V | undefined | TimedValues<V> | WindowedValues<K, V> {
    if (args.length === 2) return this.find({ key: args[0] }, args[1], args[1])[0]?.value;
    return args.length === 3 ? this.#timed(args) : this.#windowed(args);
  }

  backwardFetch(key: K, fromMs: number, toMs: number): TimedValues<V>;
  backwardFetch(keyFrom: K | null, keyTo: K | null, fromMs: number, toMs: number): WindowedValues<K, V>;
  backwardFetch(...args: SpanArguments<K>): TimedValues<V> | WindowedValues<K, V> {
    return args.length === 3 ? this.#timed(args).reverse() : this.#windowed(args).reverse();
  }

  all(): WindowedValues<K, V> {
    return this.fetchAll(0, Number.POSITIVE_INFINITY);
  }

  backwardAll(): WindowedValues<K, V> {
    return this.backwardFetchAll(0, Number.POSITIVE_INFINITY);
  }

  fetchAll(fromMs: number, toMs: number): WindowedValues<K, V> {
    return this.find(allKeys, fromMs, toMs).map(windowed);
  }

  backwardFetchAll(fromMs: number, toMs: number): WindowedValues<K, V> {
    return this.find(allKeys, fromMs, toMs).reverse().map(windowed);
  }

  #timed([key, fromMs, toMs]: readonly [K, number, number]): TimedRow<V>[] {
    return this.find({ key }, fromMs, toMs).map(({ timeMs, value }) => [timeMs, value]);
  }

  #windowed([from, to, fromMs, toMs]: readonly [K | null, K | null, number, number]): (readonly [
    WindowKey<K>,
    V,
  ])[] {
    return this.find({ from, to }, fromMs, toMs).map(windowed);
  }
}

type SpanArguments<K> = [K, number, number] | [K | null, K | null, number, number];
type FetchArguments<K> = [K, number] | SpanArguments<K>;

function windowed<K, V>({ key, timeMs, value }: FoundRow<K, V>): readonly [WindowKey<K>, V] {
  return [{ key, timestampMs: timeMs }, value];
}

export abstract class SessionReads<K, V> implements ReadOnlySessionStore<K, V> {
  abstract readonly name: string;
  abstract fetchSession(session: SessionKey<K>): V | undefined;
  /** Times are those of the sessions' ends. */
  protected abstract find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[];

  fetch(key: K): SessionValues<K, V>;
  fetch(keyFrom: K | null, keyTo: K | null): SessionValues<K, V>;
  fetch(...args: [K] | [K | null, K | null]): SessionValues<K, V> {
    return this.#ofKeys(args);
  }

  backwardFetch(key: K): SessionValues<K, V>;
  backwardFetch(keyFrom: K | null, keyTo: K | null): SessionValues<K, V>;
  backwardFetch(...args: [K] | [K | null, K | null]): SessionValues<K, V> {
    return this.#ofKeys(args).reverse();
  }

  findSessions(earliestEndMs: number, latestEndMs: number): SessionValues<K, V>;
  findSessions(key: K, earliestEndMs: number, latestStartMs: number): SessionValues<K, V>;
  findSessions(
    keyFrom: K | null,
    keyTo: K | null,
    earliestEndMs: number,
    latestStartMs: number,
  ): SessionValues<K, V>;
  findSessions(...args: [number, number] | SpanArguments<K>): SessionValues<K, V> {
    return args.length === 2 ? this.find(allKeys, args[0], args[1]).map(session) : this.#started(args);
  }

  backwardFindSessions(key: K, earliestEndMs: number, latestStartMs: number): SessionValues<K, V>;
  backwardFindSessions(
    keyFrom: K | null,
    keyTo: K | null,
    earliestEndMs: number,
    latestStartMs: number,
  ): SessionValues<K, V>;
  backwardFindSessions(...args: SpanArguments<K>): SessionValues<K, V> {
    return this.#started(args).reverse();
  }

  #ofKeys(args: [K] | [K | null, K | null]): SessionRow<K, V>[] {
    const keys = args.length === 1 ? { key: args[0] } : { from: args[0], to: args[1] };
    return this.find(keys, 0, Number.POSITIVE_INFINITY).map(session);
  }

  #started(args: SpanArguments<K>): SessionRow<K, V>[] {
    const [keys, earliestEndMs, latestStartMs] =
      args.length === 3
        ? ([{ key: args[0] }, args[1], args[2]] as const)
        : ([{ from: args[0], to: args[1] }, args[2], args[3]] as const);
    return this.find(keys, earliestEndMs, Number.POSITIVE_INFINITY)
      .filter(({ startMs }) => startMs <= latestStartMs)
      .map(session);
  }
}

type SessionRow<K, V> = readonly [SessionKey<K>, V];

function session<K, V>({ key, startMs, timeMs, value }: FoundRow<K, V>): SessionRow<K, V> {
  return [{ key, startMs, endMs: timeMs }, value];
}
