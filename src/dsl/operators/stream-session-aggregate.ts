/**
 * Aggregates over sessions. A record merges all sessions of its key that are at most the gap away into one,
 * itself included; each merged session is deleted (and forwarded as a deletion), then the new one is forwarded.
 * A session takes records as long as its end, with the record, is not before T - grace - gap; one that ended before
 * T - retention is no longer there for a record to merge, whether or not its row was removed yet.
 *
 * The merged aggregate starts afresh: initial value, found sessions in time order, the record last. A result's
 * timestamp is the session's end. Source: org.apache.kafka.streams.kstream.internals.KStreamSessionWindowAggregate.
 */
import type { Prefetch, ProcessorContext, Record, SessionKey, SessionStore } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import type { Merger } from '../windowed-options.ts';
import type { SessionWindows, Windowed } from '../windows.ts';
import { WindowedAggregate, type WindowedAggregateOptions } from './windowed-aggregate.ts';

export interface SessionAggregateOptions<K, V, A> extends WindowedAggregateOptions<K, V, A> {
  readonly merger: Merger<K, A>;
}

export class StreamSessionAggregate<K, V, A> extends WindowedAggregate<K, V, A> {
  readonly #windows: SessionWindows;
  readonly #merger: Merger<K, A>;
  #store!: SessionStore<K, A | null>;

  constructor(windows: SessionWindows, options: SessionAggregateOptions<K, V, A>) {
    super(options);
    this.#windows = windows;
    this.#merger = options.merger;
  }

  override init(context: ProcessorContext<Windowed<K>, Change<A>>): void {
    super.init(context);
    this.#store = context.getStateStore(this.options.store);
  }

  prefetch({ key, timestamp }: Record<K, V>): Prefetch[] {
    const reads: Prefetch[] = [{ store: this.options.clockStore, key: 'clock' }];
    if (key === null || key === undefined) return reads;
    const from = { key, startMs: 0, endMs: timestamp - this.#windows.gapMs };
    reads.push({ store: this.options.store, from, to: from });
    return reads;
  }

  protected override graceMs(): number {
    return this.#windows.graceMs + this.#windows.gapMs;
  }

  protected override update(record: Record<K, V>, closeMs: number): void {
    const { key, value, timestamp } = record;
    const { gapMs } = this.#windows;
    // Without the bound a session that came out as final would come out again, and rows would count that removal,
    // which goes in steps, has left by chance.
    const fromMs = Math.max(timestamp - gapMs, this.times.keptFromMs);
    const found = [...this.#store.findSessions(key, fromMs, timestamp + gapMs)];
    const merged: SessionKey<K> = {
      key,
      startMs: Math.min(timestamp, ...found.map(([session]) => session.startMs)),
      endMs: Math.max(timestamp, ...found.map(([session]) => session.endMs)),
    };
    if (merged.endMs < closeMs) {
      this.late(record, merged, closeMs);
      return;
    }
    let aggregate = this.options.initializer?.();
    for (const [, other] of found) {
      if (other !== null) aggregate = aggregate === undefined ? other : this.#merger(key, aggregate, other);
    }
    // The only session of a moment is overwritten: there is nothing to take back.
    const overwrites = found.length === 1 && merged.startMs === merged.endMs;
    if (!overwrites) for (const [session, other] of found) this.#takeBack(record, session, other);
    const newValue = this.aggregated(key, value, aggregate);
    this.#store.put(merged, newValue);
    if (newValue !== null && !overwrites) this.times.add(merged.endMs, merged.startMs, key);
    this.#forwardSession(record, merged, { newValue, oldValue: null });
  }

  #takeBack(record: Record<K, V>, session: SessionKey<K>, value: A | null): void {
    this.#store.put(session, null);
    this.times.remove(session.endMs, session.startMs, session.key);
    this.#forwardSession(record, session, { newValue: null, oldValue: value });
  }

  #forwardSession(
    record: Record<K, V>,
    { startMs, endMs }: SessionKey<K>,
    change: { readonly newValue: A | null; readonly oldValue: A | null },
  ): void {
    this.forwardUpdate(record, { startMs, endMs }, change, endMs);
  }

  protected override emitClosed(record: Record<K, V>, closeMs: number): void {
    const sessions = this.times
      .takeClosed(closeMs)
      .map(({ key, startMs, timeMs }) => ({ key: key as K, startMs, endMs: timeMs }));
    for (const [index, value] of this.#store.fetchSessions(sessions).entries()) {
      const { key, startMs, endMs } = sessions[index] as SessionKey<K>;
      if (value !== undefined && value !== null)
        this.forwardFinal(record, { key, window: { startMs, endMs } }, value, endMs);
    }
  }

  protected override removeExpired(): void {
    for (const { key, startMs, timeMs } of this.times.takeExpired())
      this.#store.put({ key: key as K, startMs, endMs: timeMs }, null);
  }
}
