/**
 * The second step of a stream-stream join, one per side: finds the partners of a record in the other side's
 * window and, in a left or outer join, keeps unmatched records until their time is over.
 *
 * For each record, in this order (docs/semantics.md tells why and shows cases):
 * 1. A null key with a value, on a preserved side, is forwarded alone; any other null is dropped.
 * 2. When the record is the newest so far, unmatched records whose window and grace are over are forwarded
 *    alone, with their own timestamps.
 * 3. One result per partner, in order of time, then of arrival, with the later timestamp of both. A match
 *    takes its partner out of the unmatched ones.
 * 4. Without a partner, a record of a preserved side waits; when its window is over already, it is
 *    forwarded alone at once.
 *
 * A strict join looks for what is over with every record that moves its time on, and when its input is idle;
 * a record waits until its grace is over too, and nothing comes that could have joined it then.
 */
import { must } from '../../base/assert.ts';
import type { Headers } from '../../base/record.ts';
import type { Prefetch, ProcessorContext, Record, Timer, WindowStore } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { JoinWindows, ValueJoiner } from '../options.ts';
import {
  idleKey,
  type JoinClock,
  type JoinSide,
  JoinState,
  mayBePending,
  otherSide,
  PendingKey,
  pendingStretchMs,
  type SequencedValue,
  withPending,
} from './join-state.ts';
import { Operator } from './operator.ts';
import { type JoinStores, joinRetentionMs, joinSpan, type StrictJoin } from './stream-join-window.ts';

export interface StreamStreamJoinOptions<K, VL, VR, VOut> {
  readonly stores: JoinStores;
  readonly windows: JoinWindows;
  readonly joiner: ValueJoiner<K, VL | null, VR | null, VOut>;
  /** Sides whose records come out even without a partner. */
  readonly preserved: Readonly<globalThis.Record<JoinSide, boolean>>;
  readonly strict: StrictJoin | undefined;
}

export class StreamStreamJoin<K, VL, VR, VOut> extends Operator<K, VL | VR, K, VOut> {
  readonly #side: JoinSide;
  readonly #options: StreamStreamJoinOptions<K, VL, VR, VOut>;
  readonly #stretchMs: number;
  #state!: JoinState<K, VL, VR>;
  #otherWindow!: WindowStore<K, SequencedValue<VL | VR>>;

  constructor(side: JoinSide, options: StreamStreamJoinOptions<K, VL, VR, VOut>) {
    super();
    this.#side = side;
    this.#options = options;
    this.#stretchMs = pendingStretchMs(options.windows);
  }

  override init(context: ProcessorContext<K, VOut>): void {
    super.init(context);
    const { stores } = this.#options;
    this.#state = new JoinState(context, stores.shared);
    this.#otherWindow = context.getStateStore(stores[otherSide(this.#side)]);
  }

  process(record: Record<K, VL | VR>): void {
    const { strict } = this.#options;
    if (strict === undefined) this.#process(record);
    else {
      const clock = this.#state.clock();
      const emitted = this.#emitExpired(record.headers, clock);
      if (emitted !== clock) this.#state.setClock(emitted);
      this.#process(record);
      this.#watch(strict);
    }
  }

  prefetchTimer(): Prefetch[] {
    const store = this.#options.stores.shared;
    return [
      { store, key: 'clock' },
      { store, key: idleKey },
    ];
  }

  /**
   * The idle timer of a strict join. It fires with the input read to its end; if nothing came since it was set,
   * the join's time goes on by as much. One that comes late itself proves nothing: there was an outage, a pause
   * or a lag, and records may still be on their way.
   */
  onTimer({ dueMs }: Timer<K>): void {
    const strict = must(this.#options.strict, 'only strict joins have a timer');
    const idle = this.#state.idle();
    const isIdle = idle.arrivals === idle.watched;
    const isLate = this.context.currentSystemTimeMs() - dueMs > strict.idleMs;
    if (isIdle && !isLate) {
      const clock = this.#state.clock();
      const timeMs = clock.timeMs + Math.max(0, dueMs - idle.sinceMs);
      this.#state.setClock(this.#emitExpired([], { ...clock, timeMs }));
    }
    this.#state.setIdle({ ...idle, watched: -1 });
    this.#watch(strict);
  }

  /** Sets the idle timer if something waits for a partner and none is set. */
  #watch({ idleMs }: StrictJoin): void {
    const { pendingMs, timeMs } = this.#state.clock();
    const firstMs = pendingMs[0];
    const idle = this.#state.idle();
    if (firstMs === undefined || idle.watched >= 0) return;
    const { beforeMs, afterMs, graceMs } = this.#options.windows;
    const remainingMs = firstMs + Math.max(beforeMs, afterMs) + graceMs - timeMs;
    const sinceMs = this.context.currentSystemTimeMs();
    // In steps that grow shorter to the end, so that an outage costs little of what was waited already.
    const dueMs = sinceMs + Math.max(idleMs, Math.ceil(remainingMs / 16));
    this.context.timers.schedule({ key: 'idle', name: 'idle', dueMs, clock: 'wall' });
    this.#state.setIdle({ ...idle, watched: idle.arrivals, sinceMs });
  }

