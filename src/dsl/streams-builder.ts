/**
 * The DSL's entry: sources become streams and tables, operators on them grow a topology, `build` gives it
 * to the runtime. Describes only; nothing here reads a topic or opens a store.
 *
 * Errors: every misuse is TOPOLOGY_INVALID at the call that makes it.
 */
import type { OffsetReset, StoreSpec } from '../graph/node.ts';
import { type AddGlobalStore, patternTopic, type Topology, wholeName } from '../graph/topology.ts';
import type { Serde } from '../serde/serde.ts';
import type { GlobalKTable, KStream, KTable } from './api.ts';
import { DslGraph, isStored, materializedSerdes } from './dsl-graph.ts';
import { KStreamImpl } from './kstream.ts';
import { KTableImpl } from './ktable.ts';
import { TableSource, type TableSourceDemand, tableSourceView } from './operators/table-source.ts';
import { type Consumed, invalidTopology, type Materialized } from './options.ts';
import { timestampedSerde } from './timestamped.ts';

export interface ConsumedTable<K, V> extends Consumed<K, V> {
  readonly materialized?: Materialized<K, V>;
}

/**
 * The DSL: makes a topology of streams, tables and operators on them, for StreamsApp or TopologyTestDriver.
 *
 * @example
 * ```ts
 * import { StreamsBuilder, stringSerde } from 'millrace';
 *
 * const builder = new StreamsBuilder();
 * builder
 *   .stream<string, string>('names', { keySerde: stringSerde, valueSerde: stringSerde })
 *   .mapValues((name) => `Hello ${name}`)
 *   .to('greetings', { valueSerde: stringSerde });
 * const topology = builder.build();
 * console.log(topology.nodes().map(({ kind }) => kind).join(' > '));
 * // prints: source > processor > sink
 * ```
 */
