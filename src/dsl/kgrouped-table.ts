/**
 * The class behind KGroupedTable. Each change goes through a repartition topic as the
 * removal of the old row and the addition of the new one; see operators/table-group-by.ts.
 */
import { longSerde, type Serde } from '../serde/serde.ts';
import type { KGroupedTable, KTable } from './api.ts';
import { type Change, changeSerde } from './change.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { TableAggregate } from './operators/table-aggregate.ts';
import {
  type AggregateOptions,
  type Aggregator,
  asSerde,
  type Grouped,
  type Initializer,
  needSerde,
  type Reducer,
  type SameTypeOptions,
  type TableOptions,
} from './options.ts';
import { type Demand, storedView } from './table-view.ts';

export class KGroupedTableImpl<K, V> implements KGroupedTable<K, V> {
  readonly #graph: DslGraph;
  /** The regrouping node. */
  readonly #parent: string;
  readonly #grouped: Grouped<K, V>;
  #through: StreamHandle<K, Change<V>> | undefined;

  constructor(graph: DslGraph, parent: string, grouped: Grouped<K, V>) {
    this.#graph = graph;
    this.#parent = parent;
    this.#grouped = grouped;
  }

  count(options: TableOptions<K, number> = {}): KTable<K, number> {
    const folds = {
      adder: (_key: K, _row: V, count: number) => count + 1,
      subtractor: (_key: K, _row: V, count: number) => count - 1,
    };
    return this.#fold<number>('KTABLE-AGGREGATE-', options, longSerde, () => 0, folds);
  }

  reduce(adder: Reducer<V>, subtractor: Reducer<V>, options: SameTypeOptions<K, V> = {}): KTable<K, V> {
    const folds = {
      adder: (_key: K, row: V, aggregate: V) => adder(aggregate, row),
      subtractor: (_key: K, row: V, aggregate: V) => subtractor(aggregate, row),
    };
    // Table values are never null, so NonNullable<V> is V.
    const serde = this.#grouped.valueSerde as Serde<V> | undefined;
    return this.#fold<V>('KTABLE-REDUCE-', options, serde, undefined, folds);
  }

  aggregate<A>(
    initializer: Initializer<A>,
    adder: Aggregator<K, V, A>,
    subtractor: Aggregator<K, V, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A> {
    return this.#fold<A>('KTABLE-AGGREGATE-', options, undefined, initializer, { adder, subtractor });
  }

  #fold<A>(
    prefix: string,
    { named, materialized }: SameTypeOptions<K, A>,
    defaultSerde: Serde<A> | undefined,
    initializer: Initializer<A> | undefined,
    folds: { readonly adder: Aggregator<K, V, A>; readonly subtractor: Aggregator<K, V, A> },
  ): KTable<K, A> {
    const graph = this.#graph;
    const store = graph.storeName(materialized?.name, 'KTABLE-AGGREGATE-');
    const sink = graph.suffixedName(named, '-sink', 'KSTREAM-SINK-');
    const source = graph.suffixedName(named, '-source', 'KSTREAM-SOURCE-');
    const node = graph.nodeName(named, prefix);
    const from = this.#repartition(`${this.#grouped.name ?? store}-repartition`, sink, source);
    const demand: Demand = { oldValues: false };
    graph.addOperator({
      name: node,
      parents: [from.node],
      supplier: () => new TableAggregate({ store, initializer, ...folds, demand }),
      keepsKey: true,
    });
    const keySerde = materialized?.keySerde ?? this.#grouped.keySerde;
    const valueSerde = asSerde(materialized?.valueSerde) ?? defaultSerde;
    graph.addTableStore(store, node, keySerde, valueSerde, materialized ?? {});
    const view = storedView<K, A>(store, demand, materialized?.versioned !== undefined);
    return graph.table({
      node,
      keySerde,
      valueSerde,
      sources: from.sources,
      view,
      queryable: materialized?.name,
    });
  }

  #repartition(topic: string, sink: string, source: string): StreamHandle<K, Change<V>> {
    if (this.#through !== undefined && this.#grouped.name !== undefined) return this.#through;
    const hint = 'give groupBy its keySerde and valueSerde';
    const keySerde = needSerde('key', topic, hint, this.#grouped.keySerde);
    const valueSerde = changeSerde(needSerde('value', topic, hint, this.#grouped.valueSerde)) as Serde<
      Change<V>
    >;
    this.#graph.topology.addRepartition({ name: topic, partitions: undefined });
    this.#through = this.#graph.throughTopic<K, Change<V>>(
      { topic, sink, source },
      [this.#parent],
      keySerde,
      valueSerde,
    );
    return this.#through;
  }
}
