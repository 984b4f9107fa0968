/**
 * Stores of windowed aggregates as processors see them: one value per key and window start, or per key and
 * session. Reads are synchronous; what is not in memory throws StateMiss (see typed-stores.ts).
 *
 * Keys are laid out as Kafka Streams' are, so that changelogs look alike. The key comes first and has no
 * fixed length, so the range of one key may hold rows of longer keys that begin with it: they are passed over.
 *
 * Nothing expires by itself: the operator that writes knows the time, and deletes (dsl/operators/window-clock.ts).
 */
import { mapKey } from '../base/bytes.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { Prefetch, SessionKey, SessionStore, SingleWindowStore, WindowKey } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations, StateEntry } from '../store/generations.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import { requireRecordFits } from './record-size.ts';
import { keyBytes, readMany, StateMiss, type TaskStore } from './typed-stores.ts';

/** What both kinds share: rows of a key and a tail of fixed length, values decoded once. */
class TailedRows<K, V> {
  readonly name: string;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #tailBytes: number;

  constructor(spec: StoreSpec, state: TaskState, tailBytes: number) {
    this.name = spec.name;
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
    this.#tailBytes = tailBytes;
  }

  keyBytes(key: K): Buffer {
    return keyBytes(this.#keys, key, this.name);
  }

  getMany(rows: readonly Buffer[]): (V | undefined)[] {
    return readMany(this.name, this.#generations, rows).map((entry) => this.#decode(entry));
  }

  put(row: Buffer, value: V): void {
    const valueBytes = this.#values.serialize(value, this.name);
    requireRecordFits({ store: this.name }, row, valueBytes);
    this.#generations.write(mapKey(row), valueBytes, value, row);
  }

  /** Rows of exactly this key between the tails, both inclusive. */
  range(key: Buffer, fromTail: Buffer, toTail: Buffer): [row: Buffer, value: V][] {
    const bounds = this.bounds(key, fromTail, toTail);
    const entries = this.#generations.readRange(mapKey(bounds.from), mapKey(bounds.to));
    if (entries === undefined) throw new StateMiss({ store: this.name, ...bounds });
    const rows: [Buffer, V][] = [];
    for (const [mapped, entry] of entries) {
      const row = Buffer.from(mapped, 'latin1');
      if (row.length !== key.length + this.#tailBytes) continue;
      const value = this.#decode(entry);
      if (value !== undefined) rows.push([row, value]);
    }
    return rows;
  }

  bounds(key: Buffer, fromTail: Buffer, toTail: Buffer): { from: Buffer; to: Buffer } {
    return { from: Buffer.concat([key, fromTail]), to: Buffer.concat([key, toTail, Buffer.from([0])]) };
  }

  #decode(entry: StateEntry): V | undefined {
    if (entry.bytes === null) return undefined;
    if (entry.decoded === undefined) entry.decoded = this.#values.deserialize(entry.bytes, this.name);
    return entry.decoded as V;
  }
}

/** Times before the epoch are no window's, and would not sort before the others. */
function timeBytes(timeMs: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(BigInt(Math.min(Math.max(0, timeMs), Number.MAX_SAFE_INTEGER)));
  return bytes;
}

const firstSequence = Buffer.alloc(4);
const lastSequence = Buffer.alloc(4, 0xff);

/** Row layout: key · window start (8) · 0 (4). Source: org.apache.kafka.streams.state.internals.WindowKeySchema. */
export class TypedSingleWindowStore<K, V> implements SingleWindowStore<K, V>, TaskStore {
  readonly name: string;
  readonly #rows: TailedRows<K, V>;

  constructor(spec: StoreSpec, state: TaskState) {
    this.name = spec.name;
    this.#rows = new TailedRows(spec, state, 12);
  }

  put(key: K, value: V, timestampMs: number): void {
    this.#rows.put(this.#row(key, timestampMs), value);
  }

  fetchOne(key: K, timestampMs: number): V | undefined {
    return this.#rows.getMany([this.#row(key, timestampMs)])[0];
  }

  fetchMany(keys: readonly WindowKey<K>[]): readonly (V | undefined)[] {
    return this.#rows.getMany(keys.map(({ key, timestampMs }) => this.#row(key, timestampMs)));
  }

  *fetch(key: K, fromMs: number, toMs: number): Iterable<readonly [number, V]> {
    yield* this.#found(key, fromMs, toMs);
  }

  *backwardFetch(key: K, fromMs: number, toMs: number): Iterable<readonly [number, V]> {
    yield* this.#found(key, fromMs, toMs).reverse();
  }

  /** A read is of one value (`key` is a WindowKey) or of a key's span (`from` and `to` are). */
  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) {
      const { key, timestampMs } = read.key as WindowKey<K>;
      return [{ store: this.name, key: this.#row(key, timestampMs) }];
    }
    const from = read.from as WindowKey<K>;
    const toMs = (read.to as WindowKey<K>).timestampMs;
    if (toMs < 0) return [];
    const [first, last] = tails(from.timestampMs, toMs);
    return [{ store: this.name, ...this.#rows.bounds(this.#rows.keyBytes(from.key), first, last) }];
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  #found(key: K, fromMs: number, toMs: number): [number, V][] {
    if (toMs < 0) return [];
    const bytes = this.#rows.keyBytes(key);
    return this.#rows
      .range(bytes, ...tails(fromMs, toMs))
      .map(([row, value]) => [Number(row.readBigInt64BE(bytes.length)), value]);
  }

  #row(key: K, timestampMs: number): Buffer {
    return Buffer.concat([this.#rows.keyBytes(key), timeBytes(timestampMs), firstSequence]);
  }
}

function tails(fromMs: number, toMs: number): [first: Buffer, last: Buffer] {
  return [Buffer.concat([timeBytes(fromMs), firstSequence]), Buffer.concat([timeBytes(toMs), lastSequence])];
}

/** Row layout: key · end (8) · start (8). Source: org.apache.kafka.streams.state.internals.SessionKeySchema. */
export class TypedSessionStore<K, V> implements SessionStore<K, V>, TaskStore {
  readonly name: string;
  readonly #rows: TailedRows<K, V>;

  constructor(spec: StoreSpec, state: TaskState) {
    this.name = spec.name;
    this.#rows = new TailedRows(spec, state, 16);
  }

  put(session: SessionKey<K>, value: V): void {
    this.#rows.put(this.#row(session), value);
  }

  fetchSession(session: SessionKey<K>): V | undefined {
    return this.#rows.getMany([this.#row(session)])[0];
  }

  fetchSessions(sessions: readonly SessionKey<K>[]): readonly (V | undefined)[] {
    return this.#rows.getMany(sessions.map((session) => this.#row(session)));
  }

  *findSessions(key: K, earliestEndMs: number, latestStartMs: number): Iterable<readonly [SessionKey<K>, V]> {
    const bytes = this.#rows.keyBytes(key);
    for (const [row, value] of this.#rows.range(bytes, ...endTails(earliestEndMs))) {
      const endMs = Number(row.readBigInt64BE(bytes.length));
      const startMs = Number(row.readBigInt64BE(bytes.length + 8));
      if (startMs <= latestStartMs) yield [{ key, startMs, endMs }, value];
    }
  }

  /** A read is of one session, or of those that end at or after `from.endMs`. */
  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return [{ store: this.name, key: this.#row(read.key as SessionKey<K>) }];
    const from = read.from as SessionKey<K>;
    const [first, last] = endTails(from.endMs);
    return [{ store: this.name, ...this.#rows.bounds(this.#rows.keyBytes(from.key), first, last) }];
  }

  requestsForKey(): LoadRequest[] {
    return [];
  }

  #row({ key, startMs, endMs }: SessionKey<K>): Buffer {
    return Buffer.concat([this.#rows.keyBytes(key), timeBytes(endMs), timeBytes(startMs)]);
  }
}

const lastSession = Buffer.concat([timeBytes(Number.MAX_SAFE_INTEGER), Buffer.alloc(8, 0xff)]);

function endTails(earliestEndMs: number): [first: Buffer, last: Buffer] {
  return [Buffer.concat([timeBytes(earliestEndMs), timeBytes(0)]), lastSession];
}
