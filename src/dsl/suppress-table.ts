/** `KTable.suppress` as a node, its buffer's store and the table below it. Called by ktable.ts. */
import type { Serde } from '../serde/serde.ts';
import type { KTable } from './api.ts';
import type { DslGraph, TableHandle, WindowClose } from './dsl-graph.ts';
import { bufferKeySerde, bufferRowSerde } from './operators/suppress-buffer.ts';
import { TableSuppress, type TableSuppressOptions, tableSuppressView } from './operators/table-suppress.ts';
import { invalidTopology, needSerde, storeSettings } from './options.ts';
import { checkSuppressed, type Suppressed } from './suppressed.ts';
import type { Demand } from './table-view.ts';
import type { Windowed } from './windows.ts';

const prefix = 'KTABLE-SUPPRESS-';

/** Errors: TOPOLOGY_INVALID when the table is not windowed and is to wait for windows to close. */
export function suppressTable<K, V>(
  graph: DslGraph,
  handle: TableHandle<K, V>,
  suppressed: Suppressed,
): KTable<K, V> {
  const limits = checkSuppressed(suppressed);
  if (handle.view.versioned)
    throw invalidTopology('a versioned table cannot be suppressed: its changes may be of the past');
  const { named } = suppressed;
  // A given name leaves the counter where it is, as in Kafka Streams.
  const node = named === undefined ? graph.generate(prefix) : graph.checkedName(named);
  const store = named === undefined ? graph.storeName(undefined, prefix) : `${named}-store`;
  const hint = `give the table above ${node} its serdes by materialized`;
  const keySerde = needSerde('key', node, hint, handle.keySerde);
  const valueSerde = needSerde('value', node, hint, handle.valueSerde) as Serde<V>;
  const demand: Demand = { oldValues: false };
  const options: TableSuppressOptions<K, V> = {
    ...limits,
    ...('untilWindowCloses' in suppressed
      ? untilWindowCloses<K>(node, handle.windowClose)
      : untilTimeLimit<K>(suppressed.untilTimeLimitMs)),
    node,
    store,
    keySerde,
    valueSerde,
    demand,
  };
  handle.view.sendOldValues(true);
  graph.addOperator({
    name: node,
    parents: [handle.node],
    supplier: () => new TableSuppress(options),
    keepsKey: true,
  });
  graph.addStore(
    {
      name: store,
      kind: 'key-value',
      keySerde: bufferKeySerde(keySerde) as Serde<unknown>,
      valueSerde: bufferRowSerde(valueSerde) as Serde<unknown>,
      ...storeSettings(suppressed),
    },
    [node],
  );
  return graph.table({ ...handle, node, view: tableSuppressView(store, demand, handle.view) });
}

type Due<K> = Pick<TableSuppressOptions<K, never>, 'bufferMs' | 'waitMs' | 'endInclusive' | 'dropsDeletions'>;

function untilTimeLimit<K>(waitMs: number): Due<K> {
  return { bufferMs: (_key, timestampMs) => timestampMs, waitMs, endInclusive: false, dropsDeletions: false };
}

function untilWindowCloses<K>(node: string, close: WindowClose | undefined): Due<K> {
  if (close === undefined)
    throw invalidTopology(
      `${node} waits for windows to close, and the table above it is not windowed`,
      'suppress the result of a windowed aggregate, or use untilTimeLimitMs',
    );
  return {
    bufferMs: (key) => (key as Windowed<unknown>).window.endMs,
    waitMs: close.graceMs,
    endInclusive: close.endInclusive,
    dropsDeletions: true,
  };
}
