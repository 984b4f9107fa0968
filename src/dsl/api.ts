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
import type { Record } from '../graph/processor.ts';
import type { ProcessorSupplier } from '../graph/supplier.ts';
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
  BranchedConsumer,
  ForeachAction,
  ForeignKeyJoinOptions,
  Grouped,
  Initializer,
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
import type { Suppressed } from './suppressed.ts';
import type {
  EmitStrategy,
  Merger,
  WindowedAggregateOptions,
  WindowedSameTypeOptions,
  WindowedTableOptions,
} from './windowed-options.ts';
import type { FixedWindows, SessionWindows, Windowed } from './windows.ts';

/**
 * A stream of records. Whoever changes the key only marks the stream; records go through a repartition
 * topic when, and only when, an operator below has to meet other records of the same key.
 */
export interface KStream<K, V> {
  filter<V2 extends V>(predicate: TypePredicate<K, V, V2>, options?: Named): KStream<K, V2>;
  /**
   * Records for which the predicate holds.
   *
   * @example
   * ```ts
   * // amounts: a=1, b=20, a=30
   * const large = amounts.filter((_key, amount) => amount > 10);
   * // large: b=20, a=30
   * ```
   */
  filter(predicate: Predicate<K, V>, options?: Named): KStream<K, V>;
  filterNot(predicate: Predicate<K, V>, options?: Named): KStream<K, V>;
  /**
   * A new key and a new value. When only the value changes, `mapValues` saves a repartition.
   *
   * @example
   * ```ts
   * // orders: o1=30, o2=5
   * const byTotal = orders.map((orderId, total) => [`total-${total}`, orderId]);
   * // byTotal: total-30=o1, total-5=o2
   * ```
   */
  map<K2, V2>(mapper: KeyValueMapper<K, V, KeyValue<K2, V2>>, options?: Named): KStream<K2, V2>;
  /**
   * Any number of records for each one.
   *
   * @example
   * ```ts
   * // orders: o1=apple pear
   * const items = orders.flatMap((orderId, line) => line.split(' ').map((item) => [item, orderId] as const));
   * // items: apple=o1, pear=o1
   * ```
   */
  flatMap<K2, V2>(mapper: KeyValueMapper<K, V, Iterable<KeyValue<K2, V2>>>, options?: Named): KStream<K2, V2>;
  /**
   * A new value under the same key.
   *
   * @example
   * ```ts
   * // orders: o1=30, o2=5
   * const doubled = orders.mapValues((total) => total * 2);
   * // doubled: o1=60, o2=10
   * ```
   */
  mapValues<V2>(mapper: ValueMapper<K, V, V2>, options?: Named): KStream<K, V2>;
  /**
   * Any number of values under the same key.
   *
   * @example
   * ```ts
   * // lines: a=to be, b=or
   * const words = lines.flatMapValues((line) => line.split(' '));
   * // words: a=to, a=be, b=or
   * ```
   */
  flatMapValues<V2>(mapper: ValueMapper<K, V, Iterable<V2>>, options?: Named): KStream<K, V2>;
  /**
   * A new key for the same value.
   *
   * @example
   * ```ts
   * // orders: o1={"customerId":"c1","total":30}
   * const byCustomer = orders.selectKey((_orderId, order) => order.customerId);
   * // byCustomer: c1={"customerId":"c1","total":30}
   * ```
   */
  selectKey<K2>(mapper: KeyValueMapper<K, V, K2>, options?: Named): KStream<K2, V>;
  /** The action may run more than once for a record; it is for logs and counts, never for effects. */
  peek(action: ForeachAction<K, V>, options?: Named): KStream<K, V>;
  /** As `peek`, at the end of a stream. */
  foreach(action: ForeachAction<K, V>, options?: Named): void;
  /**
   * Both streams' records; order is kept within each, not between them.
   *
   * @example
   * ```ts
   * // web: o1=30@100
   * // shop: o2=5@200
   * const all = web.merge(shop);
   * // all: o1=30, o2=5
   * ```
   */
  merge<V2>(other: KStream<K, V2>, options?: Named): KStream<K, V | V2>;
  /**
   * Goes on with `.branch(predicate, { name })…` and ends with `.defaultBranch()` or `.noDefaultBranch()`, which give
   * an object of streams. `named` stands before the name of each; a branch without name is `1`, `2` …, the default `0`.
   *
   * @example
   * ```ts
   * // orders: o1=30, o2=5
   * const { large, small } = orders
   *   .split()
   *   .branch((_orderId, total) => total > 10, { name: 'large' })
   *   .defaultBranch({ name: 'small' });
   * // large: o1=30
   * // small: o2=5
   * ```
   */
  split<P extends string = ''>(options?: NamedSplit<P>): BranchedKStream<K, V, BranchMap, P>;
  /**
   * To a topic, or to the one that the function names for each record.
   *
   * @example
   * ```ts
   * // orders: o1=30, o2=5
   * orders.filter((_orderId, total) => total > 10).to('large-orders');
   * // large-orders: o1=30
   * ```
   */
  to(topic: string | ((record: Record<K, V>) => string), produced?: Produced<K, V>): void;
  /** Through an internal topic, now, whether or not something below needs it. */
  repartition(options?: Repartitioned<K, V>): KStream<K, V>;
  /**
   * The records of each key together, to be folded into a table.
   *
   * @example
   * ```ts
   * // clicks: ada=home, bob=home, ada=cart
   * const clicksPerUser = clicks.groupByKey().count();
   * // clicksPerUser: ada=1, bob=1, ada=2
   * ```
   */
  groupByKey(grouped?: Grouped<K, V>): KGroupedStream<K, V>;
  /**
   * As `selectKey` and `groupByKey`.
   *
   * @example
   * ```ts
   * // clicks: ada=home, bob=home, ada=cart
   * const clicksPerPage = clicks.groupBy((_user, page) => page, { keySerde: stringSerde }).count();
   * // clicksPerPage: home=1, home=2, cart=1
   * ```
   */
  groupBy<K2>(selector: KeyValueMapper<K, V, K2>, grouped?: Grouped<K2, V>): KGroupedStream<K2, V>;
  /**
   * The last value of each key as a table; a null value deletes.
   *
   * @example
   * ```ts
   * // prices: apple=3@100, pear=4@200, apple=5@300
   * const current = prices.toTable({ materialized: { name: 'prices-store' } });
   * // current: apple=3, pear=4, apple=5
   * ```
   */
  toTable(options?: SameTypeOptions<K, NonNullable<V>>): KTable<K, NonNullable<V>>;
  /**
   * A hand-written processor. Its key counts as changed unless it says `keepsKey`.
   *
   * @example
   * ```ts
   * // readings: r1=20, r1=95
   * const alarms = readings.process<string, string>(() => {
   *   let forward: (key: string, value: string) => void;
   *   return {
   *     init: (context) => {
   *       forward = (key, value) => context.forward({ key, value, timestamp: 0, headers: [] });
   *     },
   *     process: ({ key, value }) => {
   *       if (value > 90) forward(key, `hot: ${value}`);
   *     },
   *   };
   * });
   * // alarms: r1=hot: 95
   * ```
   */
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
  /**
   * With a stream: pairs within the window.
   *
   * @example
   * ```ts
   * // orders: o1=2 books@100
   * // payments: o1=visa@130, o2=amex@140
   * const paid = orders.join(payments, (order, card) => `${order} by ${card}`, {
   *   beforeMs: 0,
   *   afterMs: 60,
   *   graceMs: 0,
   * });
   * // paid: o1=2 books by visa@130
   * ```
   */
  join<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V, V2, VOut>,
    windows: JoinWindows,
    joined?: StreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
  /**
   * With a table: each record with the row that its key has now, if there is one.
   *
   * @example
   * ```ts
   * // table prices: apple=3@100
   * // sales: apple=2@200, pear=1@300
   * const revenue = sales.join(prices, (count, price) => count * price);
   * // revenue: apple=6@200
   * ```
   */
  join<VT, VOut>(
    table: KTable<K, VT>,
    joiner: ValueJoiner<K, V, VT, VOut>,
    joined?: Joined<K, V>,
  ): KStream<K, VOut>;
  /** With a global table: each record with the row of the key that `keySelector` names, null for none. */
  join<KG, VG, VOut>(
    table: GlobalKTable<KG, VG>,
    keySelector: KeyValueMapper<K, V, NoInfer<KG> | null>,
    joiner: ValueJoiner<K, V, VG, VOut>,
    options?: Named,
  ): KStream<K, VOut>;
  /**
   * As `join`; a record without partner comes out with null beside it, once its window is over.
   *
   * @example
   * ```ts
   * // orders: o1=2 books@100, o9=a pen@900
   * // payments: o9=visa@920
   * const paid = orders.leftJoin(payments, (order, card) => `${order} by ${card ?? 'nobody'}`, {
   *   beforeMs: 0,
   *   afterMs: 60,
   *   graceMs: 0,
   * });
   * // paid: o1=2 books by nobody@100, o9=a pen by visa@920
   * ```
   */
  leftJoin<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V, V2 | null, VOut>,
    windows: JoinWindows,
    joined?: OuterStreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
  /**
   * As `join`; a record without row comes out with null beside it.
   *
   * @example
   * ```ts
   * // table prices: apple=3@100
   * // sales: apple=2@200, pear=1@300
   * const revenue = sales.leftJoin(prices, (count, price) => (price === null ? null : count * price));
   * // revenue: apple=6@200, pear=null@300
   * ```
   */
  leftJoin<VT, VOut>(
    table: KTable<K, VT>,
    joiner: ValueJoiner<K, V, VT | null, VOut>,
    joined?: Joined<K, V>,
  ): KStream<K, VOut>;
  /** As `join`; a record without row, or without a key for it, comes out with null beside it. */
  leftJoin<KG, VG, VOut>(
    table: GlobalKTable<KG, VG>,
    keySelector: KeyValueMapper<K, V, NoInfer<KG> | null>,
    joiner: ValueJoiner<K, V, VG | null, VOut>,
    options?: Named,
  ): KStream<K, VOut>;
  /**
   * As `leftJoin`, and records of the other stream without partner come out too.
   *
   * @example
   * ```ts
   * // left: a=L@100
   * // right: b=R@200, c=R@300
   * const both = left.outerJoin(right, (l, r) => `${l}+${r}`, { beforeMs: 10, afterMs: 10, graceMs: 0 });
   * // both: a=L+null@100, b=null+R@200
   * ```
   */
  outerJoin<V2, VOut>(
    other: KStream<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut>,
    windows: JoinWindows,
    joined?: OuterStreamJoined<K, V, V2>,
  ): KStream<K, VOut>;
}

