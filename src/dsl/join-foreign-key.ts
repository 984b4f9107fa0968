/**
 * Puts a foreign-key join together, with Kafka Streams' nodes, topics and names: subscriptions go to the right
 * table's partitions, responses come back to the left row's own. Called by KTable.
 */
import type { Serde } from '../serde/serde.ts';
import type { KTable } from './api.ts';
import type { DslGraph, TableHandle } from './dsl-graph.ts';
import { isStored } from './dsl-graph.ts';
import { ResponseJoin, SubscriptionSend } from './operators/foreign-key-left.ts';
import { ForeignTableJoin, SubscriptionJoin, SubscriptionReceive } from './operators/foreign-key-right.ts';
import {
  askedKeySerde,
  askedSerde,
  responseSerde,
  type SubscriptionResponse,
  subscriptionKeySerde,
  subscriptionSerde,
} from './operators/foreign-key-wire.ts';
import { TableSource, type TableSourceDemand, tableSourceView } from './operators/table-source.ts';
import { type ForeignKeyJoinOptions, needSerde, type ValueJoiner } from './options.ts';

interface Names {
  readonly registrationTopic: string;
  readonly send: string;
  readonly sink: string;
  readonly source: string;
  readonly store: string;
  readonly receive: string;
  readonly join: string;
  readonly foreign: string;
  readonly responseTopic: string;
  readonly responseSink: string;
  readonly responseSource: string;
  readonly resolver: string;
  readonly result: string;
}

interface Serdes<K, V, KO, VO> {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  readonly foreignKey: Serde<KO>;
  readonly foreignValue: Serde<VO>;
}

export function joinForeignKey<K, V, KO, VO, VOut>(
  graph: DslGraph,
  left: TableHandle<K, V>,
  right: TableHandle<KO, VO>,
  joiner: ValueJoiner<K, V, VO | null, VOut | null>,
  options: ForeignKeyJoinOptions<K, V, KO, VOut>,
  isLeft: boolean,
): KTable<K, VOut> {
  // Old values say which subscription a changed row has to give up.
  right.view.sendOldValues(true);
  left.view.sendOldValues(true);
  const names = nameParts(graph, options.named);
  const serdes = needSerdes(names, left, right);
  const askedStore = isLeft ? undefined : `${names.store}-questions`;
  addLeftSend(graph, left, names, serdes, options, askedStore);
  addRight(graph, right, names, serdes);
  const sources = graph.copartition(left.sources, [{ name: names.responseTopic, internal: true }]);
  const reader = left.view.reader();
  graph.addOperator({
    name: names.resolver,
    parents: [names.responseSource],
    supplier: () =>
      new ResponseJoin<K, V, KO, VO, VOut>({
        table: reader,
        extractor: options.foreignKeyExtractor,
        valueSerde: serdes.value,
        joiner,
        askedStore,
      }),
    stores: reader.stores,
    keepsKey: true,
  });
  if (askedStore !== undefined)
    graph.addStore(
      {
        name: askedStore,
        kind: 'key-value',
        keySerde: askedKeySerde(serdes.key) as Serde<unknown>,
        valueSerde: askedSerde as Serde<unknown>,
        changelog: true,
        companion: true,
      },
      [names.send, names.resolver],
    );
  return addResult(graph, names, serdes.key, sources, options);
}

/** Order: as Kafka Streams takes them from its counter. */
function nameParts(graph: DslGraph, named: string | undefined): Names {
  const part = (suffix: string, prefix: string): string => graph.suffixedName(named, suffix, prefix);
  const fk = 'KTABLE-FK-JOIN-SUBSCRIPTION-';
  return {
    registrationTopic: `${part('-subscription-registration', `${fk}REGISTRATION-`)}-topic`,
    send: part('-subscription-registration-processor', `${fk}REGISTRATION-`),
    sink: part('-subscription-registration-sink', 'KTABLE-SINK-'),
    source: part('-subscription-registration-source', 'KTABLE-SOURCE-'),
    store: part('-subscription-store', `${fk}STATE-STORE-`),
    receive: part('-subscription-receive', `${fk}PROCESSOR-`),
    join: part('-subscription-join-foreign', `${fk}PROCESSOR-`),
    foreign: part('-foreign-join-subscription', `${fk}PROCESSOR-`),
    responseTopic: `${part('-subscription-response', `${fk}RESPONSE-`)}-topic`,
    responseSink: part('-subscription-response-sink', 'KTABLE-SINK-'),
    responseSource: part('-subscription-response-source', 'KTABLE-SOURCE-'),
    resolver: part('-subscription-response-resolver', `${fk}RESPONSE-RESOLVER-PROCESSOR-`),
    result: part('-result', 'KTABLE-FK-JOIN-OUTPUT-'),
  };
}

function needSerdes<K, V, KO, VO>(
  names: Names,
  left: TableHandle<K, V>,
  right: TableHandle<KO, VO>,
): Serdes<K, V, KO, VO> {
  const give = (table: string): string => `give the ${table} table materialized: { keySerde, valueSerde }`;
  return {
    key: needSerde('key', names.send, give('left'), left.keySerde),
    value: needSerde('value', names.send, give('left'), left.valueSerde),
    foreignKey: needSerde('key', names.foreign, give('right'), right.keySerde),
    foreignValue: needSerde('value', names.foreign, give('right'), right.valueSerde),
  };
}