export class StreamsBuilder {
  readonly #graph = new DslGraph({
    stream: (graph, handle) => new KStreamImpl(graph, handle),
    table: (graph, handle) => new KTableImpl(graph, handle),
  });

  /**
   * The records of one or more topics, or of those whose whole name a pattern matches when the application starts
   * (a topic made later is read after the next start). A value of null (a tombstone) arrives as null whatever `V` says: the
   * types state what the topic promises.
   */
  stream<K, V>(topics: string | readonly string[] | RegExp, consumed: Consumed<K, V>): KStream<K, V> {
    const names = typeof topics === 'string' ? [topics] : topics;
    const node = this.#source(names, consumed, this.#graph.nodeName(consumed.named, 'KSTREAM-SOURCE-'));
    return this.#graph.stream<K, V>({
      node,
      keySerde: consumed.keySerde,
      valueSerde: consumed.valueSerde as Serde<NonNullable<V>>,
      sources:
        names instanceof RegExp
          ? [patternTopic(wholeName(names))]
          : names.map((name) => ({ name, internal: false })),
      keyChanged: false,
    });
  }

  /**
   * A topic as a table: the last value of each key, null deletes. It gets a store when `materialized.name`
   * is given or an operator below has to look into it.
   */
  table<K, V>(topic: string, consumed: ConsumedTable<K, V>): KTable<K, V> {
    const graph = this.#graph;
    const { materialized } = consumed;
    const store = graph.storeName(materialized?.name, `${topic}-`);
    const source = graph.suffixedName(consumed.named, '-source', 'KSTREAM-SOURCE-');
    const node = graph.nodeName(consumed.named, 'KTABLE-SOURCE-');
    const parent = this.#source([topic], consumed, source);
    const demand: TableSourceDemand = { oldValues: false, stored: isStored(materialized) };
    graph.addOperator({
      name: node,
      parents: [parent],
      supplier: () => new TableSource<K, V>(store, demand),
      keepsKey: true,
    });
    const { keySerde, valueSerde } = materializedSerdes(materialized, consumed.keySerde, consumed.valueSerde);
    const materialize = (): void =>
      graph.addTableStore(store, node, keySerde, valueSerde, materialized ?? {});
    if (demand.stored) materialize();
    const sources = [{ name: topic, internal: false }];
    const view = tableSourceView<K, V>(store, demand, materialize, materialized?.versioned !== undefined);
    const queryable = materialized?.name;
    return graph.table<K, V>({ node, keySerde, valueSerde, sources, view, queryable });
  }

  /**
   * A topic as a table that every instance has whole: all partitions, read before its tasks run and followed from
   * then on. Streams join it by any key of theirs. Records of the two are not brought into an order of time.
   */
  globalTable<K, V>(topic: string, consumed: ConsumedTable<K, V>): GlobalKTable<K, V> {
    const graph = this.#graph;
    const { materialized, timestampExtractor } = consumed;
    this.#checkSerdes(topic, consumed);
    const store = graph.storeName(materialized?.name, `${topic}-`);
    const source = graph.suffixedName(consumed.named, '-source', 'KSTREAM-SOURCE-');
    const processor = graph.nodeName(consumed.named, 'KTABLE-SOURCE-');
    const keySerde = materialized?.keySerde ?? consumed.keySerde;
    const valueSerde = materialized?.valueSerde ?? consumed.valueSerde;
    graph.topology.addGlobalStore<K, V>({
      store: {
        name: store,
        kind: 'key-value',
        keySerde: keySerde as Serde<unknown>,
        valueSerde: timestampedSerde(valueSerde) as Serde<unknown>,
        changelog: false,
      },
      topic,
      source,
      processor,
      keySerde: consumed.keySerde,
      valueSerde: consumed.valueSerde,
      ...(timestampExtractor === undefined ? {} : { timestampExtractor }),
      rows: ({ key, value, timestamp }) => [[key, value === null ? null : { value, timestamp }]],
    });
    return graph.globalTable<K, V>({ store, keySerde, valueSerde });
  }

  /** A global store with rows of your own making; every processor may read it without being connected. */
  addGlobalStore<K, V>(options: AddGlobalStore<K, V>): this {
    this.#graph.topology.addGlobalStore(options);
    return this;
  }

  /** A store for hand-written processors; they are connected by `KStream.process(…, { stores })`. */
  addStateStore(spec: StoreSpec): this {
    this.#graph.addStore(spec, []);
    return this;
  }

  /** The topology so far, which is always complete. Called again it is the same one. */
  build(): Topology {
    return this.#graph.topology;
  }

  #checkSerdes<K, V>(topics: string, { keySerde, valueSerde }: Consumed<K, V>): void {
    // Callers without types come here too.
    if ((keySerde as unknown) === undefined || (valueSerde as unknown) === undefined)
      throw invalidTopology(`the source of ${topics} lacks a serde`, 'give it keySerde and valueSerde');
  }

  /** The source of exactly these topics, which may be there already; returns its name. */
  #source<K, V>(topics: readonly string[] | RegExp, consumed: Consumed<K, V>, name: string): string {
    const { topology } = this.#graph;
    const { keySerde, valueSerde, timestampExtractor, offsetReset } = consumed;
    const claimed = topics instanceof RegExp ? [patternTopic(wholeName(topics)).name] : topics;
    const names = claimed.join(', ');
    this.#checkSerdes(names, consumed);
    const existing = claimed.map((topic) => topology.sourceOf(topic)).find((found) => found !== undefined);
    const node = existing === undefined ? undefined : topology.node(existing);
    if (node?.kind !== 'source') {
      topology.addSource({
        name,
        topics,
        keySerde,
        valueSerde,
        ...(timestampExtractor === undefined ? {} : { timestampExtractor }),
        ...(offsetReset === undefined ? {} : { offsetReset }),
      });
      return name;
    }
    const sameTopics =
      node.pattern !== undefined ||
      (node.topics.length === claimed.length && node.topics.every((topic) => claimed.includes(topic.name)));
    if (!sameTopics)
      throw invalidTopology(
        `${names} overlaps with the topics of source ${node.name}`,
        'read either the same topics or wholly different ones',
      );
    if (
      node.keySerde !== keySerde ||
      node.valueSerde !== valueSerde ||
      node.timestampExtractor !== timestampExtractor ||
      !sameReset(node.offsetReset, offsetReset ?? 'earliest')
    )
      throw invalidTopology(
        `${names} is read twice, with different serdes, timestamp extractors or offset resets`,
        'read it once and use the stream twice, or give the very same serde objects',
      );
    return node.name;
  }
}

function sameReset(a: OffsetReset, b: OffsetReset): boolean {
  if (typeof a === 'object' && typeof b === 'object') return a.byDurationMs === b.byDurationMs;
  return a === b;
}
