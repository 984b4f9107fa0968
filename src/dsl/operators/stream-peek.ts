/**
 * `peek` and `foreach`: calls the user's action. The action may be called more than once for a record
 * (a transaction that is aborted, state that had to be loaded below), so it is for logs and counts only.
 */
import type { Record } from '../../graph/processor.ts';
import type { ForeachAction } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamPeek<K, V> extends Operator<K, V, K, V> {
  readonly #action: ForeachAction<K, V>;

  constructor(action: ForeachAction<K, V>) {
    super();
    this.#action = action;
  }

  process(record: Record<K, V>): void {
    this.#action(record.key, record.value);
    this.context.forward(record);
  }
}