/** The streams of the branches so far, by name. */
export type BranchMap = Readonly<globalThis.Record<never, never>>;

/** What a branch adds to the result. `R`: what its `withFunction` made of it, else the branch. */
export type BranchEntry<P extends string, N extends string, R> = Readonly<globalThis.Record<`${P}${N}`, R>>;

/**
 * A stream being split: each record goes to the first branch whose predicate holds. The result is an object
 * with one stream per branch, under the split's name followed by the branch's.
 *
 * Shape: `B` the result so far, `P` the split's name, `C` as long as the number of the next branch.
 */
export interface BranchedKStream<
  K,
  V,
  B extends BranchMap = BranchMap,
  P extends string = '',
  C extends readonly unknown[] = [unknown],
> {
  branch<V2 extends V, N extends string = `${C['length'] & number}`>(
    predicate: TypePredicate<K, V, V2>,
    branched: BranchedConsumer<N, KStream<K, V2>>,
  ): BranchedKStream<K, V, B, P, [...C, unknown]>;
  branch<
    V2 extends V,
    N extends string = `${C['length'] & number}`,
    R extends object | undefined = KStream<K, V2>,
  >(
    predicate: TypePredicate<K, V, V2>,
    branched?: Branched<N, KStream<K, V2>, R>,
  ): BranchedKStream<K, V, B & BranchEntry<P, N, R>, P, [...C, unknown]>;
  branch<N extends string = `${C['length'] & number}`>(
    predicate: Predicate<K, V>,
    branched: BranchedConsumer<N, KStream<K, V>>,
  ): BranchedKStream<K, V, B, P, [...C, unknown]>;
  /**
   * The next branch: `withFunction` puts what it makes of the stream into the result, `withConsumer` takes the
   * stream out of it.
   *
   * @example
   * ```ts
   * // orders: o1=30, o2=5, o3=0
   * const branches = orders
   *   .split({ named: 'by-size-' })
   *   .branch((_orderId, total) => total > 10)
   *   .branch((_orderId, total) => total > 0, {
   *     name: 'small',
   *     withFunction: (small) => small.mapValues((total) => `only ${total}`),
   *   })
   *   .defaultBranch({ withConsumer: (free) => free.to('free-orders') });
   * const large = branches['by-size-1'];
   * const small = branches['by-size-small'];
   * // large: o1=30
   * // small: o2=only 5
   * // free-orders: o3=0
   * ```
   */
  branch<N extends string = `${C['length'] & number}`, R extends object | undefined = KStream<K, V>>(
    predicate: Predicate<K, V>,
    branched?: Branched<N, KStream<K, V>, R>,
  ): BranchedKStream<K, V, B & BranchEntry<P, N, R>, P, [...C, unknown]>;
  /** What no branch took. Its name is `0` unless told otherwise. */
  defaultBranch<N extends string = '0'>(branched: BranchedConsumer<N, KStream<K, V>>): B;
  defaultBranch<N extends string = '0', R extends object | undefined = KStream<K, V>>(
    branched?: Branched<N, KStream<K, V>, R>,
  ): B & BranchEntry<P, N, R>;
  /** What no branch took is dropped. */
  noDefaultBranch(): B;
}

