/** Forwards as it is: where streams meet (`merge`, the end of a join) and where a branch begins. */
import type { Record } from '../../graph/processor.ts';
import { Operator } from './operator.ts';

export class PassThrough<K, V> extends Operator<K, V, K, V> {
  process(record: Record<K, V>): void {
    this.context.forward(record);
  }
}
