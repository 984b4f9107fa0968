/**
 * The versioned key-value store: for each key its latest value and, for as long as the history retention,
 * what it was before. Rules and results are Kafka Streams' (`VersionedKeyValueStore`); how rows lie is ours.
 *
 *   0                                        the store's clock: largest time put · what has expired so far
 *   1 key                                    the latest version: its time · the value, or a tombstone
 *   2 length(u32) key valid-to(8)            an earlier version: its time · the value, or a tombstone
 *   3 time(8) kind(u8) key                   what expires at that time, so that nobody has to search for it
 *
 * A tombstone is a version like any other, so that one which comes late ends where the key was deleted.
 *
 * Called by processors through their context; like every store it throws `StateMiss` for what is not in memory.
 */
import { must } from '../base/assert.ts';
import { mapKey, readSortableInteger, sortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { Prefetch, VersionedKeyValueStore, VersionedPut, VersionedRecord } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations, StateEntry } from '../store/generations.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import { requireRecordFits } from './record-size.ts';
import { StateMiss, type TaskStore } from './typed-stores.ts';

/** Null: deleted. */
interface Version<V> {
  readonly fromMs: number;
  readonly value: V | null;
}

/** Milliseconds. `expiredMs`: rows that expire at or before it are gone. */
interface Clock {
  readonly observedMs: number;
  readonly expiredMs: number;
}

/** Times, both inclusive. */
interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
}

const clockKey = Buffer.from([0]);
const marker = Buffer.from([1]);
const historyKind = 0;
const tombstoneKind = 1;
/** Expired rows are removed once for so many parts of the retention: often enough, and few at a time. */
const expirySteps = 64;
const expiryStepsAtOnce = 4;

export class TypedVersionedKeyValueStore<K, V> implements VersionedKeyValueStore<K, V>, TaskStore {
  readonly name: string;
  readonly historyRetentionMs: number;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #expiryStepMs: number;
  /** What `upkeep` has asked for; only a hint, for it is checked against the clock before it is used. */
  #asked: Stretch | undefined;

  constructor(spec: StoreSpec, state: TaskState) {
    this.name = spec.name;
    this.historyRetentionMs = must(spec.historyRetentionMs, `store ${spec.name} has no history retention`);
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
    this.#expiryStepMs = Math.max(1, Math.ceil(this.historyRetentionMs / expirySteps));
  }

  get(key: K, asOfMs?: number): VersionedRecord<V> | undefined {
    const bytes = this.#bytes(key);
    const latest = this.#latest(bytes);
    if (latest === undefined) return undefined;
    if (asOfMs === undefined || latest.fromMs <= asOfMs)
      return latest.value === null ? undefined : { value: latest.value, timestamp: latest.fromMs };
    const { observedMs } = this.#clock();
    // The latest version never expires; of the others nothing is shown that may be gone already.
    if (asOfMs < observedMs - this.historyRetentionMs) return undefined;
    const found = this.#validAfter(bytes, asOfMs, latest.fromMs);
    if (found === undefined || found.fromMs > asOfMs || found.value === null) return undefined;
    return { value: found.value, timestamp: found.fromMs, validToMs: found.toMs };
  }

  put(key: K, value: V | null, timestampMs: number): VersionedPut {
    // A time that is none would spoil the store's clock for good.
    if (!Number.isSafeInteger(timestampMs) || timestampMs < 0)
      throw new StreamsError('TIMESTAMP_INVALID', `${timestampMs} is no time of a version`, {
        context: { store: this.name },
      });
    const clock = this.#clock();
    if (timestampMs < clock.observedMs - this.historyRetentionMs) return 'expired';
    const bytes = this.#bytes(key);
    const latest = this.#latest(bytes);
    const observedMs = Math.max(clock.observedMs, timestampMs);
    const put =
      latest === undefined || timestampMs >= latest.fromMs
        ? this.#putLatest(bytes, value, timestampMs, latest)
        : this.#putBefore(bytes, value, timestampMs, latest.fromMs);
    this.#moveClock(clock, observedMs);
    return put;
  }

  delete(key: K, timestampMs: number): VersionedRecord<V> | undefined {
    const earlier = this.get(key, timestampMs);
    return this.put(key, null, timestampMs) === 'expired' ? undefined : earlier;
  }

