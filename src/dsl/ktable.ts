/** The class behind KTable: names, an operator node, and the table below it. What the methods mean is said in api.ts. */
import type { Serde } from '../serde/serde.ts';
import type { KGroupedTable, KStream, KTable } from './api.ts';
import type { DslGraph, TableHandle } from './dsl-graph.ts';
import { materializedSerdes } from './dsl-graph.ts';
import { joinForeignKey } from './join-foreign-key.ts';
import { joinTables } from './join-tables.ts';
import { KGroupedTableImpl } from './kgrouped-table.ts';
import { TableFilter, tableFilterView } from './operators/table-filter.ts';
import { TableGroupBy } from './operators/table-group-by.ts';
import { TableMapValues, tableMapValuesView } from './operators/table-map-values.ts';
import { TableToStream } from './operators/table-to-stream.ts';
import { TableTransformValues, tableTransformValuesView } from './operators/table-transform-values.ts';
import {
  type ForeignKeyJoinOptions,
  type Grouped,
  invalidTopology,
  type KeyValue,
  type KeyValueMapper,
  type Named,
  needSerde,
  type Predicate,
  type SameTypeOptions,
  type TableOptions,
  type TransformValuesOptions,
  type ValueJoiner,
  type ValueMapper,
  type ValueTransformerSupplier,
} from './options.ts';
import { suppressTable } from './suppress-table.ts';
import type { Suppressed } from './suppressed.ts';
import type { Demand } from './table-view.ts';

type AnyJoinOptions<K, V, KO, VOut> = TableOptions<K, VOut> | ForeignKeyJoinOptions<K, V, KO, VOut>;

export class KTableImpl<K, V> implements KTable<K, V> {
  readonly #graph: DslGraph;
  readonly #handle: TableHandle<K, V>;

  constructor(graph: DslGraph, handle: TableHandle<K, V>) {
    this.#graph = graph;
    this.#handle = handle;
  }

  filter(predicate: Predicate<K, V>, options: SameTypeOptions<K, V> = {}): KTable<K, V> {
    return this.#filter(predicate, options);
  }

  filterNot(predicate: Predicate<K, V>, options: SameTypeOptions<K, V> = {}): KTable<K, V> {
    return this.#filter((key, value) => !predicate(key, value), options);
  }

