/**
 * Puts a stream-stream join together: repartition topics where keys changed, two window steps, two join
 * steps, the merge, two window stores and the shared one. Called by KStream.
 */
import type { ProcessorSupplier } from '../graph/supplier.ts';
import { type Serde, stringSerde } from '../serde/serde.ts';
import type { KStream } from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import type { InnerJoinNote } from './operator-notes.ts';
import {
  type JoinSide,
  pendingStretchMs,
  sequencedSerde,
  sharedKeySerde,
  sharedPlacement,
  sharedRowSerde,
} from './operators/join-state.ts';
import { PassThrough } from './operators/pass-through.ts';
import {
  type JoinStores,
  joinRetentionMs,
  StreamJoinWindow,
  type StrictJoin,
} from './operators/stream-join-window.ts';
import { StreamStreamJoin } from './operators/stream-stream-join.ts';
import {
  asSerde,
  checkJoinWindows,
  checkUnmatched,
  type JoinWindows,
  needSerde,
  type OuterStreamJoined,
  type SerdeFor,
  storeSettings,
  type ValueJoiner,
} from './options.ts';

/** Sides whose records come out even without a partner. */
export type Preserved = Readonly<Record<JoinSide, boolean>>;

interface Names {
  readonly window: Readonly<Record<JoinSide, string>>;
  readonly join: Readonly<Record<JoinSide, string>>;
  readonly merge: string;
  readonly stores: JoinStores;
}

export function joinStreams<K, VL, VR, VOut>(
  graph: DslGraph,
  leftStream: StreamHandle<K, VL>,
  rightStream: StreamHandle<K, VR>,
  joiner: ValueJoiner<K, VL | null, VR | null, VOut>,
  windows: JoinWindows,
  joined: OuterStreamJoined<K, VL, VR>,
  preserved: Preserved,
): KStream<K, VOut> {
  checkJoinWindows(windows ?? {});
  const { name } = joined;
  const strict = checkUnmatched(joined, !preserved.left && !preserved.right);
  // A null key matches nothing, but a left or outer join may have to send it on alone.
  const dropNullKeys = !preserved.left && !preserved.right;
  const left = rekeyed(
    graph,
    leftStream,
    name && `${name}-left`,
    joined.keySerde,
    joined.valueSerde,
    dropNullKeys,
  );
  const right = rekeyed(
    graph,
    rightStream,
    name && `${name}-right`,
    joined.keySerde,
    joined.otherValueSerde,
    dropNullKeys,
  );
  const sources = graph.copartition(left.sources, right.sources);
  const names = nameParts(graph, joined, preserved);
  const keySerde = joined.keySerde ?? left.keySerde ?? right.keySerde;
  const { stores } = names;
  addSide(graph, 'left', left.node, names, windows, strict);
  addSide(graph, 'right', right.node, names, windows, strict);
  const options = { stores, windows, joiner, preserved, strict };
  addJoin(graph, 'left', names, () => new StreamStreamJoin<K, VL, VR, VOut>('left', options));
  addJoin(graph, 'right', names, () => new StreamStreamJoin<K, VL, VR, VOut>('right', options));
  addStores(graph, names, windows, joined, keySerde, left.valueSerde, right.valueSerde);
  graph.addOperator({
    name: names.merge,
    parents: [names.join.left, names.join.right],
    supplier: () => new PassThrough<K, VOut>(),
    keepsKey: true,
  });
  if (dropNullKeys)
    graph.notes.innerJoins.push({ ...names, windows, joiner: joiner as InnerJoinNote['joiner'] });
  return graph.stream<K, VOut>({
    node: names.merge,
    keySerde,
    valueSerde: undefined,
    sources,
    keyChanged: false,
  });
}

function rekeyed<K, V>(
  graph: DslGraph,
  stream: StreamHandle<K, V>,
  prefix: string | undefined,
  keySerde: Serde<K> | undefined,
  valueSerde: SerdeFor<NonNullable<V>> | undefined,
  dropNullKeys: boolean,
): StreamHandle<K, V> {
  const known = {
    ...stream,
    keySerde: keySerde ?? stream.keySerde,
    valueSerde: asSerde(valueSerde) ?? stream.valueSerde,
  };
  return stream.keyChanged ? graph.repartitionForJoin(known, prefix, dropNullKeys) : known;
}