  /** A read is of a key's latest version, or of all those that held at `from.timestampMs` or later. */
  requests(read: Prefetch): LoadRequest[] {
    if ('key' in read) return this.requestsForKey(read.key);
    if (!('from' in read)) return [];
    const { key, timestampMs } = read.from as { key: K; timestampMs: number };
    const bounds = historyBounds(this.#bytes(key), Math.max(0, timestampMs), Number.MAX_SAFE_INTEGER - 1);
    return [...this.requestsForKey(key), { store: this.name, ...bounds }];
  }

  requestsForKey(key: unknown): LoadRequest[] {
    const clock = { store: this.name, key: clockKey };
    if (key === null || key === undefined) return [clock];
    return [clock, { store: this.name, key: latestKey(this.#bytes(key as K)) }];
  }

  #putLatest(
    key: Buffer,
    value: V | null,
    timestampMs: number,
    earlier: Version<V> | undefined,
  ): VersionedPut {
    if (earlier !== undefined && earlier.value === null) this.#unmark(earlier.fromMs, tombstoneKind, key);
    if (earlier !== undefined && earlier.fromMs < timestampMs)
      this.#keep(key, earlier.fromMs, timestampMs, earlier.value);
    if (value === null && timestampMs <= this.#clock().expiredMs)
      this.#write(latestKey(key), null, undefined);
    else {
      if (value === null) this.#mark(timestampMs, tombstoneKind, key);
      this.#writeVersion(latestKey(key), { fromMs: timestampMs, value });
    }
    return 'latest';
  }

  /** Into the history. Returns the time at which the new version ends. */
  #putBefore(key: Buffer, value: V | null, timestampMs: number, latestMs: number): number {
    const found = this.#validAfter(key, timestampMs, latestMs);
    const isInside = found !== undefined && found.fromMs <= timestampMs;
    const toMs = found === undefined ? latestMs : isInside ? found.toMs : found.fromMs;
    // The version that held at this time now ends here; the new one takes over its row.
    if (isInside && found.fromMs < timestampMs) this.#keep(key, found.fromMs, timestampMs, found.value);
    this.#keep(key, timestampMs, toMs, value);
    return toMs;
  }

  /** The earliest version before the latest that ends after the time. */
  #validAfter(
    key: Buffer,
    timestampMs: number,
    latestMs: number,
  ): (Version<V> & { readonly toMs: number }) | undefined {
    const bounds = historyBounds(key, timestampMs + 1, latestMs);
    const entries = this.#generations.readRange(mapKey(bounds.from), mapKey(bounds.to));
    if (entries === undefined) throw new StateMiss({ store: this.name, ...bounds });
    const first = entries[0];
    if (first === undefined) return undefined;
    const [entryKey, entry] = first;
    const toMs = readSortableInteger(Buffer.from(entryKey.slice(-8), 'latin1'));
    return { ...this.#decode(entry), toMs };
  }

  #latest(key: Buffer): Version<V> | undefined {
    const entry = this.#read(latestKey(key));
    return entry.bytes === null ? undefined : this.#decode(entry);
  }

  #clock(): Clock {
    const { bytes } = this.#read(clockKey);
    if (bytes === null) return { observedMs: -1, expiredMs: -1 };
    return { observedMs: readSortableInteger(bytes), expiredMs: readSortableInteger(bytes, 8) };
  }

  /** Removes what has expired meanwhile, a stretch at a time, if it was loaded for that. */
  #moveClock(clock: Clock, observedMs: number): void {
    // Before its first record there is nothing in the store that could expire.
    let expiredMs = clock.observedMs < 0 ? observedMs - this.historyRetentionMs : clock.expiredMs;
    const asked = this.#asked;
    if (asked !== undefined && asked.fromMs === expiredMs + 1 && this.#expire(asked)) expiredMs = asked.toMs;
    if (observedMs === clock.observedMs && expiredMs === clock.expiredMs) return;
    this.#write(
      clockKey,
      Buffer.concat([sortableInteger(observedMs), sortableInteger(expiredMs)]),
      undefined,
    );
  }

