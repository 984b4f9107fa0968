/**
 * What both sides of a stream-stream join share, in one key-value store of the task:
 *
 *   one clock row      the join's time, the largest time stored on each side, a sequence, where pending
 *                      records lie in time
 *   pending records    of a left or outer join: unmatched so far, by (time, side, key, sequence)
 *   one idle row       of a strict join: what its idle timer has to know
 *
 * All of it is state, not memory: after a crash or an abort the join goes on with the very clock it had.
 * Pure but for the store it is given.
 */
import { readSortableInteger, sortableInteger } from '../../base/bytes.ts';
import { StreamsError } from '../../base/errors.ts';
import type { RowPlacement } from '../../graph/node.ts';
import type { KeyValueStore, ProcessorContext } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import type { JoinWindows } from '../options.ts';
import { bytesOf, escaped, unescaped } from './ordered-key.ts';

export type JoinSide = 'left' | 'right';

export function otherSide(side: JoinSide): JoinSide {
  return side === 'left' ? 'right' : 'left';
}

/** Units: milliseconds since the epoch; -1 before the first record. */
export interface JoinClock {
  /** The largest timestamp that came to the join, dropped records included. */
  readonly timeMs: number;
  /** The largest timestamp stored on each side: it decides what that side's window still shows. */
  readonly leftMs: number;
  readonly rightMs: number;
  /** Of the last record stored. */
  readonly sequence: number;
  /** The smallest pending timestamp of each stretch of time that has any, ascending; a lower bound. */
  readonly pendingMs: readonly number[];
}

/**
 * Whether anything has come since the idle timer was set. `watched`: the arrivals at that moment, or -1 when
 * no timer is set; `sinceMs`: its wall clock.
 */
export interface JoinIdle {
  readonly arrivals: number;
  readonly watched: number;
  readonly sinceMs: number;
}

/** Stands for the idle row as a key. */
export const idleKey: unique symbol = Symbol('idle');

const freshClock: JoinClock = { timeMs: -1, leftMs: -1, rightMs: -1, sequence: 0, pendingMs: [] };

/** A value in a join's window, with the number that its pending entry has. */
export interface SequencedValue<V> {
  readonly sequence: number;
  readonly value: V;
}

/** Layout: sequence (8) · value. */
export function sequencedSerde<V>(inner: Serde<V>): Serde<SequencedValue<V>> {
  return {
    name: `sequenced ${inner.name}`,
    serialize: (entry, topic) =>
      entry === null
        ? null
        : Buffer.concat([sortableInteger(entry.sequence), bytesOf(inner, entry.value, topic)]),
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const value = inner.deserialize(bytes.subarray(8), topic);
      return value === null ? null : { sequence: readSortableInteger(bytes), value };
    },
  };
}

/** A key of the shared store. Without `of`: a bound, before everything that is pending at its time. */
export class PendingKey<K> {
  readonly timestampMs: number;
  readonly of: { readonly side: JoinSide; readonly key: K; readonly sequence: number } | undefined;

  constructor(timestampMs: number, of?: { side: JoinSide; key: K; sequence: number }) {
    this.timestampMs = timestampMs;
    this.of = of;
  }
}

const clockBytes = Buffer.from([0]);
const idleBytes = Buffer.from([2]);
const pendingTag = Buffer.from([1]);
type SharedKey<K> = PendingKey<K> | typeof idleKey | null;

/**
 * Layout of a pending key: 1 · time (8) · side (right 0, left 1) · key, escaped · sequence (8).
 * Whatever is not a PendingKey stands for the clock row: the engine loads the record's key in every store
 * of the nodes it comes to, and of this store the clock is what each record needs.
 */
export function sharedKeySerde<K>(keys: Serde<K>): Serde<SharedKey<K>> {
  return {
    name: `join of ${keys.name}`,
    serialize: (key, topic) => {
      if (key === idleKey) return idleBytes;
      if (!(key instanceof PendingKey)) return clockBytes;
      const time = sortableInteger(key.timestampMs);
      if (key.of === undefined) return Buffer.concat([pendingTag, time]);
      const { side, key: own, sequence } = key.of;
      const bytes = escaped(bytesOf(keys, own, topic));
      return Buffer.concat([
        pendingTag,
        time,
        Buffer.from([side === 'left' ? 1 : 0]),
        bytes,
        sortableInteger(sequence),
      ]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null || bytes[0] !== 1) return null;
      const key = keys.deserialize(unescaped(bytes.subarray(10, bytes.length - 8)), topic);
      if (key === null) throw new StreamsError('RECORD_UNREADABLE', 'a pending record has no key');
      const side = bytes[9] === 1 ? 'left' : 'right';
      const sequence = readSortableInteger(bytes, bytes.length - 8);
      return new PendingKey(readSortableInteger(bytes, 1), { side, key, sequence });
    },
  };
}

/** For `repartitionState`: every new task goes on from the latest clock there was. Not of strict joins, which have timers. */
export function sharedPlacement(
  keySerde: Serde<unknown>,
  rows: Serde<SharedRow<unknown, unknown>>,
  stretchMs: number,
): RowPlacement {
  return {
    keySerde,
    keyOf: (row) => (row[0] === 1 ? unescaped(row.subarray(10, row.length - 8)) : undefined),
    merge: (values) => {
      const clocks = values.flatMap((bytes) => {
        const row = rows.deserialize(bytes, '');
        return row?.kind === 'clock' ? [row.clock] : [];
      });
      const last = (of: (clock: JoinClock) => number): number => Math.max(...clocks.map(of));
      if (clocks.length === 0) return undefined;
      const clock: JoinClock = {
        timeMs: last(({ timeMs }) => timeMs),
        leftMs: last(({ leftMs }) => leftMs),
        rightMs: last(({ rightMs }) => rightMs),
        sequence: last(({ sequence }) => sequence),
        pendingMs: clocks
          .flatMap(({ pendingMs }) => pendingMs)
          .reduce<readonly number[]>((all, ms) => withPending(all, ms, stretchMs), []),
      };
      return rows.serialize({ kind: 'clock', clock }, '') ?? undefined;
    },
  };
}

