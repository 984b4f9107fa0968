/** `split`: sends each record to the first branch whose predicate holds, else to the default one, if any. */
import type { Record } from '../../graph/processor.ts';
import type { Predicate } from '../options.ts';
import { Operator } from './operator.ts';

/** Filled while the topology is built, read by running tasks. */
export interface Branches<K, V> {
  readonly cases: { readonly node: string; readonly predicate: Predicate<K, V> }[];
  fallback: string | undefined;
}

export class StreamBranch<K, V> extends Operator<K, V, K, V> {
  readonly #branches: Branches<K, V>;

  constructor(branches: Branches<K, V>) {
    super();
    this.#branches = branches;
  }

  process(record: Record<K, V>): void {
    const chosen = this.#branches.cases.find(({ predicate }) => predicate(record.key, record.value));
    const node = chosen?.node ?? this.#branches.fallback;
    if (node !== undefined) this.context.forward(record, node);
  }
}
