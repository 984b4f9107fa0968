/** `flatMapValues`: any number of values out for each one in, under the same key. */
import type { Record } from '../../graph/processor.ts';
import type { ValueMapper } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamFlatMapValues<K, V, V2> extends Operator<K, V, K, V2> {
  readonly #mapper: ValueMapper<K, V, Iterable<V2>>;

  constructor(mapper: ValueMapper<K, V, Iterable<V2>>) {
    super();
    this.#mapper = mapper;
  }

  process(record: Record<K, V>): void {
    for (const value of this.#mapper(record.value, record.key)) this.context.forward({ ...record, value });
  }
}
