/** Puts a table-table join together: a join step per side, the merge, a store if one was asked for. Called by KTable. */

import type { KTable } from './api.ts';
import type { DslGraph, TableHandle } from './dsl-graph.ts';
import { TableJoinMerge } from './operators/table-join-merge.ts';
import {
  type JoinKind,
  joinedView,
  joinSendsOldValues,
  sideRule,
  TableTableJoin,
} from './operators/table-table-join.ts';
import type { TableOptions, ValueJoiner } from './options.ts';
import { type Demand, storeReader, type TableView } from './table-view.ts';

export function joinTables<K, VL, VR, VOut>(
  graph: DslGraph,
  left: TableHandle<K, VL>,
  right: TableHandle<K, VR>,
  joiner: ValueJoiner<K, VL | null, VR | null, VOut | null>,
  kind: JoinKind,
  { named, materialized }: TableOptions<K, VOut>,
): KTable<K, VOut> {
  const store = materialized === undefined ? undefined : graph.storeName(materialized.name, 'KTABLE-MERGE-');
  const merge = graph.nodeName(named, 'KTABLE-MERGE-');
  const joinThis = graph.suffixedName(named, '-join-this', 'KTABLE-JOINTHIS-');
  const joinOther = graph.suffixedName(named, '-join-other', 'KTABLE-JOINOTHER-');
  const sources = graph.copartition(left.sources, right.sources);
  // A side that is kept without partner must know what it takes back.
  if (kind !== 'inner') left.view.sendOldValues(true);
  if (kind === 'outer') right.view.sendOldValues(true);
  const demand: Demand = { oldValues: false };
  const readers = { left: left.view.reader(), right: right.view.reader() };
  graph.addOperator({
    name: joinThis,
    parents: [left.node],
    supplier: () =>
      new TableTableJoin<K, VL, VR, VOut>({
        other: readers.right,
        joiner,
        rule: sideRule(kind, 'left'),
        versioned: left.view.versioned,
        demand,
      }),
    stores: readers.right.stores,
    keepsKey: true,
  });
  graph.addOperator({
    name: joinOther,
    parents: [right.node],
    supplier: () =>
      new TableTableJoin<K, VR, VL, VOut>({
        other: readers.left,
        joiner: (own, other, key) => joiner(other, own, key),
        rule: sideRule(kind, 'right'),
        versioned: right.view.versioned,
        demand,
      }),
    stores: readers.left.stores,
    keepsKey: true,
  });
  graph.addOperator({
    name: merge,
    parents: [joinThis, joinOther],
    supplier: () => new TableJoinMerge<K, VOut>(store),
    keepsKey: true,
  });
  const keySerde = materialized?.keySerde ?? left.keySerde;
  const valueSerde = materialized?.valueSerde;
  if (store !== undefined) graph.addTableStore(store, merge, keySerde, valueSerde, materialized ?? {});
  const view: TableView<K, VOut> =
    store === undefined
      ? joinedView(left.view, right.view, joiner, kind, demand)
      : {
          versioned: materialized?.versioned !== undefined,
          reader: () => storeReader(store),
          sendOldValues: () => joinSendsOldValues(left.view, right.view, demand),
        };
  const queryable = materialized?.name;
  return graph.table({ node: merge, keySerde, valueSerde, sources, view, queryable });
}