/** A stream grouped by key, to be folded into a table. Records with a null key or value are dropped. */
export interface KGroupedStream<K, V> {
  /**
   * Records of each key so far. With a name it has a store that can be queried.
   *
   * @example
   * ```ts
   * // clicks: ada=home, bob=home, ada=cart
   * const perUser = clicks.groupByKey().count({ materialized: { name: 'clicks-per-user' } });
   * // perUser: ada=1, bob=1, ada=2
   * ```
   */
  count(options?: TableOptions<K, number>): KTable<K, number>;
  /**
   * The first value is the first aggregate.
   *
   * @example
   * ```ts
   * // bids: lot1=10, lot1=30, lot1=20
   * const highest = bids.groupByKey().reduce((best, bid) => Math.max(best, bid));
   * // highest: lot1=10, lot1=30, lot1=30
   * ```
   */
  reduce(
    reducer: Reducer<NonNullable<V>>,
    options?: SameTypeOptions<K, NonNullable<V>>,
  ): KTable<K, NonNullable<V>>;
  /**
   * Folds the values of each key into an aggregate of another type, which needs a serde.
   *
   * @example
   * ```ts
   * // visits: ada=home, ada=cart
   * const pages = visits.groupByKey().aggregate<readonly string[]>(
   *   () => [],
   *   (_user, page, seen) => [...seen, page],
   *   { materialized: { valueSerde: jsonSerde() } },
   * );
   * // pages: ada=["home"], ada=["home","cart"]
   * ```
   */
  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, NonNullable<V>, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A>;
  /**
   * One aggregate per key and window.
   *
   * @example
   * ```ts
   * // views: home=a@0, home=b@59, home=c@60
   * const perMinute = views.groupByKey().windowedBy(timeWindows({ sizeMs: 60, graceMs: 0 })).count();
   * // perMinute: home[0,60)=1, home[0,60)=2, home[60,120)=1
   * ```
   */
  windowedBy(windows: FixedWindows): TimeWindowedKStream<K, V>;
  /**
   * One aggregate per key and session: records that are at most the gap apart.
   *
   * @example
   * ```ts
   * // clicks: ada=a@0, ada=b@20, ada=c@70
   * const sessions = clicks.groupByKey().windowedBy(sessionWindows({ gapMs: 30, graceMs: 0 })).count();
   * // sessions: ada[0,0)=1, ada[0,0)=null, ada[0,20)=2, ada[70,70)=1
   * ```
   */
  windowedBy(windows: SessionWindows): SessionWindowedKStream<K, V>;
  /** Goes on with `.cogroup(otherGroup, aggregator)…` and ends with `.aggregate(…)`: one table of several streams. */
  cogroup<A>(aggregator: Aggregator<K, V, A>): CogroupedKStream<K, A>;
}

