/**
 * What a windowed aggregate remembers besides its windows, in one key-value store beside the window store:
 *
 *   one clock row     the largest timestamp of each input, up to where windows were removed and emitted
 *   window rows       one for each window there is, by time, so that what is over is found by a range
 *
 * Each record of an operator reads the clock, and a window is remembered once, when it comes to be.
 *
 * All of it is state, not memory: after a crash or an abort the operator goes on with the very clock it
 * had, and refuses the very records that it would have refused.
 *
 * Times are window starts for time and sliding windows, ends for sessions.
 */
import { readSortableInteger, sortableInteger } from '../../base/bytes.ts';
import { StreamsError } from '../../base/errors.ts';
import type { KeyValueStore, ProcessorContext } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import { noMarks, stretchEndMs, type TimeMarks, withMark, withoutBelow } from './time-marks.ts';

/** Units: milliseconds since the epoch. */
export interface WindowClock {
  /** The largest timestamp of each input (a plain aggregate has one); -1 before its first record. */
  readonly inputMs: readonly number[];
  /** No window row is earlier; undefined while there is none. */
  readonly earliestMs: number | undefined;
  /** Window rows that are still to be emitted when they close. */
  readonly unemitted: TimeMarks;
}

const freshClock: WindowClock = { inputMs: [], earliestMs: undefined, unemitted: noMarks };

/** A window of a key by its time; `startMs` is the session's start, or the time again. */
export class WindowRow<K> {
  readonly timeMs: number;
  readonly startMs: number;
  readonly key: K | undefined;

  /** Without a key: a bound, before all rows of its time. */
  constructor(timeMs: number, startMs: number, key?: K) {
    this.timeMs = timeMs;
    this.startMs = startMs;
    this.key = key;
  }
}

const clockBytes = Buffer.from([0]);
const rowTag = Buffer.from([1]);

/**
 * Layout of a window row's key: 1 · time (8) · start (8) · key, so that rows sort by time, then by key bytes.
 * Whatever is not a WindowRow stands for the clock row, which each record needs (see join-state.ts).
 */
export function windowRowSerde<K>(keys: Serde<K>): Serde<WindowRow<K> | null> {
  return {
    name: `windows of ${keys.name}`,
    serialize: (row, topic) => {
      if (!(row instanceof WindowRow)) return clockBytes;
      const head = [rowTag, sortableInteger(row.timeMs), sortableInteger(row.startMs)];
      if (row.key === undefined) return Buffer.concat(head.slice(0, 2));
      const key = keys.serialize(row.key, topic);
      if (key === null)
        throw new StreamsError('VALUE_NOT_SERIALIZABLE', `serde ${keys.name} made nothing of a window's key`);
      return Buffer.concat([...head, key]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null || bytes[0] !== 1) return null;
      const key = keys.deserialize(bytes.subarray(17), topic);
      if (key === null) throw new StreamsError('RECORD_UNREADABLE', 'a window has no key');
      return new WindowRow(readSortableInteger(bytes, 1), readSortableInteger(bytes, 9), key);
    },
  };
}

/** A value of the store: the clock, or the mark that a window is there. */
export type WindowMark = WindowClock | 'there';

/**
 * Layout of the clock: count of inputs (8) · their times (8 each) · earliest (8; -1 = none) · stretch (8) ·
 * marks (8 each). Of a mark: one byte.
 */
export const windowMarkSerde: Serde<WindowMark> = {
  name: 'window mark',
  serialize: (value) => {
    if (value === null) return null;
    if (value === 'there') return Buffer.from([1]);
    const { inputMs, earliestMs, unemitted } = value;
    const numbers = [inputMs.length, ...inputMs, earliestMs ?? -1, unemitted.stretchMs, ...unemitted.firstMs];
    return Buffer.concat(numbers.map(sortableInteger));
  },
  deserialize: (bytes) => {
    if (bytes === null) return null;
    if (bytes.length === 1) return 'there';
    const numbers: number[] = [];
    for (let at = 0; at + 8 <= bytes.length; at += 8) numbers.push(readSortableInteger(bytes, at));
    const [inputs = 0, ...rest] = numbers;
    const [earliest = -1, stretchMs = 1, ...firstMs] = rest.slice(inputs);
    return {
      inputMs: rest.slice(0, inputs),
      earliestMs: earliest < 0 ? undefined : earliest,
      unemitted: { stretchMs, firstMs },
    };
  },
};

export interface WindowClockOptions {
  readonly store: string;
  /** Infinity: windows are kept for ever, and none is remembered. */
  readonly retentionMs: number;
  /** Windows are emitted when they close: remember which are not yet. */
  readonly emitsFinal: boolean;
}

