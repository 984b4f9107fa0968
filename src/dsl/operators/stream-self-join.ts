/**
 * The second step of an inner join of a stream with itself that keeps one window (`single.store.self.join`). What
 * comes out, and in which order, is what the two steps of a join with two windows send: first the record on the left
 * with all that came before it, then those before it, and itself, on the left of it.
 */
import type { ProcessorContext, Record, WindowStore } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { JoinWindows, ValueJoiner } from '../options.ts';
import { JoinState, type SequencedValue } from './join-state.ts';
import { Operator } from './operator.ts';
import { type JoinStores, joinRetentionMs, joinSpan } from './stream-join-window.ts';

export interface StreamSelfJoinOptions<K, V, VOut> {
  /** `left` and `right` are one. */
  readonly stores: JoinStores;
  readonly windows: JoinWindows;
  readonly joiner: ValueJoiner<K, V, V, VOut>;
}

export class StreamSelfJoin<K, V, VOut> extends Operator<K, V, K, VOut> {
  readonly #options: StreamSelfJoinOptions<K, V, VOut>;
  #state!: JoinState<K, V, V>;
  #window!: WindowStore<K, SequencedValue<V>>;

  constructor(options: StreamSelfJoinOptions<K, V, VOut>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, VOut>): void {
    super.init(context);
    const { stores } = this.#options;
    this.#state = new JoinState(context, stores.shared);
    this.#window = context.getStateStore(stores.left);
  }

  process(record: Record<K, V>): void {
    const { key, value, timestamp } = record;
    if (key === null || key === undefined || value === null || value === undefined) {
      dropped(this.context, value === null || value === undefined ? 'null value' : 'null key', record);
      return;
    }
    const { windows, joiner } = this.#options;
    // The window step has counted this record on the left; on the right it comes now.
    const clock = this.#state.clock();
    const stored = timestamp > clock.leftMs - joinRetentionMs(windows, false);
    for (const side of ['left', 'right'] as const) {
      const { fromMs, toMs } = joinSpan(side, windows, timestamp);
      const hiddenMs = (side === 'left' ? clock.rightMs : clock.leftMs) - joinRetentionMs(windows, false);
      for (const [partnerMs, partner] of [...this.#window.fetch(key, fromMs, toMs)]) {
        const isItself = stored && partner.sequence === clock.sequence;
        if (partnerMs <= hiddenMs || (side === 'left' && isItself)) continue;
        const joined =
          side === 'left' ? joiner(value, partner.value, key) : joiner(partner.value, value, key);
        this.context.forward({ ...record, value: joined, timestamp: Math.max(timestamp, partnerMs) });
      }
    }
    this.#state.setClock({ ...clock, rightMs: clock.leftMs });
  }
}
