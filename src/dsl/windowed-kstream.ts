/** The classes behind TimeWindowedKStream and SessionWindowedKStream: names, an operator node, and the table below it. */
import { longSerde, type Serde } from '../serde/serde.ts';
import type { KTable, SessionWindowedKStream, TimeWindowedKStream } from './api.ts';
import type { GroupedSource } from './grouped-source.ts';
import { type Aggregator, asSerde, type Initializer, type Reducer } from './options.ts';
import type {
  EmitStrategy,
  Merger,
  WindowedAggregateOptions,
  WindowedSameTypeOptions,
  WindowedTableOptions,
} from './windowed-options.ts';
import { WindowedTable } from './windowed-table.ts';
import type { AnyWindows, FixedWindows, SessionWindows, Windowed } from './windows.ts';

const aggregatePrefix = 'KSTREAM-AGGREGATE-';
const reducePrefix = 'KSTREAM-REDUCE-';

/** What a windowed aggregate folds with. */
interface Fold<K, V, A> {
  readonly initializer: Initializer<A> | undefined;
  readonly aggregator: Aggregator<K, V, A>;
  readonly merger: Merger<K, A> | undefined;
  readonly defaultSerde: Serde<A> | undefined;
}

const countFold: Fold<unknown, unknown, number> = {
  initializer: () => 0,
  aggregator: (_key, _value, count) => count + 1,
  merger: (_key, one, other) => one + other,
  defaultSerde: longSerde,
};

function reduceFold<K, V>(
  reducer: Reducer<V>,
  defaultSerde: Serde<NonNullable<V>> | undefined,
): Fold<K, V, NonNullable<V>> {
  // What is folded into is never null: a reducer that returns null deletes.
  const reduce = (one: V, other: V) => reducer(one, other) as NonNullable<V>;
  return {
    initializer: undefined,
    aggregator: (_key, value, aggregate) => reduce(aggregate, value),
    merger: (_key, one, other) => reduce(one, other),
    defaultSerde,
  };
}

function windowedTable<K, V, A>(
  source: GroupedSource<K, V>,
  windows: AnyWindows,
  emit: EmitStrategy,
  prefix: string,
  { named, materialized }: WindowedSameTypeOptions<K, A>,
  fold: Fold<K, V, A>,
): KTable<Windowed<K>, A> {
  const { graph, stream } = source;
  const store = graph.storeName(materialized?.name, prefix);
  const node = graph.nodeName(named, prefix);
  const table = new WindowedTable<K, A>({
    graph,
    windows,
    emit,
    store,
    initializer: fold.initializer,
    merger: fold.merger,
    retentionMs: materialized?.retentionMs,
    settings: materialized ?? {},
    keySerde: materialized?.keySerde ?? stream.keySerde,
    valueSerde: asSerde(materialized?.valueSerde) ?? fold.defaultSerde,
  });
  const supplier = table.supplier(0, fold.aggregator);
  const from = source.partitioned(store);
  graph.addOperator({ name: node, parents: [from.node], supplier, keepsKey: false });
  table.addStores([node]);
  return table.table(node, from.sources);
}

function countWindowed<K, V>(
  source: GroupedSource<K, V>,
  windows: AnyWindows,
  emit: EmitStrategy,
  options: WindowedTableOptions<K, number>,
): KTable<Windowed<K>, number> {
  // Kafka Streams takes a number for a store that it then names anew.
  if (options.materialized !== undefined && options.materialized.name === undefined)
    source.graph.storeName(undefined, aggregatePrefix);
  return windowedTable(source, windows, emit, aggregatePrefix, options, countFold as Fold<K, V, number>);
}

export class TimeWindowedKStreamImpl<K, V> implements TimeWindowedKStream<K, V> {
  readonly #source: GroupedSource<K, V>;
  readonly #windows: FixedWindows;
  readonly #emit: EmitStrategy;

  constructor(source: GroupedSource<K, V>, windows: FixedWindows, emit: EmitStrategy) {
    this.#source = source;
    this.#windows = windows;
    this.#emit = emit;
  }

  count(options: WindowedTableOptions<K, number> = {}): KTable<Windowed<K>, number> {
    return countWindowed(this.#source, this.#windows, this.#emit, options);
  }

  reduce(
    reducer: Reducer<V>,
    options: WindowedSameTypeOptions<K, NonNullable<V>> = {},
  ): KTable<Windowed<K>, NonNullable<V>> {
    const fold = reduceFold<K, V>(reducer, this.#source.stream.valueSerde);
    return windowedTable(this.#source, this.#windows, this.#emit, reducePrefix, options, fold);
  }

  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, V, A>,
    options: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A> {
    const fold = { initializer, aggregator, merger: undefined, defaultSerde: undefined };
    return windowedTable(this.#source, this.#windows, this.#emit, aggregatePrefix, options, fold);
  }

  emitStrategy(strategy: EmitStrategy): TimeWindowedKStream<K, V> {
    return new TimeWindowedKStreamImpl(this.#source, this.#windows, strategy);
  }
}

export class SessionWindowedKStreamImpl<K, V> implements SessionWindowedKStream<K, V> {
  readonly #source: GroupedSource<K, V>;
  readonly #windows: SessionWindows;
  readonly #emit: EmitStrategy;

  constructor(source: GroupedSource<K, V>, windows: SessionWindows, emit: EmitStrategy) {
    this.#source = source;
    this.#windows = windows;
    this.#emit = emit;
  }

  count(options: WindowedTableOptions<K, number> = {}): KTable<Windowed<K>, number> {
    return countWindowed(this.#source, this.#windows, this.#emit, options);
  }

  reduce(
    reducer: Reducer<V>,
    options: WindowedSameTypeOptions<K, NonNullable<V>> = {},
  ): KTable<Windowed<K>, NonNullable<V>> {
    const fold = reduceFold<K, V>(reducer, this.#source.stream.valueSerde);
    return windowedTable(this.#source, this.#windows, this.#emit, reducePrefix, options, fold);
  }

  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, V, A>,
    merger: Merger<K, A>,
    options: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A> {
    const fold = { initializer, aggregator, merger, defaultSerde: undefined };
    return windowedTable(this.#source, this.#windows, this.#emit, aggregatePrefix, options, fold);
  }

  emitStrategy(strategy: EmitStrategy): SessionWindowedKStream<K, V> {
    return new SessionWindowedKStreamImpl(this.#source, this.#windows, strategy);
  }
}
