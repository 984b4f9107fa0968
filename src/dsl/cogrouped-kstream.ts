/**
 * The classes behind CogroupedKStream and its windowed forms: one operator per group, all on one store, and a
 * node that merges their changes into one table.
 */
import type { ProcessorSupplier } from '../graph/supplier.ts';
import type {
  CogroupedKStream,
  KGroupedStream,
  KTable,
  SessionWindowedCogroupedKStream,
  TimeWindowedCogroupedKStream,
} from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import type { GroupedSource } from './grouped-source.ts';
import { PassThrough } from './operators/pass-through.ts';
import { StreamAggregate } from './operators/stream-aggregate.ts';
import { type AggregateOptions, type Aggregator, type Initializer, invalidTopology } from './options.ts';
import { type Demand, storedView } from './table-view.ts';
import type { Merger, WindowedAggregateOptions } from './windowed-options.ts';
import { WindowedTable } from './windowed-table.ts';
import type { AnyWindows, FixedWindows, SessionWindows, Windowed } from './windows.ts';

const aggregatePrefix = 'COGROUPKSTREAM-AGGREGATE-';

/** A group with its aggregator. */
interface Part<K, A> {
  readonly source: GroupedSource<K, never>;
  readonly aggregator: Aggregator<K, never, A>;
}

type SourceOf = (group: object) => GroupedSource<unknown, unknown> | undefined;

export class CogroupedKStreamImpl<K, A> implements CogroupedKStream<K, A> {
  readonly #graph: DslGraph;
  readonly #parts: readonly Part<K, A>[];
  readonly #sourceOf: SourceOf;

  /** `sourceOf`: what is behind a KGroupedStream; undefined when it is none of ours. */
  constructor(graph: DslGraph, parts: readonly Part<K, A>[], sourceOf: SourceOf) {
    this.#graph = graph;
    this.#parts = parts;
    this.#sourceOf = sourceOf;
  }

  cogroup<V>(group: KGroupedStream<K, V>, aggregator: Aggregator<K, V, A>): CogroupedKStream<K, A> {
    const source = this.#sourceOf(group) as GroupedSource<K, never> | undefined;
    if (source === undefined || source.graph !== this.#graph)
      throw invalidTopology(
        'a group of another StreamsBuilder cannot be cogrouped with one of this',
        'build both with one builder',
      );
    const part = { source, aggregator: aggregator as Aggregator<K, never, A> };
    // As in Kafka Streams, a group has one aggregator: the last one given.
    const others = this.#parts.filter((other) => other.source !== source);
    return new CogroupedKStreamImpl(this.#graph, [...others, part], this.#sourceOf);
  }

  aggregate(initializer: Initializer<A>, options: AggregateOptions<K, A>): KTable<K, A> {
    const graph = this.#graph;
    const { named, materialized } = options;
    const store = graph.storeName(materialized.name, aggregatePrefix);
    const demand: Demand = { oldValues: false };
    const { node, nodes, streams } = this.#addOperators(named, store, true, ({ aggregator }) => () => {
      return new StreamAggregate<K, never, A>({ store, initializer, aggregator, demand });
    });
    const keySerde = materialized.keySerde ?? keySerdeOf(this.#parts);
    const { valueSerde } = materialized;
    graph.addTableStore(store, nodes[0] as string, keySerde, valueSerde, materialized);
    for (const other of nodes.slice(1)) graph.connect(other, [store]);
    const view = storedView<K, A>(store, demand, materialized.versioned !== undefined);
    return graph.table({ node, keySerde, valueSerde, sources: sourcesOf(graph, streams), view });
  }

  windowedBy(windows: FixedWindows): TimeWindowedCogroupedKStream<K, A>;
  windowedBy(windows: SessionWindows): SessionWindowedCogroupedKStream<K, A>;
  windowedBy(
    windows: AnyWindows,
  ): TimeWindowedCogroupedKStream<K, A> | SessionWindowedCogroupedKStream<K, A> {
    if (windows.type === 'session') {
      const sessions: SessionWindowedCogroupedKStream<K, A> = {
        aggregate: (initializer, merger, options) => this.#windowed(windows, initializer, merger, options),
      };
      return sessions;
    }
    const timed: TimeWindowedCogroupedKStream<K, A> = {
      aggregate: (initializer, options) => this.#windowed(windows, initializer, undefined, options),
    };
    return timed;
  }

  #windowed(
    windows: AnyWindows,
    initializer: Initializer<A>,
    merger: Merger<K, A> | undefined,
    { named, materialized }: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A> {
    const graph = this.#graph;
    const store = graph.storeName(materialized.name, aggregatePrefix);
    const table = new WindowedTable<K, A>({
      graph,
      windows,
      emit: 'onWindowUpdate',
      store,
      initializer,
      merger,
      retentionMs: materialized.retentionMs,
      settings: materialized,
      keySerde: materialized.keySerde ?? keySerdeOf(this.#parts),
      valueSerde: materialized.valueSerde,
    });
    const { node, nodes, streams } = this.#addOperators(named, store, false, ({ aggregator }, input) =>
      table.supplier(input, aggregator),
    );
    table.addStores(nodes);
    return table.table(node, sourcesOf(graph, streams));
  }

  /** Order: as Kafka Streams takes names from its counter. */
  #addOperators<KOut>(
    named: string | undefined,
    store: string,
    keepsKey: boolean,
    supplierOf: (part: Part<K, A>, input: number) => ProcessorSupplier<K, never, KOut, unknown>,
  ): { node: string; nodes: string[]; streams: StreamHandle<K, never>[] } {
    const graph = this.#graph;
    const streams = this.#parts.map(({ source }) => source.partitioned(store));
    const nodes = this.#parts.map((part, input) => {
      const name = graph.suffixedName(named, `-cogroup-agg-${input}`, aggregatePrefix);
      const parent = streams[input] as StreamHandle<K, never>;
      graph.addOperator({ name, parents: [parent.node], supplier: supplierOf(part, input), keepsKey });
      return name;
    });
    const node = graph.suffixedName(named, '-cogroup-merge', 'COGROUPKSTREAM-MERGE-');
    graph.addOperator({ name: node, parents: nodes, supplier: () => new PassThrough(), keepsKey: true });
    return { node, nodes, streams };
  }
}

function keySerdeOf<K, A>(parts: readonly Part<K, A>[]) {
  return parts.map(({ source }) => source.stream.keySerde).find((serde) => serde !== undefined);
}

function sourcesOf<K>(graph: DslGraph, streams: readonly StreamHandle<K, never>[]) {
  const [first, ...others] = streams.map(({ sources }) => sources);
  return others.reduce((all, sources) => graph.copartition(all, sources), first ?? []);
}