  /** The clock, and what the next put shall remove: at the start of a round, so that no put has to wait for it. */
  upkeep(): LoadRequest[] {
    this.#asked = undefined;
    if (this.#generations.read(mapKey(clockKey)) === undefined) return [{ store: this.name, key: clockKey }];
    const { observedMs, expiredMs } = this.#clock();
    const cutoffMs = observedMs - this.historyRetentionMs;
    if (observedMs < 0 || cutoffMs - expiredMs < this.#expiryStepMs) return [];
    const toMs = Math.min(cutoffMs, expiredMs + expiryStepsAtOnce * this.#expiryStepMs);
    this.#asked = { fromMs: expiredMs + 1, toMs };
    return [{ store: this.name, ...expiryBounds(this.#asked) }];
  }

  /** False: it is not in memory. */
  #expire(stretch: Stretch): boolean {
    const { from, to } = expiryBounds(stretch);
    const entries = this.#generations.readRange(mapKey(from), mapKey(to));
    if (entries === undefined) return false;
    for (const [entryKey] of entries) {
      const bytes = Buffer.from(entryKey, 'latin1');
      const key = bytes.subarray(10);
      const row =
        bytes[9] === tombstoneKind ? latestKey(key) : historyKey(key, readSortableInteger(bytes, 1));
      this.#write(row, null, undefined);
      this.#write(bytes, null, undefined);
    }
    return true;
  }

  #keep(key: Buffer, fromMs: number, toMs: number, value: V | null): void {
    // Nobody could read it, and nothing would remove it.
    if (toMs <= this.#clock().expiredMs) return;
    this.#writeVersion(historyKey(key, toMs), { fromMs, value });
    this.#mark(toMs, historyKind, key);
  }

  #mark(atMs: number, kind: number, key: Buffer): void {
    this.#write(expiryKey(atMs, kind, key), marker, undefined);
  }

  #unmark(atMs: number, kind: number, key: Buffer): void {
    this.#write(expiryKey(atMs, kind, key), null, undefined);
  }

  #writeVersion(row: Buffer, version: Version<V>): void {
    const value = version.value === null ? null : this.#values.serialize(version.value, this.name);
    const tag = Buffer.from([value === null ? 0 : 1]);
    const parts = [sortableInteger(version.fromMs), tag, ...(value === null ? [] : [value])];
    this.#write(row, Buffer.concat(parts), version);
  }

  #write(row: Buffer, value: Buffer | null, decoded: unknown): void {
    requireRecordFits({ store: this.name }, row, value);
    this.#generations.write(mapKey(row), value, decoded, row);
  }

  #read(row: Buffer): StateEntry {
    const entry = this.#generations.read(mapKey(row));
    if (entry === undefined) throw new StateMiss({ store: this.name, key: row });
    return entry;
  }

  #decode(entry: StateEntry): Version<V> {
    if (entry.decoded !== undefined) return entry.decoded as Version<V>;
    const bytes = must(entry.bytes, 'a version has bytes');
    const value = bytes[8] === 0 ? null : this.#values.deserialize(bytes.subarray(9), this.name);
    const version: Version<V> = { fromMs: readSortableInteger(bytes), value };
    entry.decoded = version;
    return version;
  }

  #bytes(key: K): Buffer {
    const bytes = this.#keys.serialize(key, this.name);
    if (bytes !== null) return bytes;
    throw new StreamsError('VALUE_NOT_SERIALIZABLE', 'a store key cannot be null', {
      context: { store: this.name },
    });
  }
}

function latestKey(key: Buffer): Buffer {
  return Buffer.concat([Buffer.from([1]), key]);
}

function historyKey(key: Buffer, toMs: number): Buffer {
  const head = Buffer.allocUnsafe(5);
  head[0] = 2;
  head.writeUInt32BE(key.length, 1);
  return Buffer.concat([head, key, sortableInteger(toMs)]);
}

/** Versions of the key that end at `fromMs` or later, and at `toMs` or earlier. */
function historyBounds(key: Buffer, fromMs: number, toMs: number): { from: Buffer; to: Buffer } {
  return { from: historyKey(key, fromMs), to: historyKey(key, toMs + 1) };
}

function expiryBounds({ fromMs, toMs }: Stretch): { from: Buffer; to: Buffer } {
  const lead = Buffer.from([3]);
  return {
    from: Buffer.concat([lead, sortableInteger(fromMs)]),
    to: Buffer.concat([lead, sortableInteger(toMs + 1)]),
  };
}

function expiryKey(atMs: number, kind: number, key: Buffer): Buffer {
  return Buffer.concat([Buffer.from([3]), sortableInteger(atMs), Buffer.from([kind]), key]);
}
