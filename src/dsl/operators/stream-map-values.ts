/** `mapValues`: a new value under the same key, so nothing has to be repartitioned. */
import type { Record } from '../../graph/processor.ts';
import type { ValueMapper } from '../options.ts';
import { Operator } from './operator.ts';

export class StreamMapValues<K, V, V2> extends Operator<K, V, K, V2> {
  readonly #mapper: ValueMapper<K, V, V2>;

  constructor(mapper: ValueMapper<K, V, V2>) {
    super();
    this.#mapper = mapper;
  }

  process(record: Record<K, V>): void {
    this.context.forward({ ...record, value: this.#mapper(record.value, record.key) });
  }
}
