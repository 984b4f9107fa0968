/** `toStream`: each change's new value as a record; a deletion is a null value. */
import type { Record } from '../../graph/processor.ts';
import type { Change } from '../change.ts';
import { Operator } from './operator.ts';

export class TableToStream<K, V> extends Operator<K, Change<V>, K, V | null> {
  process(record: Record<K, Change<V>>): void {
    this.context.forward({ ...record, value: record.value.newValue });
  }
}
