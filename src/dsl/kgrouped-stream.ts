/**
 * The class behind KGroupedStream. The repartition topic, when the key had changed, is
 * made by the first aggregate; a second one shares it if the group has a name, as in Kafka Streams.
 */
import { longSerde, type Serde } from '../serde/serde.ts';
import type { KGroupedStream, KTable } from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { StreamAggregate } from './operators/stream-aggregate.ts';
import {
  type AggregateOptions,
  type Aggregator,
  asSerde,
  type Grouped,
  type Initializer,
  type Reducer,
  type SameTypeOptions,
  type TableOptions,
} from './options.ts';
import { type Demand, storedView } from './table-view.ts';

export class KGroupedStreamImpl<K, V> implements KGroupedStream<K, V> {
  readonly #graph: DslGraph;
  readonly #stream: StreamHandle<K, V>;
  readonly #name: string | undefined;
  #repartitioned: StreamHandle<K, V> | undefined;

  constructor(graph: DslGraph, stream: StreamHandle<K, V>, grouped: Grouped<K, V>) {
    this.#graph = graph;
    this.#name = grouped.name;
    this.#stream = {
      ...stream,
      keySerde: grouped.keySerde ?? stream.keySerde,
      valueSerde: asSerde(grouped.valueSerde) ?? stream.valueSerde,
    };
  }

  count(options: TableOptions<K, number> = {}): KTable<K, number> {
    return this.#fold<number>(
      'KSTREAM-AGGREGATE-',
      options,
      longSerde,
      () => 0,
      (_key, _value, count) => count + 1,
    );
  }

  reduce(
    reducer: Reducer<NonNullable<V>>,
    options: SameTypeOptions<K, NonNullable<V>> = {},
  ): KTable<K, NonNullable<V>> {
    return this.#fold<NonNullable<V>>(
      'KSTREAM-REDUCE-',
      options,
      this.#stream.valueSerde,
      undefined,
      (_key, value, aggregate) => reducer(aggregate, value),
    );
  }

  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, NonNullable<V>, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A> {
    return this.#fold<A>('KSTREAM-AGGREGATE-', options, undefined, initializer, aggregator);
  }

  #fold<A>(
    prefix: string,
    { named, materialized }: SameTypeOptions<K, A>,
    defaultSerde: Serde<A> | undefined,
    initializer: Initializer<A> | undefined,
    aggregator: Aggregator<K, NonNullable<V>, A>,
  ): KTable<K, A> {
    const graph = this.#graph;
    const store = graph.storeName(materialized?.name, prefix);
    const node = graph.nodeName(named, prefix);
    const from = this.#stream.keyChanged ? this.#repartition(store) : this.#stream;
    const demand: Demand = { oldValues: false };
    graph.addOperator({
      name: node,
      parents: [from.node],
      supplier: () => new StreamAggregate({ store, initializer, aggregator, demand }),
      keepsKey: true,
    });
    const keySerde = materialized?.keySerde ?? this.#stream.keySerde;
    const valueSerde = asSerde(materialized?.valueSerde) ?? defaultSerde;
    graph.addTableStore(store, node, keySerde, valueSerde, materialized?.logging);
    const view = storedView<K, A>(store, demand);
    return graph.table({
      node,
      keySerde,
      valueSerde,
      sources: from.sources,
      view,
      queryable: materialized?.name,
    });
  }

  #repartition(store: string): StreamHandle<K, V> {
    if (this.#repartitioned !== undefined && this.#name !== undefined) {
      // Names are taken all the same, so that those after them are Kafka Streams'.
      this.#graph.repartitionNames(this.#name);
      return this.#repartitioned;
    }
    this.#repartitioned = this.#graph.repartition(this.#stream, this.#name ?? store, {}, true);
    return this.#repartitioned;
  }
}