export type SharedRow<VL, VR> =
  | { readonly kind: 'clock'; readonly clock: JoinClock }
  | { readonly kind: 'idle'; readonly idle: JoinIdle }
  | { readonly kind: 'left'; readonly value: VL }
  | { readonly kind: 'right'; readonly value: VR };

/** Layout: a tag (clock 0, left 1, right 2, idle 3), then the row's numbers (8 each) or the value. */
export function sharedRowSerde<VL, VR>(left: Serde<VL>, right: Serde<VR>): Serde<SharedRow<VL, VR>> {
  return {
    name: `join of ${left.name} and ${right.name}`,
    serialize: (row, topic) => {
      if (row === null) return null;
      if (row.kind === 'left') return Buffer.concat([Buffer.from([1]), bytesOf(left, row.value, topic)]);
      if (row.kind === 'right') return Buffer.concat([Buffer.from([2]), bytesOf(right, row.value, topic)]);
      if (row.kind === 'idle') {
        const { arrivals, watched, sinceMs } = row.idle;
        return Buffer.concat([Buffer.from([3]), ...[arrivals, watched, sinceMs].map(sortableInteger)]);
      }
      const { timeMs, leftMs, rightMs, sequence, pendingMs } = row.clock;
      const numbers = [timeMs, leftMs, rightMs, sequence, ...pendingMs];
      return Buffer.concat([Buffer.from([0]), ...numbers.map(sortableInteger)]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      if (bytes[0] === 1) return { kind: 'left', value: left.deserialize(bytes.subarray(1), topic) as VL };
      if (bytes[0] === 2) return { kind: 'right', value: right.deserialize(bytes.subarray(1), topic) as VR };
      const numbers: number[] = [];
      for (let at = 1; at + 8 <= bytes.length; at += 8) numbers.push(readSortableInteger(bytes, at));
      if (bytes[0] === 3) {
        const [arrivals, watched, sinceMs] = numbers as [number, number, number];
        return { kind: 'idle', idle: { arrivals, watched, sinceMs } };
      }
      const [timeMs, leftMs, rightMs, sequence, ...pendingMs] = numbers as [number, number, number, number];
      return { kind: 'clock', clock: { timeMs, leftMs, rightMs, sequence, pendingMs } };
    },
  };
}

/** The shared store, as a join's processors use it. */
export class JoinState<K, VL, VR> {
  readonly #store: KeyValueStore<SharedKey<K>, SharedRow<VL, VR> | null>;

  constructor(context: ProcessorContext<never, never>, name: string) {
    this.#store = context.getStateStore(name);
  }

  clock(): JoinClock {
    const row = this.#store.get(null);
    return row?.kind === 'clock' ? row.clock : freshClock;
  }

  setClock(clock: JoinClock): void {
    this.#store.put(null, { kind: 'clock', clock });
  }

  idle(): JoinIdle {
    const row = this.#store.get(idleKey);
    return row?.kind === 'idle' ? row.idle : { arrivals: 0, watched: -1, sinceMs: -1 };
  }

  setIdle(idle: JoinIdle): void {
    this.#store.put(idleKey, { kind: 'idle', idle });
  }

  addPending(key: PendingKey<K>, row: SharedRow<VL, VR>): void {
    this.#store.put(key, row);
  }

  /** Need not be there. Not `delete`, which would have to read. */
  removePending(key: PendingKey<K>): void {
    this.#store.put(key, null);
  }

  /** Pending records with fromMs <= time < toMs, by time, right before left, then key bytes and arrival. */
  pending(fromMs: number, toMs: number): (readonly [PendingKey<K>, SharedRow<VL, VR>])[] {
    const found: (readonly [PendingKey<K>, SharedRow<VL, VR>])[] = [];
    for (const [key, row] of this.#store.range(new PendingKey<K>(fromMs), new PendingKey<K>(toMs))) {
      if (key instanceof PendingKey && row !== null) found.push([key, row]);
    }
    return found;
  }
}

/**
 * Pending records are remembered by stretches of time, so that the clock row stays small (all of them lie
 * within a window and its grace) and a look for expired ones reads little else. At least 1 ms.
 */
export function pendingStretchMs({ beforeMs, afterMs, graceMs }: JoinWindows): number {
  return Math.max(1, Math.ceil((Math.max(beforeMs, afterMs, 0) + graceMs) / 32));
}

export function withPending(
  pendingMs: readonly number[],
  timestampMs: number,
  stretchMs: number,
): readonly number[] {
  const stretch = Math.floor(timestampMs / stretchMs);
  const at = pendingMs.findIndex((ms) => Math.floor(ms / stretchMs) >= stretch);
  if (at < 0) return [...pendingMs, timestampMs];
  const found = pendingMs[at] as number;
  const same = Math.floor(found / stretchMs) === stretch;
  if (same && found <= timestampMs) return pendingMs;
  return pendingMs.toSpliced(at, same ? 1 : 0, timestampMs);
}

export function mayBePending(pendingMs: readonly number[], timestampMs: number, stretchMs: number): boolean {
  const stretch = Math.floor(timestampMs / stretchMs);
  return pendingMs.some((ms) => ms <= timestampMs && Math.floor(ms / stretchMs) === stretch);
}
