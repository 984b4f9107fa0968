/**
 * The DSL as users see it: streams, tables and their groupings. The names and meanings are Kafka Streams';
 * docs/semantics.md states the rules. Made by StreamsBuilder; each method adds an operator to the topology
 * and returns what comes out of it.
 *
 * Interfaces in one file, because each of them leads to the others; the classes behind them (kstream.ts,
 * ktable.ts …) do not know each other.
 *
 * Errors: every misuse is TOPOLOGY_INVALID at the call that makes it.
 */
import type { ProcessorSupplier, Record } from '../graph/processor.ts';
import type {
  AsyncOptions,
  AsyncProcessOptions,
  AsyncProcessorSupplier,
  AsyncRecordMapper,
  AsyncValueMapper,
} from './async-options.ts';
import type {
  AggregateOptions,
  Aggregator,
  Branched,
  ForeachAction,
  Grouped,
  Initializer,
  Joined,
  JoinWindows,
  KeyValue,
  KeyValueMapper,
  Named,
  Predicate,
  Printed,
  ProcessOptions,
  ProcessValuesOptions,
  Produced,
  Reducer,
  Repartitioned,
  SameTypeOptions,
  StreamJoined,
  TableOptions,
  TransformValuesOptions,
  TypePredicate,
  ValueJoiner,
  ValueMapper,
  ValueTransformerSupplier,
} from './options.ts';

/**
 * A stream of records. Whoever changes the key only marks the stream; records go through a repartition
 * topic when, and only when, an operator below has to meet other records of the same key.
 */
export interface KStream<K, V> {
  filter<V2 extends V>(predicate: TypePredicate<K, V, V2>, options?: Named): KStream<K, V2>;
  filter(predicate: Predicate<K, V>, options?: Named): KStream<K, V>;
  filterNot(predicate: Predicate<K, V>, options?: Named): KStream<K, V>;
  map<K2, V2>(mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>, options?: Named): KStream<K2, V2>;
  flatMap<K2, V2>(mapper: KeyValueMapper<K, V, Iterable<KeyValue<K2, V2>>>, options?: Named): KStream<K2, V2>;
  mapValues<V2>(mapper: ValueMapper<K, V, V2>, options?: Named): KStream<K, V2>;
  flatMapValues<V2>(mapper: ValueMapper<K, V, Iterable<V2>>, options?: Named): KStream<K, V2>;
  selectKey<K2>(mapper: KeyValueMapper<K, V, K2>, options?: Named): KStream<K2, V>;
  /** The action may run more than once for a record; it is for logs and counts, never for effects. */
  peek(action: ForeachAction<K, V>, options?: Named): KStream<K, V>;
  /** As `peek`, at the end of a stream. */
  foreach(action: ForeachAction<K, V>, options?: Named): void;
  /** Both streams' records; order is kept within each, not between them. */
  merge<V2>(other: KStream<K, V2>, options?: Named): KStream<K, V | V2>;
  /** Goes on with `.branch(predicate, { name })…` and ends with `.defaultBranch()` or `.noDefaultBranch()`. */
  split(options?: Named): BranchedKStream<K, V>;
  /** To a topic, or to the one that the function names for each record. */
  to(topic: string | ((record: Record<K, V>) => string), produced?: Produced<K, V>): void;
  /** Through an internal topic, now, whether or not something below needs it. */
  repartition(options?: Repartitioned<K, V>): KStream<K, V>;
  groupByKey(grouped?: Grouped<K, V>): KGroupedStream<K, V>;
  groupBy<K2>(selector: KeyValueMapper<K, V, K2>, grouped?: Grouped<K2, V>): KGroupedStream<K2, V>;
  /** The last value of each key as a table; a null value deletes. */
  toTable(options?: SameTypeOptions<K, NonNullable<V>>): KTable<K, NonNullable<V>>;
  /** A hand-written processor. Its key counts as changed unless it says `keepsKey`. */
  process<K2, V2>(supplier: ProcessorSupplier<K, V, K2, V2>, options?: ProcessOptions): KStream<K2, V2>;
  /**
   * A new value from outside (a service, a model). Called at least once, applied exactly once, in input order.
   * Give `call.idempotencyKey` to the service and `call.signal` to the client.
   */
  mapValuesAsync<V2>(mapper: AsyncValueMapper<K, V, V2>, options: AsyncOptions<K>): KStream<K, V2>;
  /** As `mapValuesAsync`, for whole records. Its key counts as changed unless it says `keepsKey`. */
  processAsync<K2, V2>(
    mapper: AsyncRecordMapper<K, V, K2, V2>,
    options: AsyncProcessOptions<K>,
  ): KStream<K2, V2>;
  /** With stores and timers: `call` works outside, `process` applies what it gave. */
  processAsync<R, K2, V2>(
    processor: AsyncProcessorSupplier<K, V, R, K2, V2>,
    options: AsyncProcessOptions<K>,
  ): KStream<K2, V2>;
  /** As `process`, held to the key that it was given: nothing has to be repartitioned. */
  processValues<V2>(supplier: ProcessorSupplier<K, V, K, V2>, options?: ProcessValuesOptions): KStream<K, V2>;
  /** Each record as a line, `[label]: key, value`, at the end of a stream: for a look while developing. */
  print(printed: Printed<K, V>): void;
  /** With a stream: pairs within the window. */
  join<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V, V2, VOut>,
    windows: JoinWindows,
    joined?: StreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
  /** With a table: each record with the row that its key has now, if there is one. */
  join<VT, VOut>(
    table: KTable<K, VT>,
    joiner: ValueJoiner<K, V, VT, VOut>,
    joined?: Joined<K, V>,
  ): KStream<K, VOut>;
  /** As `join`; a record without partner comes out with null beside it, once its window is over. */
  leftJoin<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V, V2 | null, VOut>,
    windows: JoinWindows,
    joined?: StreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
  /** As `join`; a record without row comes out with null beside it. */
  leftJoin<VT, VOut>(
    table: KTable<K, VT>,
    joiner: ValueJoiner<K, V, VT | null, VOut>,
    joined?: Joined<K, V>,
  ): KStream<K, VOut>;
  /** As `leftJoin`, and records of the other stream without partner come out too. */
  outerJoin<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut>,
    windows: JoinWindows,
    joined?: StreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
}