/** Order: as Kafka Streams takes them from its counter. */
function nameParts(
  graph: DslGraph,
  { name, storeName }: { readonly name?: string; readonly storeName?: string },
  preserved: Preserved,
): Names {
  const window = {
    left: graph.suffixedName(name, '-this-windowed', 'KSTREAM-WINDOWED-'),
    right: graph.suffixedName(name, '-other-windowed', 'KSTREAM-WINDOWED-'),
  };
  const thisName = graph.generate(preserved.right ? 'KSTREAM-OUTERTHIS-' : 'KSTREAM-JOINTHIS-');
  const otherName = graph.generate(preserved.left ? 'KSTREAM-OUTEROTHER-' : 'KSTREAM-JOINOTHER-');
  const merge = graph.suffixedName(name, '-merge', 'KSTREAM-MERGE-');
  const thisSuffix = preserved.right ? '-outer-this-join' : '-this-join';
  const otherSuffix = preserved.left ? '-outer-other-join' : '-other-join';
  const sharedSuffix = preserved.right
    ? '-outer-shared-join'
    : preserved.left
      ? '-left-shared-join'
      : '-shared-join';
  const sharedPrefix = preserved.left ? 'KSTREAM-OUTERSHARED-' : 'KSTREAM-JOINSHARED-';
  return {
    window,
    join: {
      left: name === undefined ? thisName : `${name}${thisSuffix}`,
      right: name === undefined ? otherName : `${name}${otherSuffix}`,
    },
    merge,
    stores: {
      left: `${storeName === undefined ? thisName : `${storeName}${thisSuffix}`}-store`,
      right: `${storeName === undefined ? otherName : `${storeName}${otherSuffix}`}-store`,
      shared: `${storeName === undefined ? `${sharedPrefix}${thisName.slice(-10)}` : `${storeName}${sharedSuffix}`}-store`,
    },
  };
}

function addSide(
  graph: DslGraph,
  side: JoinSide,
  parent: string,
  names: Names,
  windows: JoinWindows,
  strict: StrictJoin | undefined,
): void {
  graph.addOperator({
    name: names.window[side],
    parents: [parent],
    supplier: () => new StreamJoinWindow(side, names.stores, windows, strict),
    keepsKey: true,
  });
}

function addJoin<K, V, VOut>(
  graph: DslGraph,
  side: JoinSide,
  names: Names,
  supplier: ProcessorSupplier<K, V, K, VOut>,
): void {
  graph.addOperator({
    name: names.join[side],
    parents: [names.window[side]],
    supplier,
    keepsKey: true,
    timerKeySerde: stringSerde as Serde<unknown>,
  });
}

function addStores<K, VL, VR>(
  graph: DslGraph,
  names: Names,
  windows: JoinWindows,
  joined: OuterStreamJoined<K, VL, VR>,
  keySerde: Serde<K> | undefined,
  leftSerde: Serde<NonNullable<VL>> | undefined,
  rightSerde: Serde<NonNullable<VR>> | undefined,
): void {
  const hint = 'give the join keySerde, valueSerde and otherValueSerde';
  const keys = needSerde('key', names.merge, hint, keySerde);
  const lefts = needSerde('value', names.join.left, hint, leftSerde);
  const rights = needSerde('value', names.join.right, hint, rightSerde);
  const settings = storeSettings(joined);
  const addWindow = (side: JoinSide, values: Serde<unknown>): void =>
    graph.addStore(
      {
        name: names.stores[side],
        kind: 'window',
        keySerde: keys as Serde<unknown>,
        valueSerde: sequencedSerde(values) as Serde<unknown>,
        ...settings,
        // A window store keeps at least a moment, or it could not say what has expired.
        retentionMs: Math.max(1, joinRetentionMs(windows, joined.unmatched === 'strict')),
        retainDuplicates: true,
        placement: 'record-key',
        expiry: 'segments',
      },
      [names.window.left, names.window.right, names.join[side === 'left' ? 'right' : 'left']],
    );
  addWindow('left', lefts as Serde<unknown>);
  addWindow('right', rights as Serde<unknown>);
  const rows = sharedRowSerde(lefts, rights) as Serde<unknown>;
  const placement = sharedPlacement(
    keys as Serde<unknown>,
    rows as Parameters<typeof sharedPlacement>[1],
    pendingStretchMs(windows),
  );
  graph.addStore(
    {
      name: names.stores.shared,
      kind: 'key-value',
      keySerde: sharedKeySerde(keys) as Serde<unknown>,
      valueSerde: rows,
      ...settings,
      ...(joined.unmatched === 'strict' ? {} : { placement }),
    },
    [names.window.left, names.window.right, names.join.left, names.join.right],
  );
}
