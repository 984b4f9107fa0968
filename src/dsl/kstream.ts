/**
 * The class behind KStream: names, an operator node, and the stream below it. What the methods mean is said
 * in api.ts.
 */

import type { Record } from '../graph/processor.ts';
import { type ProcessorSupplier, withStores } from '../graph/supplier.ts';
import type { Serde } from '../serde/serde.ts';
import type { BranchedKStream, BranchMap, GlobalKTable, KGroupedStream, KStream, KTable } from './api.ts';
import type {
  AsyncOptions,
  AsyncProcessOptions,
  AsyncProcessorSupplier,
  AsyncRecordMapper,
  AsyncValueMapper,
} from './async-options.ts';
import { mapValuesAsync, processAsync } from './async-streams.ts';
import { BranchedKStreamImpl } from './branched-kstream.ts';
import { type DslGraph, isStored, materializedSerdes, type StreamHandle } from './dsl-graph.ts';
import { joinGlobalTable, joinStreamTable } from './join-stream-table.ts';
import { joinStreams, type Preserved } from './join-streams.ts';
import { KGroupedStreamImpl } from './kgrouped-stream.ts';
import { fixedKey } from './operators/fixed-key.ts';
import { PassThrough } from './operators/pass-through.ts';
import { StreamFilter } from './operators/stream-filter.ts';
import { StreamFlatMap } from './operators/stream-flat-map.ts';
import { StreamFlatMapValues } from './operators/stream-flat-map-values.ts';
import { StreamMap } from './operators/stream-map.ts';
import { StreamMapValues } from './operators/stream-map-values.ts';
import { StreamPeek } from './operators/stream-peek.ts';
import { TableSource, type TableSourceDemand, tableSourceView } from './operators/table-source.ts';
import type {
  ForeachAction,
  Grouped,
  Joined,
  JoinWindows,
  KeyValue,
  KeyValueMapper,
  Named,
  NamedSplit,
  OuterStreamJoined,
  Predicate,
  Printed,
  ProcessOptions,
  ProcessValuesOptions,
  Produced,
  Repartitioned,
  SameTypeOptions,
  TypePredicate,
  ValueJoiner,
  ValueMapper,
} from './options.ts';
import { needSerde } from './options.ts';
import { windowedPartitioner } from './windows.ts';

const inner: Preserved = { left: false, right: false };
const left: Preserved = { left: true, right: false };
const outer: Preserved = { left: true, right: true };

type Joinable<K> = KStream<K, unknown> | KTable<K, unknown> | GlobalKTable<unknown, unknown>;
type AnyFunction = (...args: never[]) => unknown;

/** What a new operator changes of the stream it hangs under. */
type Changes<K, V> = Partial<Pick<StreamHandle<K, V>, 'keySerde' | 'valueSerde' | 'keyChanged'>>;

export class KStreamImpl<K, V> implements KStream<K, V> {
  readonly #graph: DslGraph;
  readonly #handle: StreamHandle<K, V>;

  constructor(graph: DslGraph, handle: StreamHandle<K, V>) {
    this.#graph = graph;
    this.#handle = handle;
  }

  filter<V2 extends V>(predicate: TypePredicate<K, V, V2>, options?: Named): KStream<K, V2>;
  filter(predicate: Predicate<K, V>, options?: Named): KStream<K, V>;
  filter(predicate: Predicate<K, V>, options: Named = {}): KStream<K, V> {
    return this.#below('KSTREAM-FILTER-', options, () => new StreamFilter(predicate), true, {});
  }

  filterNot(predicate: Predicate<K, V>, options: Named = {}): KStream<K, V> {
    const keep: Predicate<K, V> = (key, value) => !predicate(key, value);
    return this.#below('KSTREAM-FILTER-', options, () => new StreamFilter(keep), true, {});
  }

  map<K2, V2>(mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>, options: Named = {}): KStream<K2, V2> {
    return this.#below<K2, V2>('KSTREAM-MAP-', options, () => new StreamMap(mapper), false, newPair());
  }

