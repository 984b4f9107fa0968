/**
 * The rows of a window or session store: one value by key, time and a tail of fixed length.
 *
 *   key · time (8) · tail                     rows that their operator removes: Kafka Streams' layout
 *   0 · key · time (8) · tail                 rows that the store removes when they are older than the retention
 *   1 · time (8) · key · tail                 beside each of those: what there is, by time
 *
 * The key comes first and has no fixed length, so a range of one key may hold rows of longer keys that begin
 * with it: they are passed over. Used by windowed-stores.ts; reads throw StateMiss (typed-stores.ts).
 */
import { must } from '../base/assert.ts';
import { mapKey } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { Serde } from '../serde/serde.ts';
import type { Generations, StateEntry } from '../store/generations.ts';
import { endKey, type LoadRequest, type RangeRequest, type TaskState } from '../store/task-state.ts';
import { Expiry, type StoreClocks } from './expiry.ts';
import { requireRecordFits } from './record-size.ts';
import { keyBytes, readMany, StateMiss } from './typed-stores.ts';
import type { FoundRow, SoughtKeys } from './window-reads.ts';

/** What window and session stores need of their task. */
export interface StoreServices {
  readonly clocks: StoreClocks;
  /** Counts and logs a put that came too late to be stored. */
  readonly expired: (store: string, timestampMs: number) => void;
}

export interface TimedKey<K> {
  readonly key: K;
  readonly timeMs: number;
  readonly tail: Buffer;
}

/** Once for so many parts of the retention: often enough, and few at a time. */
const expirySteps = 64;
const rowLead = Buffer.from([0]);
const indexLead = Buffer.from([1]);
const indexed = Buffer.from([1]);
const none = Buffer.alloc(0);

/** Errors: TIMESTAMP_INVALID. */
export function requireTime(store: string, timeMs: number): void {
  if (Number.isSafeInteger(timeMs) && timeMs >= 0) return;
  throw new StreamsError('TIMESTAMP_INVALID', `${timeMs} is no time of a row`, { context: { store } });
}

/** Times before the epoch are no window's, and would not sort before the others. */
export function timeBytes(timeMs: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(BigInt(Math.min(Math.max(0, timeMs), Number.MAX_SAFE_INTEGER)));
  return bytes;
}

export class TimedRows<K, V> {
  readonly name: string;
  readonly #keys: Serde<K>;
  readonly #values: Serde<V>;
  readonly #generations: Generations;
  readonly #services: StoreServices;
  readonly #tailBytes: number;
  readonly #lead: Buffer;
  readonly #expiry: Expiry | undefined;

  constructor(spec: StoreSpec, state: TaskState, services: StoreServices, tailBytes: number) {
    this.name = spec.name;
    this.#keys = spec.keySerde as Serde<K>;
    this.#values = spec.valueSerde as Serde<V>;
    this.#generations = state.generations(spec.name);
    this.#services = services;
    this.#tailBytes = tailBytes;
    const retentionMs = must(spec.retentionMs, `store ${spec.name} has no retention`);
    const expires = spec.expiry !== 'operator' && retentionMs !== Number.POSITIVE_INFINITY;
    this.#lead = expires ? rowLead : none;
    this.#expiry = expires ? this.#newExpiry(retentionMs, services.clocks) : undefined;
  }

  get upkeep(): LoadRequest[] {
    return this.#expiry?.upkeep() ?? [];
  }