  #process(record: Record<K, VL | VR>): void {
    const { key, value, timestamp } = record;
    const preserved = this.#options.preserved[this.#side];
    if (value === null || value === undefined) {
      dropped(this.context, 'null value', record);
      return;
    }
    if (key === null || key === undefined) {
      if (preserved) this.#forward(record, this.#side, value, null);
      else dropped(this.context, 'null key', record);
      return;
    }
    const before = this.#state.clock();
    let clock = before;
    if (timestamp === clock.timeMs && this.#options.strict === undefined)
      clock = this.#emitExpired(record.headers, clock);
    const matched = this.#joinPartners(record, clock);
    if (!matched && preserved) clock = this.#keepOrEmit(record, clock);
    if (clock !== before) this.#state.setClock(clock);
  }

  /** Step 2. */
  #emitExpired(headers: Headers, clock: JoinClock): JoinClock {
    const { windows } = this.#options;
    // Nothing at or after this is over on either side.
    const openMs = clock.timeMs - Math.min(windows.beforeMs, windows.afterMs) - windows.graceMs;
    const firstMs = clock.pendingMs[0];
    if (firstMs === undefined || firstMs >= openMs) return clock;
    // Read to the end of the stretch, so that what stays pending there is known exactly.
    const endMs = (Math.floor((openMs - 1) / this.#stretchMs) + 1) * this.#stretchMs;
    let pendingMs: readonly number[] = clock.pendingMs.filter((ms) => ms >= endMs);
    for (const [pending, row] of this.#state.pending(firstMs, endMs)) {
      if (pending.of === undefined || (row.kind !== 'left' && row.kind !== 'right')) continue;
      const { side, key } = pending.of;
      if (!this.#isOver(side, pending.timestampMs, clock)) {
        pendingMs = withPending(pendingMs, pending.timestampMs, this.#stretchMs);
        continue;
      }
      this.#state.removePending(pending);
      const over = { key, value: row.value, timestamp: pending.timestampMs, headers };
      this.#forward(over, side, row.value, null);
    }
    return { ...clock, pendingMs };
  }

  /** Step 3. */
  #joinPartners(record: Record<K, VL | VR>, clock: JoinClock): boolean {
    const { windows, preserved, strict } = this.#options;
    const { key, value, timestamp } = record;
    const other = otherSide(this.#side);
    const { fromMs, toMs } = joinSpan(this.#side, windows, timestamp);
    const hiddenMs =
      (other === 'left' ? clock.leftMs : clock.rightMs) - joinRetentionMs(windows, strict !== undefined);
    let matched = false;
    for (const [partnerMs, partner] of [...this.#otherWindow.fetch(key, fromMs, toMs)]) {
      if (partnerMs <= hiddenMs) continue;
      matched = true;
      if (preserved[other] && mayBePending(clock.pendingMs, partnerMs, this.#stretchMs))
        this.#state.removePending(
          new PendingKey(partnerMs, { side: other, key, sequence: partner.sequence }),
        );
      const result = { ...record, timestamp: Math.max(timestamp, partnerMs) };
      this.#forward(result, this.#side, value, partner.value);
    }
    return matched;
  }

  /** Step 4. */
  #keepOrEmit(record: Record<K, VL | VR>, clock: JoinClock): JoinClock {
    const { key, value, timestamp } = record;
    const { windows, strict } = this.#options;
    const isOver =
      strict === undefined
        ? joinSpan(this.#side, windows, timestamp).toMs < clock.timeMs
        : this.#isOver(this.#side, timestamp, clock);
    if (isOver) {
      this.#forward(record, this.#side, value, null);
      return clock;
    }
    // The window step, which ran for this very record, has numbered it.
    const pending = new PendingKey(timestamp, { side: this.#side, key, sequence: clock.sequence });
    this.#state.addPending(
      pending,
      this.#side === 'left' ? { kind: 'left', value: value as VL } : { kind: 'right', value: value as VR },
    );
    return { ...clock, pendingMs: withPending(clock.pendingMs, timestamp, this.#stretchMs) };
  }

  /** Whether window and grace of a record of that side and time are over. */
  #isOver(side: JoinSide, timestampMs: number, clock: JoinClock): boolean {
    const { beforeMs, afterMs, graceMs } = this.#options.windows;
    return timestampMs + (side === 'left' ? afterMs : beforeMs) + graceMs < clock.timeMs;
  }

  #forward(record: Record<K, unknown>, side: JoinSide, own: VL | VR, partner: VL | VR | null): void {
    const [left, right] = side === 'left' ? [own, partner] : [partner, own];
    const value = this.#options.joiner(left as VL | null, right as VR | null, record.key);
    this.context.forward({ ...record, value });
  }
}