function addLeftSend<K, V, KO, VO, VOut>(
  graph: DslGraph,
  left: TableHandle<K, V>,
  names: Names,
  serdes: Serdes<K, V, KO, VO>,
  { foreignKeyExtractor: extractor, otherPartitioner }: ForeignKeyJoinOptions<K, V, KO, VOut>,
  askedStore: string | undefined,
): void {
  const { versioned } = left.view;
  graph.addOperator({
    name: names.send,
    parents: [left.node],
    supplier: () =>
      new SubscriptionSend<K, V, KO>({
        extractor,
        foreignKeySerde: serdes.foreignKey,
        valueSerde: serdes.value,
        askedStore,
        versioned,
      }),
    keepsKey: false,
  });
  graph.topology.addRepartition({ name: names.registrationTopic, partitions: undefined });
  graph.topology.addSink({
    name: names.sink,
    topic: names.registrationTopic,
    internal: true,
    keySerde: serdes.foreignKey as Serde<KO | null>,
    valueSerde: subscriptionSerde(serdes.key),
    parents: [names.send],
    ...(otherPartitioner === undefined
      ? {}
      : {
          partitioner: (topic, key, _value, partitions) =>
            key === null ? undefined : otherPartitioner(topic, key, null, partitions),
        }),
  });
}

function addRight<K, V, KO, VO>(
  graph: DslGraph,
  right: TableHandle<KO, VO>,
  names: Names,
  serdes: Serdes<K, V, KO, VO>,
): void {
  const subscriptions = subscriptionSerde(serdes.key);
  graph.topology.addSource({
    name: names.source,
    topics: [names.registrationTopic],
    internal: true,
    keySerde: serdes.foreignKey,
    valueSerde: subscriptions,
  });
  graph.copartition(right.sources, [{ name: names.registrationTopic, internal: true }]);
  graph.addOperator({
    name: names.receive,
    parents: [names.source],
    supplier: () => new SubscriptionReceive<KO, K>(names.store),
    keepsKey: true,
  });
  const reader = right.view.reader();
  graph.addOperator({
    name: names.join,
    parents: [names.receive],
    supplier: () => new SubscriptionJoin<KO, K, VO>(reader),
    stores: reader.stores,
    keepsKey: false,
  });
  const { versioned } = right.view;
  const sameKey = (a: KO, b: KO): boolean =>
    a === b ||
    serdes.foreignKey.serialize(a, '')?.equals(serdes.foreignKey.serialize(b, '') as Buffer) === true;
  graph.addOperator({
    name: names.foreign,
    parents: [right.node],
    supplier: () => new ForeignTableJoin<KO, K, VO>(names.store, sameKey, versioned),
    keepsKey: false,
  });
  graph.addStore(
    {
      name: names.store,
      kind: 'key-value',
      keySerde: subscriptionKeySerde(serdes.foreignKey, serdes.key) as Serde<unknown>,
      valueSerde: subscriptions as Serde<unknown>,
      changelog: true,
    },
    [names.receive, names.foreign],
  );
  const responses = responseSerde(serdes.foreignValue);
  graph.topology.addRepartition({ name: names.responseTopic, partitions: undefined });
  graph.topology.addSink<K, SubscriptionResponse<VO>>({
    name: names.responseSink,
    topic: names.responseTopic,
    internal: true,
    keySerde: serdes.key,
    valueSerde: responses,
    parents: [names.join, names.foreign],
    // Back to where the left row lives, whoever chose its partition.
    partitioner: (_topic, _key, value) => (value as SubscriptionResponse<VO>).partition,
  });
  graph.topology.addSource({
    name: names.responseSource,
    topics: [names.responseTopic],
    internal: true,
    keySerde: serdes.key,
    valueSerde: responses,
  });
}

function addResult<K, V, KO, VOut>(
  graph: DslGraph,
  names: Names,
  leftKeySerde: Serde<K>,
  sources: TableHandle<K, V>['sources'],
  { materialized }: ForeignKeyJoinOptions<K, V, KO, VOut>,
): KTable<K, VOut> {
  const store = graph.storeName(materialized?.name, 'KTABLE-FK-JOIN-OUTPUT-');
  const demand: TableSourceDemand = { oldValues: false, stored: isStored(materialized) };
  graph.addOperator({
    name: names.result,
    parents: [names.resolver],
    supplier: () => new TableSource<K, VOut>(store, demand),
    keepsKey: true,
  });
  const keySerde = materialized?.keySerde ?? leftKeySerde;
  const valueSerde = materialized?.valueSerde;
  const materialize = (): void =>
    graph.addTableStore(store, names.result, keySerde, valueSerde, materialized ?? {});
  if (demand.stored) materialize();
  const view = tableSourceView<K, VOut>(store, demand, materialize, materialized?.versioned !== undefined);
  const queryable = materialized?.name;
  return graph.table({ node: names.result, keySerde, valueSerde, sources, view, queryable });
}
