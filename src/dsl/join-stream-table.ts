/** Puts the joins of a stream with a table and with a global table together. Called by KStream. */
import type { Serde } from '../serde/serde.ts';
import type { GlobalKTable, KStream, KTable } from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { bufferKeySerde, bufferRowSerde } from './operators/join-buffer.ts';
import { StreamTableJoin } from './operators/stream-table-join.ts';
import {
  asSerde,
  invalidTopology,
  type Joined,
  type KeyValueMapper,
  type Named,
  needSerde,
  type ValueJoiner,
} from './options.ts';
import { storeReader } from './table-view.ts';

export function joinStreamTable<K, V, VT, VOut>(
  graph: DslGraph,
  stream: StreamHandle<K, V>,
  table: KTable<K, VT>,
  joiner: ValueJoiner<K, V, VT | null, VOut>,
  joined: Joined<K, V>,
  left: boolean,
): KStream<K, VOut> {
  const right = graph.tableHandle(table);
  const { name, gracePeriodMs, ...serdes } = joined;
  const known = {
    ...stream,
    keySerde: serdes.keySerde ?? stream.keySerde,
    valueSerde: asSerde(serdes.valueSerde) ?? stream.valueSerde,
  };
  const from = stream.keyChanged ? graph.repartitionForJoin(known, name, !left) : stream;
  const sources = graph.copartition(from.sources, right.sources);
  const node = graph.nodeName(name, left ? 'KSTREAM-LEFTJOIN-' : 'KSTREAM-JOIN-');
  const reader = right.view.reader();
  const buffer =
    gracePeriodMs === undefined
      ? undefined
      : { store: `${node}-Buffer`, graceMs: checkGrace(node, gracePeriodMs, right.view.versioned) };
  graph.addOperator({
    name: node,
    parents: [from.node],
    supplier: () =>
      new StreamTableJoin<K, V, K, VT, VOut>({
        table: reader,
        joiner,
        left,
        keySelector: (key) => key,
        buffer,
        reads: reader.stores,
      }),
    stores: reader.stores,
    keepsKey: true,
  });
  const keySerde = serdes.keySerde ?? from.keySerde;
  if (buffer !== undefined)
    addBuffer(graph, node, buffer.store, keySerde, asSerde(serdes.valueSerde) ?? from.valueSerde);
  return graph.stream<K, VOut>({ node, keySerde, valueSerde: undefined, sources, keyChanged: false });
}

export function joinGlobalTable<K, V, KG, VG, VOut>(
  graph: DslGraph,
  stream: StreamHandle<K, V>,
  table: GlobalKTable<KG, VG>,
  keySelector: KeyValueMapper<K, V, KG | null>,
  joiner: ValueJoiner<K, V, VG | null, VOut>,
  { named }: Named,
  left: boolean,
): KStream<K, VOut> {
  const { store } = graph.globalTableHandle(table);
  const node = graph.nodeName(named, left ? 'KSTREAM-LEFTJOIN-' : 'KSTREAM-JOIN-');
  // Global stores need no connection.
  const reader = { stores: [], open: storeReader<KG, VG>(store).open };
  const options = { table: reader, joiner, left, keySelector, buffer: undefined, reads: [store] };
  graph.addOperator({
    name: node,
    parents: [stream.node],
    supplier: () => new StreamTableJoin<K, V, KG, VG, VOut>(options),
    keepsKey: true,
  });
  graph.notes.valueChanges.add(node);
  return graph.stream<K, VOut>({ ...stream, node, valueSerde: undefined });
}

function checkGrace(node: string, gracePeriodMs: number, versioned: boolean): number {
  if (!versioned)
    throw invalidTopology(
      `${node} has a grace period and its table is not versioned: late changes could not be told from new ones`,
      'give the table materialized: { name, versioned: { historyRetentionMs } }',
    );
  if (Number.isSafeInteger(gracePeriodMs) && gracePeriodMs >= 0) return gracePeriodMs;
  throw invalidTopology(`gracePeriodMs of ${node} is whole milliseconds, not ${gracePeriodMs}`);
}

function addBuffer<K, V>(
  graph: DslGraph,
  node: string,
  name: string,
  keySerde: Serde<K> | undefined,
  valueSerde: Serde<V> | undefined,
): void {
  const hint = 'give the join its keySerde and valueSerde';
  const keys = needSerde('key', node, hint, keySerde);
  const values = needSerde('value', node, hint, valueSerde);
  graph.addStore(
    {
      name,
      kind: 'key-value',
      keySerde: bufferKeySerde(keys) as Serde<unknown>,
      valueSerde: bufferRowSerde(values) as Serde<unknown>,
      changelog: true,
    },
    [node],
  );
}