/** The streams of the branches so far, by name. */
export type BranchMap = Readonly<globalThis.Record<never, never>>;

/**
 * A stream being split: each record goes to the first branch whose predicate holds. The result is an object
 * with one stream per branch, under the name that the branch was given.
 */
export interface BranchedKStream<K, V, B extends BranchMap = BranchMap> {
  branch<N extends string, V2 extends V>(
    predicate: TypePredicate<K, V, V2>,
    branched: Branched<N>,
  ): BranchedKStream<K, V, B & Readonly<globalThis.Record<N, KStream<K, V2>>>>;
  branch<N extends string>(
    predicate: Predicate<K, V>,
    branched: Branched<N>,
  ): BranchedKStream<K, V, B & Readonly<globalThis.Record<N, KStream<K, V>>>>;
  /** What no branch took. Named `default` unless told otherwise. */
  defaultBranch(): B & { readonly default: KStream<K, V> };
  defaultBranch<N extends string>(branched: Branched<N>): B & Readonly<globalThis.Record<N, KStream<K, V>>>;
  /** What no branch took is dropped. */
  noDefaultBranch(): B;
}

/** A stream grouped by key, to be folded into a table. Records with a null key or value are dropped. */
export interface KGroupedStream<K, V> {
  count(options?: TableOptions<K, number>): KTable<K, number>;
  /** The first value is the first aggregate. */
  reduce(
    reducer: Reducer<NonNullable<V>>,
    options?: SameTypeOptions<K, NonNullable<V>>,
  ): KTable<K, NonNullable<V>>;
  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, NonNullable<V>, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A>;
}

/**
 * A table: the last value of each key, and a stream of changes to it. A derived table has a store only when
 * `materialized.name` asks for one; without, others look through it to the nearest store above.
 */
export interface KTable<K, V> {
  /** Rows that pass. One that no longer does is deleted from the result. */
  filter(predicate: Predicate<K, V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  filterNot(predicate: Predicate<K, V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  /** Null: the result has no such row. */
  mapValues<V2>(mapper: ValueMapper<K, V, V2 | null>, options?: TableOptions<K, V2>): KTable<K, V2>;
  /** As `mapValues`, by an object that may read stores and is shown deletions. Kafka Streams' `transformValues`. */
  transformValues<V2>(
    supplier: ValueTransformerSupplier<K, V, V2>,
    options?: TransformValuesOptions<K, V2>,
  ): KTable<K, V2>;
  /** The changes as records; a deletion is a null value. */
  toStream(options?: Named): KStream<K, V | null>;
  /** As `toStream().selectKey(mapper)`. */
  toStream<K2>(mapper: KeyValueMapper<K, V | null, K2>, options?: Named): KStream<K2, V | null>;
  /** The store that queries may name: the one that `materialized.name` asked for. */
  readonly queryableStoreName: string | undefined;
  /** Rows by another key, to be aggregated; each row belongs to one group. */
  groupBy<K2, V2>(
    selector: KeyValueMapper<K, V, KeyValue<K2, V2>>,
    grouped?: Grouped<K2, V2>,
  ): KGroupedTable<K2, V2>;
  /** Rows that both tables have. A joiner's null: the result has no such row. */
  join<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V, V2, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
  /** Each row of this table, with the other's or null beside it. */
  leftJoin<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V, V2 | null, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
  /** Each key that either table has. */
  outerJoin<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
}

declare const globalTableTypes: unique symbol;

/** A table that every instance has whole. Streams join it; processors read its store without being connected. */
export interface GlobalKTable<K, V> {
  /** What `getStateStore` and queries call it. Its rows are `ValueAndTimestamp<V>`. */
  readonly queryableStoreName: string;
  /** Only types: keeps tables of different rows apart. */
  readonly [globalTableTypes]?: readonly [K, V];
}

/** A table regrouped by something else than its key: each change takes the old row out and puts the new one in. */
export interface KGroupedTable<K, V> {
  /** Rows in each group. A group that has lost its last row has the count 0. */
  count(options?: TableOptions<K, number>): KTable<K, number>;
  reduce(adder: Reducer<V>, subtractor: Reducer<V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  aggregate<A>(
    initializer: Initializer<A>,
    adder: Aggregator<K, V, A>,
    subtractor: Aggregator<K, V, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A>;
}