/** Kafka Streams' shortest segment: what expires is removed in steps of at least this. */
const segmentMsMin = 60_000;

/**
 * The store, for one record: `begin` with it, then the rest, then `end`, which writes the clock if it has
 * changed.
 */
export class WindowTimes<K> {
  readonly #options: WindowClockOptions;
  readonly #store: KeyValueStore<WindowRow<K> | null, WindowMark | null>;
  #before: WindowClock = freshClock;
  #clock: WindowClock = freshClock;

  constructor(context: ProcessorContext<never, never>, options: WindowClockOptions) {
    this.#options = options;
    this.#store = context.getStateStore(options.store);
  }

  /** Moves the input's clock on; returns its time, the record included. */
  begin(input: number, timestampMs: number): number {
    const row = this.#store.get(null);
    this.#before = row === undefined || row === null || row === 'there' ? freshClock : row;
    this.#clock = this.#before;
    const observedMs = this.#before.inputMs[input] ?? -1;
    if (timestampMs <= observedMs) return observedMs;
    const inputMs = Array.from({ length: Math.max(this.#before.inputMs.length, input + 1) }, (_, i) =>
      i === input ? timestampMs : (this.#before.inputMs[i] ?? -1),
    );
    this.#clock = { ...this.#before, inputMs };
    return timestampMs;
  }

  /** Windows with an earlier time are over for good, their rows may go at any moment: T of all inputs - retention. */
  get keptFromMs(): number {
    return Math.max(-1, ...this.#clock.inputMs) - this.#options.retentionMs;
  }

  /** A window that was not there. */
  add(timeMs: number, startMs: number, key: K): void {
    const { retentionMs, emitsFinal } = this.#options;
    if (retentionMs === Number.POSITIVE_INFINITY) return;
    this.#store.put(new WindowRow(timeMs, startMs, key), 'there');
    const { earliestMs, unemitted } = this.#clock;
    this.#clock = {
      ...this.#clock,
      earliestMs: Math.min(earliestMs ?? timeMs, timeMs),
      unemitted: emitsFinal ? withMark(unemitted, timeMs) : unemitted,
    };
  }

  /** A window that was merged into another. */
  remove(timeMs: number, startMs: number, key: K): void {
    this.#store.put(new WindowRow(timeMs, startMs, key), null);
  }

  /** Windows with time < endMs that were not emitted yet, by time, start and key; from now on they were. */
  takeClosed(endMs: number): WindowRow<K>[] {
    const { unemitted } = this.#clock;
    const firstMs = unemitted.firstMs[0];
    if (firstMs === undefined || firstMs >= endMs) return [];
    // To the end of the stretch, so that its first one that stays is known exactly.
    const readEndMs = stretchEndMs(unemitted, endMs - 1);
    let left = withoutBelow(unemitted, readEndMs);
    const closed: WindowRow<K>[] = [];
    for (const row of this.#range(firstMs, readEndMs)) {
      if (row.timeMs < endMs) closed.push(row);
      else left = withMark(left, row.timeMs);
    }
    this.#clock = { ...this.#clock, unemitted: left };
    return closed;
  }

  /**
   * Windows that the store need not keep any longer: their rows are gone, the caller deletes the windows.
   * In steps, so that time that jumps far does not bring everything into memory at once.
   */
  takeExpired(): WindowRow<K>[] {
    const { retentionMs } = this.#options;
    const { earliestMs, inputMs } = this.#clock;
    if (earliestMs === undefined || retentionMs === Number.POSITIVE_INFINITY) return [];
    const expiredMs = Math.max(...inputMs) - retentionMs;
    const stepMs = Math.max(Math.floor(retentionMs / 2), segmentMsMin);
    if (expiredMs - earliestMs < stepMs) return [];
    const endMs = Math.min(
      expiredMs,
      earliestMs + Math.max(stepMs, Math.floor((expiredMs - earliestMs) / 16)),
    );
    const expired = this.#range(earliestMs, endMs);
    for (const row of expired) this.#store.put(row, null);
    this.#clock = { ...this.#clock, earliestMs: endMs };
    return expired;
  }

  end(): void {
    if (this.#clock !== this.#before) this.#store.put(null, this.#clock);
  }

  #range(fromMs: number, toMs: number): WindowRow<K>[] {
    const rows: WindowRow<K>[] = [];
    for (const [row] of this.#store.range(new WindowRow<K>(fromMs, 0), new WindowRow<K>(toMs, 0))) {
      if (row !== null) rows.push(row);
    }
    return rows;
  }
}