  getMany(keys: readonly TimedKey<K>[]): (V | undefined)[] {
    const entries = readMany(
      this.name,
      this.#generations,
      keys.map((key) => this.#row(key)),
    );
    return entries.map((entry, index) => {
      const { timeMs } = keys[index] as TimedKey<K>;
      return timeMs < 0 || timeMs <= this.#hiddenMs ? undefined : this.#decode(entry);
    });
  }

  /** Errors: TIMESTAMP_INVALID, for it would spoil the store's time for good. */
  put(at: TimedKey<K>, value: V | null): void {
    requireTime(this.name, at.timeMs);
    if (this.#expiry?.observe(at.timeMs) === false) {
      this.#services.expired(this.name, at.timeMs);
      return;
    }
    const row = this.#row(at);
    const valueBytes = this.#values.serialize(value, this.name);
    requireRecordFits({ store: this.name }, row, valueBytes);
    if (this.#expiry !== undefined) this.#index(at, row, valueBytes !== null);
    this.#generations.write(mapKey(row), valueBytes, value ?? undefined, row);
  }

  /** Order: key bytes, time, tail. Times inclusive. */
  find(keys: SoughtKeys<K>, fromMs: number, toMs: number): FoundRow<K, V>[] {
    const request = this.request(keys, fromMs, toMs);
    const { from, to } = request;
    if (toMs < 0 || (to !== undefined && Buffer.compare(from, to) >= 0)) return [];
    const entries = this.#generations.readRange(mapKey(from), endKey(to));
    if (entries === undefined) throw new StateMiss(request);
    const [low, high] = this.#keyBounds(keys);
    const found: { bytes: Buffer; row: FoundRow<K, V> }[] = [];
    for (const [mapped, entry] of entries) {
      const row = Buffer.from(mapped, 'latin1');
      const timeAt = row.length - 8 - this.#tailBytes;
      const bytes = row.subarray(this.#lead.length, timeAt);
      if (timeAt < this.#lead.length) continue;
      if (low !== undefined && Buffer.compare(bytes, low) < 0) continue;
      if (high !== undefined && Buffer.compare(bytes, high) > 0) continue;
      const timeMs = Number(row.readBigInt64BE(timeAt));
      if (timeMs < fromMs || timeMs > toMs || timeMs <= this.#hiddenMs) continue;
      const value = this.#decode(entry);
      if (value === undefined) continue;
      const key = 'key' in keys ? keys.key : (this.#keys.deserialize(Buffer.from(bytes), this.name) as K);
      const startMs = this.#tailBytes === 8 ? Number(row.readBigInt64BE(timeAt + 8)) : timeMs;
      found.push({ bytes, row: { key, timeMs, startMs, value } });
    }
    // One key's rows are in order already; of several, a shorter key's may lie among a longer one's.
    if (!('key' in keys)) found.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    return found.map(({ row }) => row);
  }

  requestOne(at: TimedKey<K>): LoadRequest {
    return { store: this.name, key: this.#row(at) };
  }

  /** The range in which `find` looks. */
  request(keys: SoughtKeys<K>, fromMs: number, toMs: number): RangeRequest {
    const lead = this.#lead;
    if ('key' in keys) {
      const key = this.#bytes(keys.key);
      const [from, to] = [timeBytes(fromMs), timeBytes(toMs)];
      const after = Buffer.alloc(this.#tailBytes + 1, 0xff);
      return {
        store: this.name,
        from: Buffer.concat([lead, key, from]),
        to: Buffer.concat([lead, key, to, after]),
      };
    }
    const [low, high] = this.#keyBounds(keys);
    const end = lead.length === 0 ? undefined : indexLead;
    return {
      store: this.name,
      from: Buffer.concat([lead, low ?? none]),
      to: high === undefined ? end : Buffer.concat([lead, behindRows(high)]),
    };
  }

  get #hiddenMs(): number {
    return this.#expiry?.hiddenMs ?? Number.NEGATIVE_INFINITY;
  }

  #keyBounds(keys: SoughtKeys<K>): [low: Buffer | undefined, high: Buffer | undefined] {
    if ('key' in keys) {
      const bytes = this.#bytes(keys.key);
      return [bytes, bytes];
    }
    const { from, to } = keys;
    return [from === null ? undefined : this.#bytes(from), to === null ? undefined : this.#bytes(to)];
  }

  #bytes(key: K): Buffer {
    return keyBytes(this.#keys, key, this.name);
  }

  #row({ key, timeMs, tail }: TimedKey<K>): Buffer {
    return Buffer.concat([this.#lead, this.#bytes(key), timeBytes(timeMs), tail]);
  }

  /** The entry beside a row, so that its time is found. A row that is there has one. */
  #index({ key, timeMs, tail }: TimedKey<K>, row: Buffer, isThere: boolean): void {
    const wasThere = (this.#generations.read(mapKey(row))?.bytes ?? null) !== null;
    if (isThere && wasThere) return;
    const entry = Buffer.concat([indexLead, timeBytes(timeMs), this.#bytes(key), tail]);
    requireRecordFits({ store: this.name }, entry, indexed);
    this.#generations.write(mapKey(entry), isThere ? indexed : null, undefined, entry);
  }

  #newExpiry(retentionMs: number, clocks: StoreClocks): Expiry {
    return new Expiry({
      store: this.name,
      retentionMs,
      stepMs: Math.max(1, Math.ceil(retentionMs / expirySteps)),
      generations: this.#generations,
      clocks,
      bounds: (fromMs, endMs) => ({
        from: Buffer.concat([indexLead, timeBytes(fromMs)]),
        to: Buffer.concat([indexLead, timeBytes(endMs)]),
      }),
      timeOf: (entry) => Number(entry.readBigInt64BE(1)),
      remove: (entry) => {
        const time = entry.subarray(1, 9);
        const tailAt = entry.length - this.#tailBytes;
        const row = Buffer.concat([rowLead, entry.subarray(9, tailAt), time, entry.subarray(tailAt)]);
        this.#generations.write(mapKey(row), null, undefined, row);
        this.#generations.write(mapKey(entry), null, undefined, entry);
      },
    });
  }

  #decode(entry: StateEntry): V | undefined {
    if (entry.bytes === null) return undefined;
    if (entry.decoded === undefined) entry.decoded = this.#values.deserialize(entry.bytes, this.name);
    return (entry.decoded as V | null) ?? undefined;
  }
}

/**
 * Behind all rows of all keys up to this one, and before those of most others. What follows a key in a row is a
 * time, whose first byte is 0: so a row of a key that this one begins with may lie behind this one only where this
 * one goes on with a 0.
 */
function behindRows(key: Buffer): Buffer {
  const zeroAt = key.indexOf(0);
  return Buffer.concat([zeroAt < 0 ? key : key.subarray(0, zeroAt), Buffer.from([1])]);
}
