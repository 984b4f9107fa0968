/** The class behind KGroupedStream: names, an operator node, and the table below it. */
import { longSerde, type Serde } from '../serde/serde.ts';
import type {
  CogroupedKStream,
  KGroupedStream,
  KTable,
  SessionWindowedKStream,
  TimeWindowedKStream,
} from './api.ts';
import { CogroupedKStreamImpl } from './cogrouped-kstream.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { GroupedSource } from './grouped-source.ts';
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
import { SessionWindowedKStreamImpl, TimeWindowedKStreamImpl } from './windowed-kstream.ts';
import type { AnyWindows, FixedWindows, SessionWindows } from './windows.ts';

/** The groups behind the interfaces: cogroup takes those of others. */
const groupedSources = new WeakMap<object, GroupedSource<unknown, unknown>>();

export class KGroupedStreamImpl<K, V> implements KGroupedStream<K, V> {
  readonly #graph: DslGraph;
  readonly #stream: StreamHandle<K, V>;
  readonly #source: GroupedSource<K, V>;

  constructor(graph: DslGraph, stream: StreamHandle<K, V>, grouped: Grouped<K, V>) {
    this.#graph = graph;
    this.#stream = {
      ...stream,
      keySerde: grouped.keySerde ?? stream.keySerde,
      valueSerde: asSerde(grouped.valueSerde) ?? stream.valueSerde,
    };
    this.#source = new GroupedSource(graph, this.#stream, grouped.name);
    groupedSources.set(this, this.#source as GroupedSource<unknown, unknown>);
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

  windowedBy(windows: FixedWindows): TimeWindowedKStream<K, V>;
  windowedBy(windows: SessionWindows): SessionWindowedKStream<K, V>;
  windowedBy(windows: AnyWindows): TimeWindowedKStream<K, V> | SessionWindowedKStream<K, V> {
    return windows.type === 'session'
      ? new SessionWindowedKStreamImpl(this.#source, windows, 'onWindowUpdate')
      : new TimeWindowedKStreamImpl(this.#source, windows, 'onWindowUpdate');
  }

  cogroup<A>(aggregator: Aggregator<K, V, A>): CogroupedKStream<K, A> {
    return new CogroupedKStreamImpl<K, A>(this.#graph, [], (group) => groupedSources.get(group)).cogroup(
      this,
      aggregator,
    );
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
    const from = this.#source.partitioned(store);
    const demand: Demand = { oldValues: false };
    graph.addOperator({
      name: node,
      parents: [from.node],
      supplier: () => new StreamAggregate({ store, initializer, aggregator, demand }),
      keepsKey: true,
    });
    const keySerde = materialized?.keySerde ?? this.#stream.keySerde;
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
}