  flatMap<K2, V2>(
    mapper: KeyValueMapper<K, V, Iterable<KeyValue<K2, V2>>>,
    options: Named = {},
  ): KStream<K2, V2> {
    return this.#below<K2, V2>(
      'KSTREAM-FLATMAP-',
      options,
      () => new StreamFlatMap(mapper),
      false,
      newPair(),
    );
  }

  mapValues<V2>(mapper: ValueMapper<K, V, V2>, options: Named = {}): KStream<K, V2> {
    return this.#below(
      'KSTREAM-MAPVALUES-',
      options,
      () => new StreamMapValues(mapper),
      true,
      newValue<K, V2>(),
    );
  }

  flatMapValues<V2>(mapper: ValueMapper<K, V, Iterable<V2>>, options: Named = {}): KStream<K, V2> {
    const supplier = () => new StreamFlatMapValues(mapper);
    return this.#below('KSTREAM-FLATMAPVALUES-', options, supplier, true, newValue<K, V2>());
  }

  selectKey<K2>(mapper: KeyValueMapper<K, V, K2>, options: Named = {}): KStream<K2, V> {
    return this.#selectKey(mapper, options.named);
  }

  peek(action: ForeachAction<K, V>, options: Named = {}): KStream<K, V> {
    return this.#below('KSTREAM-PEEK-', options, () => new StreamPeek(action), true, {});
  }

  foreach(action: ForeachAction<K, V>, options: Named = {}): void {
    this.#below('KSTREAM-FOREACH-', options, () => new StreamPeek(action), true, {});
  }

  merge<V2>(other: KStream<K, V2>, options: Named = {}): KStream<K, V | V2> {
    const [a, b] = [this.#handle, this.#graph.streamHandle(other)];
    const node = this.#graph.nodeName(options.named, 'KSTREAM-MERGE-');
    this.#graph.addOperator({
      name: node,
      parents: [a.node, b.node],
      supplier: () => new PassThrough<K, V | V2>(),
      keepsKey: true,
    });
    return this.#graph.stream<K, V | V2>({
      node,
      keySerde: a.keySerde === b.keySerde ? a.keySerde : undefined,
      valueSerde: same<NonNullable<V | V2>>(a.valueSerde, b.valueSerde),
      sources: [...new Map([...a.sources, ...b.sources].map((topic) => [topic.name, topic])).values()],
      keyChanged: a.keyChanged || b.keyChanged,
    });
  }

  split<P extends string = ''>(options: NamedSplit<P> = {}): BranchedKStream<K, V, BranchMap, P> {
    const split: object = new BranchedKStreamImpl(this.#graph, this.#handle, options.named);
    return split as BranchedKStream<K, V, BranchMap, P>;
  }

  to(topic: string | ((record: Record<K, V>) => string), produced: Produced<K, V> = {}): void {
    const name = this.#graph.nodeName(produced.named, 'KSTREAM-SINK-');
    const hint = 'give `to` its keySerde and valueSerde';
    const keySerde = needSerde('key', name, hint, produced.keySerde, this.#handle.keySerde);
    const partitioner = produced.partitioner ?? windowedPartitioner(keySerde);
    this.#graph.topology.addSink<K, V>({
      name,
      topic,
      keySerde,
      valueSerde: needSerde('value', name, hint, produced.valueSerde, this.#handle.valueSerde) as Serde<V>,
      parents: [this.#handle.node],
      ...(partitioner === undefined ? {} : { partitioner }),
    });
  }

  repartition(options: Repartitioned<K, V> = {}): KStream<K, V> {
    const { name, ...rest } = options;
    const prefix = name ?? this.#graph.generate('KSTREAM-REPARTITION-');
    return this.#graph.stream(this.#graph.repartition(this.#handle, prefix, rest, false));
  }

  groupByKey(grouped: Grouped<K, V> = {}): KGroupedStream<K, V> {
    return new KGroupedStreamImpl(this.#graph, this.#handle, grouped);
  }

  groupBy<K2>(selector: KeyValueMapper<K, V, K2>, grouped: Grouped<K2, V> = {}): KGroupedStream<K2, V> {
    return new KGroupedStreamImpl(
      this.#graph,
      this.#graph.streamHandle(this.#selectKey(selector, grouped.name)),
      grouped,
    );
  }

  toTable(options: SameTypeOptions<K, NonNullable<V>> = {}): KTable<K, NonNullable<V>> {
    const graph = this.#graph;
    const { materialized } = options;
    const node = graph.nodeName(options.named, 'KSTREAM-TOTABLE-');
    const store = graph.storeName(materialized?.name, 'KSTREAM-TOTABLE-');
    const { keySerde, valueSerde } = materializedSerdes(
      materialized,
      this.#handle.keySerde,
      this.#handle.valueSerde,
    );
    const from = this.#handle.keyChanged
      ? graph.repartition({ ...this.#handle, keySerde, valueSerde }, node, {}, true)
      : this.#handle;
    const demand: TableSourceDemand = { oldValues: false, stored: isStored(materialized) };
    graph.addOperator({
      name: node,
      parents: [from.node],
      supplier: () => new TableSource<K, NonNullable<V>>(store, demand),
      keepsKey: true,
    });
    const materialize = (): void =>
      graph.addTableStore(store, node, keySerde, valueSerde, materialized ?? {});
    if (demand.stored) materialize();
    const view = tableSourceView<K, NonNullable<V>>(
      store,
      demand,
      materialize,
      materialized?.versioned !== undefined,
    );
    const queryable = materialized?.name;
    return graph.table({ node, keySerde, valueSerde, sources: from.sources, view, queryable });
  }

  process<K2, V2>(supplier: ProcessorSupplier<K, V, K2, V2>, options: ProcessOptions = {}): KStream<K2, V2> {
    const name = this.#graph.nodeName(options.named, 'KSTREAM-PROCESSOR-');
    const keepsKey = options.keepsKey ?? false;
    this.#graph.topology.addProcessor({
      name,
      supplier,
      parents: [this.#handle.node],
      stores: options.stores ?? [],
      keepsKey,
      handWritten: true,
    });
    return this.#graph.stream<K2, V2>({
      node: name,
      // A processor that keeps its key says that K2 is K.
      keySerde: keepsKey ? (this.#handle.keySerde as Serde<K2> | undefined) : undefined,
      valueSerde: undefined,
      sources: this.#handle.sources,
      keyChanged: this.#handle.keyChanged || !keepsKey,
    });
  }

  mapValuesAsync<V2>(mapper: AsyncValueMapper<K, V, V2>, options: AsyncOptions<K>): KStream<K, V2> {
    return this.#graph.stream(mapValuesAsync(this.#graph, this.#handle, mapper, options));
  }

  processAsync<K2, V2, R = unknown>(
    work: AsyncRecordMapper<K, V, K2, V2> | AsyncProcessorSupplier<K, V, R, K2, V2>,
    options: AsyncProcessOptions<K>,
  ): KStream<K2, V2> {
    return this.#graph.stream(processAsync(this.#graph, this.#handle, work, options));
  }

  processValues<V2>(
    supplier: ProcessorSupplier<K, V, K, V2>,
    options: ProcessValuesOptions = {},
  ): KStream<K, V2> {
    const name = this.#graph.nodeName(options.named, 'KSTREAM-PROCESSVALUES-');
    this.#graph.topology.addProcessor({
      name,
      supplier: withStores(fixedKey(supplier, name), supplier.stores ?? []),
      parents: [this.#handle.node],
      stores: options.stores ?? [],
      keepsKey: true,
      handWritten: true,
    });
    const unchanged = this.#handle as unknown as StreamHandle<K, V2>;
    return this.#graph.stream<K, V2>({ ...unchanged, valueSerde: undefined, node: name });
  }

  print(printed: Printed<K, V>): void {
    const { write, label = this.#handle.node, mapper = (key: K, value: V) => `${key}, ${value}` } = printed;
    const line = (key: K, value: V): void => write(`[${label}]: ${mapper(key, value)}`);
    this.#below('KSTREAM-PRINTER-', printed, () => new StreamPeek(line), true, {});
  }

  join(
    other: Joinable<K>,
    second: AnyFunction,
    third?: JoinWindows | Joined<K, V> | AnyFunction,
    fourth?: OuterStreamJoined<K, V, never> | Named,
  ): KStream<K, never> {
    return this.#join(other, second, third, fourth, false);
  }

  leftJoin(
    other: Joinable<K>,
    second: AnyFunction,
    third?: JoinWindows | Joined<K, V> | AnyFunction,
    fourth?: OuterStreamJoined<K, V, never> | Named,
  ): KStream<K, never> {
    return this.#join(other, second, third, fourth, true);
  }

  outerJoin<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut>,
    windows: JoinWindows,
    joined?: OuterStreamJoined<K, V, V2>,
  ): KStream<K, VOut> {
    return this.#joinStream(other, joiner, windows, joined, outer);
  }

  #joinStream<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut>,
    windows: JoinWindows,
    joined: OuterStreamJoined<K, V, V2> | undefined,
    preserved: Preserved,
  ): KStream<K, VOut> {
    const right = this.#graph.streamHandle(other);
    return joinStreams(this.#graph, this.#handle, right, joiner, windows, joined ?? {}, preserved);
  }

  /** What is joined decides what the arguments are; api.ts has a signature for each. */
  #join<V2, VOut>(
    other: Joinable<K>,
    second: AnyFunction,
    third: JoinWindows | Joined<K, V> | AnyFunction | undefined,
    fourth: OuterStreamJoined<K, V, V2> | Named | undefined,
    isLeft: boolean,
  ): KStream<K, VOut> {
    const graph = this.#graph;
    const joiner = second as ValueJoiner<K, V | null, V2 | null, VOut>;
    if (graph.isGlobalTable(other))
      return joinGlobalTable(
        graph,
        this.#handle,
        other as GlobalKTable<unknown, V2>,
        second as KeyValueMapper<K, V, unknown>,
        third as ValueJoiner<K, V, V2 | null, VOut>,
        (fourth ?? {}) as Named,
        isLeft,
      );
    if (graph.isTable(other)) {
      const joined = (third ?? {}) as Joined<K, V>;
      return joinStreamTable(graph, this.#handle, other as KTable<K, V2>, joiner, joined, isLeft);
    }
    const joined = fourth as OuterStreamJoined<K, V, V2> | undefined;
    const preserved = isLeft ? left : inner;
    return this.#joinStream(other as KStream<K, V2>, joiner, third as JoinWindows, joined, preserved);
  }

  #selectKey<K2>(mapper: KeyValueMapper<K, V, K2>, named: string | undefined): KStream<K2, V> {
    return this.#below<K2, V>(
      'KSTREAM-KEY-SELECT-',
      named === undefined ? {} : { named },
      () => new StreamMap<K, V, K2, V>((key, value) => [mapper(key, value), value]),
      false,
      { keySerde: undefined, keyChanged: true },
    );
  }

  /** One operator under this stream. What `changes` does not mention stays as it is here. */
  #below<K2, V2>(
    prefix: string,
    options: Named,
    supplier: ProcessorSupplier<K, V, K2, V2>,
    keepsKey: boolean,
    changes: Changes<K2, V2>,
  ): KStream<K2, V2> {
    const node = this.#graph.nodeName(options.named, prefix);
    this.#graph.addOperator({ name: node, parents: [this.#handle.node], supplier, keepsKey });
    const unchanged = this.#handle as unknown as StreamHandle<K2, V2>;
    return this.#graph.stream<K2, V2>({ ...unchanged, ...changes, node });
  }
}

function newPair<K, V>(): Changes<K, V> {
  return { keySerde: undefined, valueSerde: undefined, keyChanged: true };
}

function newValue<K, V>(): Changes<K, V> {
  return { valueSerde: undefined };
}

function same<T>(a: unknown, b: unknown): Serde<T> | undefined {
  return a === b ? (a as Serde<T> | undefined) : undefined;
}
