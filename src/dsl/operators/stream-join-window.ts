/**
 * The first step of a stream-stream join, one per side: moves the join's clock and stores the record in its
 * side's window, where later records of the other side find it. In a strict join it also drops what is later
 * than the grace.
 *
 * It also says what the whole join will read for a record, for it is the node next to the source; that is
 * why stores are connected to it that only the next step reads.
 */
import type { Prefetch, ProcessorContext, Record, WindowStore } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { JoinWindows } from '../options.ts';
import { idleKey, type JoinSide, JoinState, type SequencedValue } from './join-state.ts';
import { Operator } from './operator.ts';

export interface JoinStores {
  readonly left: string;
  readonly right: string;
  readonly shared: string;
}

/** The times of the other side that a record of this side joins, both inclusive. */
export function joinSpan(
  side: JoinSide,
  { beforeMs, afterMs }: JoinWindows,
  timestampMs: number,
): { fromMs: number; toMs: number } {
  const [back, ahead] = side === 'left' ? [beforeMs, afterMs] : [afterMs, beforeMs];
  return { fromMs: Math.max(0, timestampMs - back), toMs: Math.max(0, timestampMs + ahead) };
}

/** A join whose unmatched results are final. `idleMs`: when its input counts as idle. */
export interface StrictJoin {
  readonly idleMs: number;
}

/**
 * A side's window shows what is younger than this, counted back from the largest time stored on it. Kafka
 * Streams' rule hides partners at the very edge, and with a negative bound more than those; a strict join may not.
 */
export function joinRetentionMs({ beforeMs, afterMs, graceMs }: JoinWindows, isStrict: boolean): number {
  return isStrict ? Math.max(beforeMs, 0) + Math.max(afterMs, 0) + graceMs + 1 : beforeMs + afterMs + graceMs;
}

export class StreamJoinWindow<K, V> extends Operator<K, V, K, V> {
  readonly #side: JoinSide;
  readonly #stores: JoinStores;
  readonly #windows: JoinWindows;
  readonly #strict: StrictJoin | undefined;
  #window!: WindowStore<K, SequencedValue<V>>;
  #state!: JoinState<K, unknown, unknown>;

  constructor(side: JoinSide, stores: JoinStores, windows: JoinWindows, strict: StrictJoin | undefined) {
    super();
    this.#side = side;
    this.#stores = stores;
    this.#windows = windows;
    this.#strict = strict;
  }

  override init(context: ProcessorContext<K, V>): void {
    super.init(context);
    this.#window = context.getStateStore(this.#stores[this.#side]);
    this.#state = new JoinState(context, this.#stores.shared);
  }

  prefetch({ key, timestamp }: Record<K, V>): Prefetch[] {
    const reads: Prefetch[] = [{ store: this.#stores.shared, key: 'clock' }];
    if (this.#strict !== undefined) reads.push({ store: this.#stores.shared, key: idleKey });
    if (key === null || key === undefined) return reads;
    const { left, right } = this.#stores;
    // A join with one window reads it for both sides.
    for (const side of left === right ? (['left', 'right'] as const) : [this.#side]) {
      const { fromMs, toMs } = joinSpan(side, this.#windows, timestamp);
      reads.push({
        store: side === 'left' ? right : left,
        from: { key, timestampMs: fromMs },
        to: { key, timestampMs: toMs },
      });
    }
    return reads;
  }

  process(record: Record<K, V>): void {
    const { key, value, timestamp } = record;
    const before = this.#state.clock();
    const clock = { ...before, timeMs: Math.max(before.timeMs, timestamp) };
    if (this.#strict !== undefined) {
      const idle = this.#state.idle();
      this.#state.setIdle({ ...idle, arrivals: idle.arrivals + 1 });
      // It could join what has come out as unmatched.
      if (timestamp < clock.timeMs - this.#windows.graceMs) {
        dropped(this.context, 'late', record);
        return;
      }
    }
    if (key !== null && key !== undefined && value !== null && value !== undefined) {
      const sideMs = this.#side === 'left' ? 'leftMs' : 'rightMs';
      clock[sideMs] = Math.max(before[sideMs], timestamp);
      clock.sequence++;
      // Older than what the window shows: it would only take space.
      if (timestamp > clock[sideMs] - joinRetentionMs(this.#windows, this.#strict !== undefined))
        this.#window.put(key, { sequence: clock.sequence, value }, timestamp);
      else dropped(this.context, 'late', record);
    }
    this.#state.setClock(clock);
    this.context.forward(record);
  }
}
