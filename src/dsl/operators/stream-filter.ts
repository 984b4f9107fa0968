/** `filter`, `filterNot`, and the step before a repartition topic that keeps out null keys. */
import type { Record } from '../../graph/processor.ts';
import { dropped } from '../dropped.ts';
import type { Predicate } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamFilter<K, V> extends Operator<K, V, K, V> {
  readonly #keep: Predicate<K, V>;
  readonly #countDropped: boolean;

  /** `countDropped`: what is not kept is lost input, not the user's choice. */
  constructor(keep: Predicate<K, V>, countDropped = false) {
    super();
    this.#keep = keep;
    this.#countDropped = countDropped;
  }

  process(record: Record<K, V>): void {
    if (this.#keep(record.key, record.value)) this.context.forward(record);
    else if (this.#countDropped) dropped(this.context, 'null key', record);
  }
}