/**
 * A group by time, sliding or unlimited windows. Records with a null key are dropped (with sliding windows those
 * with a null value too, otherwise they reach the aggregator), and so are those that come after the grace.
 */
export interface TimeWindowedKStream<K, V> {
  count(options?: WindowedTableOptions<K, number>): KTable<Windowed<K>, number>;
  /** The first value is the first aggregate. */
  reduce(
    reducer: Reducer<V>,
    options?: WindowedSameTypeOptions<K, NonNullable<V>>,
  ): KTable<Windowed<K>, NonNullable<V>>;
  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, V, A>,
    options: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A>;
  emitStrategy(strategy: EmitStrategy): TimeWindowedKStream<K, V>;
}

/** A group by sessions. Records with a null key, and those that come after the grace, are dropped. */
export interface SessionWindowedKStream<K, V> {
  count(options?: WindowedTableOptions<K, number>): KTable<Windowed<K>, number>;
  /** The first value is the first aggregate; sessions that meet are reduced as values are. */
  reduce(
    reducer: Reducer<V>,
    options?: WindowedSameTypeOptions<K, NonNullable<V>>,
  ): KTable<Windowed<K>, NonNullable<V>>;
  aggregate<A>(
    initializer: Initializer<A>,
    aggregator: Aggregator<K, V, A>,
    merger: Merger<K, A>,
    options: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A>;
  emitStrategy(strategy: EmitStrategy): SessionWindowedKStream<K, V>;
}

/** Several groups of one key type, each with its aggregator, that fold into one aggregate. */
export interface CogroupedKStream<K, A> {
  cogroup<V>(group: KGroupedStream<K, V>, aggregator: Aggregator<K, V, A>): CogroupedKStream<K, A>;
  aggregate(initializer: Initializer<A>, options: AggregateOptions<K, A>): KTable<K, A>;
  windowedBy(windows: FixedWindows): TimeWindowedCogroupedKStream<K, A>;
  windowedBy(windows: SessionWindows): SessionWindowedCogroupedKStream<K, A>;
}

export interface TimeWindowedCogroupedKStream<K, A> {
  aggregate(initializer: Initializer<A>, options: WindowedAggregateOptions<K, A>): KTable<Windowed<K>, A>;
}

export interface SessionWindowedCogroupedKStream<K, A> {
  aggregate(
    initializer: Initializer<A>,
    merger: Merger<K, A>,
    options: WindowedAggregateOptions<K, A>,
  ): KTable<Windowed<K>, A>;
}

/**
 * A table: the last value of each key, and a stream of changes to it. A derived table has a store only when
 * `materialized.name` asks for one; without, others look through it to the nearest store above.
 */
export interface KTable<K, V> {
  /**
   * Rows that pass. One that no longer does is deleted from the result.
   *
   * @example
   * ```ts
   * // table stock: apple=3@100, pear=0@200, apple=0@300
   * const inStock = stock.filter((_item, count) => count > 0);
   * // inStock: apple=3, pear=null, apple=null
   * ```
   */
  filter(predicate: Predicate<K, V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  filterNot(predicate: Predicate<K, V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  /**
   * Null: the result has no such row.
   *
   * @example
   * ```ts
   * // table stock: apple=3, pear=0
   * const isInStock = stock.mapValues((count) => count > 0);
   * // isInStock: apple=true, pear=false
   * ```
   */
  mapValues<V2>(mapper: ValueMapper<K, V, V2 | null>, options?: TableOptions<K, V2>): KTable<K, V2>;
  /** As `mapValues`, by an object that may read stores and is shown deletions. Kafka Streams' `transformValues`. */
  transformValues<V2>(
    supplier: ValueTransformerSupplier<K, V, V2>,
    options?: TransformValuesOptions<K, V2>,
  ): KTable<K, V2>;
  /**
   * The changes as records; a deletion is a null value.
   *
   * @example
   * ```ts
   * // table names: c1=Ada@100, c1=null@200
   * const changes = names.toStream();
   * // changes: c1=Ada@100, c1=null@200
   * ```
   */
  toStream(options?: Named): KStream<K, V | null>;
  /** As `toStream().selectKey(mapper)`. */
  toStream<K2>(mapper: KeyValueMapper<K, V | null, K2>, options?: Named): KStream<K2, V | null>;
  /** The store that queries may name: the one that `materialized.name` asked for. */
  readonly queryableStoreName: string | undefined;
  /**
   * Rows by another key, to be aggregated; each row belongs to one group.
   *
   * @example
   * ```ts
   * // table cityOf: ada=Rome@100, bob=Rome@200, ada=Oslo@300
   * const perCity = cityOf.groupBy((user, city) => [city, user], { keySerde: stringSerde, valueSerde: stringSerde }).count();
   * // perCity: Rome=1, Rome=2, Rome=1, Oslo=1
   * ```
   */
  groupBy<K2, V2>(
    selector: KeyValueMapper<K, V, KeyValue<K2, V2>>,
    grouped?: Grouped<K2, V2>,
  ): KGroupedTable<K2, V2>;
  /**
   * Rows with the row of the other table that their foreign key names. Either side's changes come through; where
   * several rows name one key, all of them do.
   *
   * @example
   * ```ts
   * // table orders: o1=c1@100, o2=c1@200
   * // table customers: c1=Ada@300
   * const named = orders.join(customers, (_customerId, name) => name, {
   *   foreignKeyExtractor: (customerId) => customerId,
   *   materialized: { valueSerde: stringSerde },
   * });
   * // named: o1=Ada@300, o2=Ada@300
   * ```
   */
  join<KO, VO, VOut>(
    other: KTable<KO, VO>,
    joiner: ValueJoiner<K, V, VO, VOut | null>,
    options: ForeignKeyJoinOptions<K, V, KO, VOut>,
  ): KTable<K, VOut>;
  /**
   * Rows that both tables have. A joiner's null: the result has no such row.
   *
   * @example
   * ```ts
   * // table names: c1=Ada@100, c2=Bob@200
   * // table cities: c1=Rome@300
   * const people = names.join(cities, (name, city) => `${name} of ${city}`);
   * // people: c1=Ada of Rome@300
   * ```
   */
  join<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V, V2, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
  /** As `join` by foreign key; a row that names no row, or no key, has null beside it. */
  leftJoin<KO, VO, VOut>(
    other: KTable<KO, VO>,
    joiner: ValueJoiner<K, V, VO | null, VOut | null>,
    options: ForeignKeyJoinOptions<K, V, KO, VOut>,
  ): KTable<K, VOut>;
  /**
   * Each row of this table, with the other's or null beside it.
   *
   * @example
   * ```ts
   * // table names: c1=Ada@100
   * // table cities: c1=Rome@300
   * const people = names.leftJoin(cities, (name, city) => `${name} of ${city ?? 'nowhere'}`);
   * // people: c1=Ada of nowhere@100, c1=Ada of Rome@300
   * ```
   */
  leftJoin<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V, V2 | null, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
  /**
   * Each key that either table has.
   *
   * @example
   * ```ts
   * // table names: c1=Ada@100
   * // table cities: c2=Rome@300
   * const people = names.outerJoin(cities, (name, city) => `${name ?? 'somebody'} of ${city ?? 'nowhere'}`);
   * // people: c1=Ada of nowhere@100, c2=somebody of Rome@300
   * ```
   */
  outerJoin<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut | null>,
    options?: TableOptions<K, VOut>,
  ): KTable<K, VOut>;
  /**
   * The same table with fewer changes: held back for a time, or until a window's result is final. It takes a
   * later record to let them out; a topic that falls silent keeps what is held back.
   *
   * @example
   * ```ts
   * // views: home=a@0, home=b@59, home=c@60
   * const final = views
   *   .groupByKey()
   *   .windowedBy(timeWindows({ sizeMs: 60, graceMs: 0 }))
   *   .count()
   *   .suppress({ untilWindowCloses: true, buffer: 'unbounded' });
   * // final: home[0,60)=2
   * ```
   */
  suppress(suppressed: Suppressed): KTable<K, V>;
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
  /**
   * The adder takes the new row in, the subtractor the old one out.
   *
   * @example
   * ```ts
   * // table salaries: ada=10@100, bob=20@200, ada=15@300
   * const total = salaries
   *   .groupBy((_who, salary) => ['all', salary], { keySerde: stringSerde, valueSerde: longSerde })
   *   .reduce((sum, added) => sum + added, (sum, removed) => sum - removed);
   * // total: all=10, all=30, all=35
   * ```
   */
  reduce(adder: Reducer<V>, subtractor: Reducer<V>, options?: SameTypeOptions<K, V>): KTable<K, V>;
  aggregate<A>(
    initializer: Initializer<A>,
    adder: Aggregator<K, V, A>,
    subtractor: Aggregator<K, V, A>,
    options: AggregateOptions<K, A>,
  ): KTable<K, A>;
}
