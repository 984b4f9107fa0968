/** `map` and `selectKey`: one record out for each record in, under a key that may be new. */
import type { Record } from '../../graph/processor.ts';
import type { KeyValue, KeyValueMapper } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamMap<K, V, K2, V2> extends Operator<K, V, K2, V2> {
  readonly #mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>;

  constructor(mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>) {
    super();
    this.#mapper = mapper;
  }

  process(record: Record<K, V>): void {
    const [key, value] = this.#mapper(record.key, record.value);
    this.context.forward({ ...record, key, value });
  }
}
