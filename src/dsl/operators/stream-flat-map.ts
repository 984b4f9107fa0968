/** `flatMap`: any number of records out for each record in, with its timestamp and headers. */
import type { Record } from '../../graph/processor.ts';
import type { KeyValue, KeyValueMapper } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamFlatMap<K, V, K2, V2> extends Operator<K, V, K2, V2> {
  readonly #mapper: KeyValueMapper<K, V, Iterable<KeyValue<K2, V2>>>;

  constructor(mapper: KeyValueMapper<K, V, Iterable<KeyValue<K2, V2>>>) {
    super();
    this.#mapper = mapper;
  }

  process(record: Record<K, V>): void {
    for (const [key, value] of this.#mapper(record.key, record.value))
      this.context.forward({ ...record, key, value });
  }
}