  mapValues<V2>(mapper: ValueMapper<K, V, V2 | null>, options: TableOptions<K, V2> = {}): KTable<K, V2> {
    const { node, store, versioned, keySerde, valueSerde } = this.#derived<V2>(
      'KTABLE-MAPVALUES-',
      options,
      undefined,
    );
    const demand: Demand = { oldValues: false };
    const map = { mapper, store, versioned, demand };
    this.#graph.addOperator({
      name: node,
      parents: [this.#handle.node],
      supplier: () => new TableMapValues(map),
      keepsKey: true,
    });
    if (store !== undefined)
      this.#graph.addTableStore(store, node, keySerde, valueSerde, options.materialized ?? {});
    const view = tableMapValuesView(map, this.#handle.view);
    return this.#graph.table({ ...this.#inherited(), node, keySerde, valueSerde, view, queryable: store });
  }

  transformValues<V2>(
    supplier: ValueTransformerSupplier<K, V, V2>,
    options: TransformValuesOptions<K, V2> = {},
  ): KTable<K, V2> {
    const names = this.#derived<V2>('KTABLE-TRANSFORMVALUES-', options, undefined);
    const { node, store, versioned, keySerde, valueSerde } = names;
    const own = supplier.stores ?? [];
    for (const spec of own) this.#graph.addStore(spec, []);
    const stores = [...(options.stores ?? []), ...own.map(({ name }) => name)];
    const transform = { supplier, stores, store, versioned, demand: { oldValues: false } };
    this.#graph.addOperator({
      name: node,
      parents: [this.#handle.node],
      supplier: () => new TableTransformValues(transform),
      stores,
      keepsKey: true,
    });
    if (store !== undefined)
      this.#graph.addTableStore(store, node, keySerde, valueSerde, options.materialized ?? {});
    const view = tableTransformValuesView(transform, this.#handle.view);
    return this.#graph.table({ ...this.#inherited(), node, keySerde, valueSerde, view, queryable: store });
  }

  get queryableStoreName(): string | undefined {
    return this.#handle.queryable;
  }

  toStream(options?: Named): KStream<K, V | null>;
  toStream<K2>(mapper: KeyValueMapper<K, V | null, K2>, options?: Named): KStream<K2, V | null>;
  toStream<K2>(
    first: KeyValueMapper<K, V | null, K2> | Named = {},
    options: Named = {},
  ): KStream<K, V | null> | KStream<K2, V | null> {
    return typeof first === 'function' ? this.#toStream(options).selectKey(first) : this.#toStream(first);
  }

  #toStream(options: Named): KStream<K, V | null> {
    const node = this.#graph.nodeName(options.named, 'KTABLE-TOSTREAM-');
    const { keySerde, sources } = this.#handle;
    this.#graph.addOperator({
      name: node,
      parents: [this.#handle.node],
      supplier: () => new TableToStream<K, V>(),
      keepsKey: true,
    });
    const valueSerde = this.#handle.valueSerde as Serde<NonNullable<V>> | undefined;
    return this.#graph.stream<K, V | null>({ node, keySerde, valueSerde, sources, keyChanged: false });
  }

  groupBy<K2, V2>(
    selector: KeyValueMapper<K, V, KeyValue<K2, V2>>,
    grouped: Grouped<K2, V2> = {},
  ): KGroupedTable<K2, V2> {
    const node = this.#graph.nodeName(grouped.name, 'KTABLE-SELECT-');
    const keySerde = (): Serde<K2> =>
      needSerde('key', node, 'give groupBy its keySerde and valueSerde', grouped.keySerde);
    const { versioned } = this.#handle.view;
    this.#graph.addOperator({
      name: node,
      parents: [this.#handle.node],
      supplier: () => new TableGroupBy(selector, keySerde, versioned),
      keepsKey: false,
    });
    // The old row has to be taken out of its group.
    this.#handle.view.sendOldValues(true);
    return new KGroupedTableImpl(this.#graph, node, grouped);
  }

  join<K2, V2, VOut>(
    other: KTable<K2, V2>,
    joiner: ValueJoiner<K, V, V2, VOut | null>,
    options: AnyJoinOptions<K, V, K2, VOut> = {},
  ): KTable<K, VOut> {
    const safe = joiner as ValueJoiner<K, V | null, V2 | null, VOut | null>;
    return this.#join(other, safe, 'inner', options);
  }

  leftJoin<K2, V2, VOut>(
    other: KTable<K2, V2>,
    joiner: ValueJoiner<K, V, V2 | null, VOut | null>,
    options: AnyJoinOptions<K, V, K2, VOut> = {},
  ): KTable<K, VOut> {
    const safe = joiner as ValueJoiner<K, V | null, V2 | null, VOut | null>;
    return this.#join(other, safe, 'left', options);
  }

  outerJoin<V2, VOut>(
    other: KTable<K, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut | null>,
    options: TableOptions<K, VOut> = {},
  ): KTable<K, VOut> {
    return joinTables(this.#graph, this.#handle, this.#graph.tableHandle(other), joiner, 'outer', options);
  }

  suppress(suppressed: Suppressed): KTable<K, V> {
    return suppressTable(this.#graph, this.#handle, suppressed);
  }

  /** By foreign key when there is an extractor; else K2 is K. */
  #join<K2, V2, VOut>(
    other: KTable<K2, V2>,
    joiner: ValueJoiner<K, V | null, V2 | null, VOut | null>,
    kind: 'inner' | 'left',
    options: AnyJoinOptions<K, V, K2, VOut>,
  ): KTable<K, VOut> {
    const right = this.#graph.tableHandle(other);
    if ('foreignKeyExtractor' in options)
      return joinForeignKey(this.#graph, this.#handle, right, joiner, options, kind === 'left');
    const sameKey = right as unknown as TableHandle<K, V2>;
    return joinTables(this.#graph, this.#handle, sameKey, joiner, kind, options);
  }

  #filter(keep: Predicate<K, V>, options: SameTypeOptions<K, V>): KTable<K, V> {
    const inherited = this.#handle.valueSerde;
    const { node, store, versioned, keySerde, valueSerde } = this.#derived<V>(
      'KTABLE-FILTER-',
      options,
      inherited,
    );
    // Without old values each row that fails is sent on as a deletion: nobody knows whether it was there.
    const demand: Demand = { oldValues: this.#handle.view.sendOldValues(false) };
    const filter = { keep, store, versioned, parentVersioned: this.#handle.view.versioned, demand };
    this.#graph.addOperator({
      name: node,
      parents: [this.#handle.node],
      supplier: () => new TableFilter(filter),
      keepsKey: true,
    });
    if (store !== undefined)
      this.#graph.addTableStore(store, node, keySerde, valueSerde, options.materialized ?? {});
    const view = tableFilterView(filter, this.#handle.view);
    return this.#graph.table({ ...this.#inherited(), node, keySerde, valueSerde, view, queryable: store });
  }

  /** What a table derived from this one row by row has of it. */
  #inherited(): Pick<TableHandle<K, unknown>, 'sources' | 'windowClose'> {
    const { sources, windowClose } = this.#handle;
    return windowClose === undefined ? { sources } : { sources, windowClose };
  }

  /** Names and serdes of a table derived from this one row by row. */
  #derived<V2>(
    prefix: string,
    { named, materialized }: SameTypeOptions<K, V2>,
    inherited: Serde<V2> | undefined,
  ): {
    node: string;
    store: string | undefined;
    versioned: boolean;
    keySerde: Serde<K> | undefined;
    valueSerde: Serde<V2> | undefined;
  } {
    if (materialized?.versioned !== undefined && materialized.name === undefined)
      throw invalidTopology(
        `a ${prefix.slice(0, -1)} table cannot be versioned without a name: it has no store then`,
        'give materialized its name',
      );
    // Kafka Streams takes a number for a store that it then does not make.
    if (materialized !== undefined && materialized.name === undefined)
      this.#graph.storeName(undefined, prefix);
    const store =
      materialized?.name === undefined ? undefined : this.#graph.storeName(materialized.name, prefix);
    const node = this.#graph.nodeName(named, prefix);
    // As in Kafka Streams: what is given decides, and only where nothing is, the table above.
    const versioned =
      materialized === undefined ? this.#handle.view.versioned : materialized.versioned !== undefined;
    return { node, store, versioned, ...materializedSerdes(materialized, this.#handle.keySerde, inherited) };
  }
}
