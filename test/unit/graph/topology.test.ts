/** Goal: the graph refuses misuse where it is made, splits as Kafka Streams does, and describes itself in its form. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Processor } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { planApplication } from '../../../src/task/task-plan.ts';

const serdes = { keySerde: stringSerde, valueSerde: stringSerde };
const supplier = (): Processor<string, string> => ({ process: () => {} });
const store = (name: string) => ({ name, kind: 'key-value' as const, ...serdes, changelog: true });

function twoParts(): Topology {
  return new Topology()
    .addSource({ name: 'orders', topics: ['orders'], ...serdes })
    .addStateStore(store('by-order'))
    .addProcessor({ name: 'join', supplier, parents: ['orders'], stores: ['by-order'] })
    .addRepartition({ name: 'by-sku-repartition', partitions: undefined })
    .addSink({ name: 'to-sku', topic: 'by-sku-repartition', internal: true, ...serdes, parents: ['join'] })
    .addSource({ name: 'skus', topics: ['by-sku-repartition'], internal: true, ...serdes })
    .addStateStore(store('stock'))
    .addProcessor({ name: 'reserve', supplier, parents: ['skus'], stores: ['stock'] })
    .addSink({ name: 'replies', topic: 'replies', ...serdes, parents: ['reserve'] });
}

describe('a topology', () => {
  it('describes itself in the text form of Kafka Streams', () => {
    assert.equal(
      twoParts().describe(),
      [
        'Topologies:',
        '   Sub-topology: 0',
        '    Source: orders (topics: [orders])',
        '      --> join',
        '    Processor: join (stores: [by-order])',
        '      --> to-sku',
        '      <-- orders',
        '    Sink: to-sku (topic: by-sku-repartition)',
        '      <-- join',
        '',
        '  Sub-topology: 1',
        '    Source: skus (topics: [by-sku-repartition])',
        '      --> reserve',
        '    Processor: reserve (stores: [stock])',
        '      --> replies',
        '      <-- skus',
        '    Sink: replies (topic: replies)',
        '      <-- reserve',
        '',
        '',
      ].join('\n'),
    );
  });

  it('joins parts that share a store into one sub-topology', () => {
    const topology = twoParts().connectProcessorAndStateStores('join', ['stock']);
    assert.equal(topology.subtopologies().length, 1);
  });

  const misuses: [string, () => unknown, RegExp][] = [
    [
      'two nodes of one name',
      () => twoParts().addSource({ name: 'join', topics: ['x'], ...serdes }),
      /two nodes named join/,
    ],
    [
      'a parent that is not there',
      () => twoParts().addProcessor({ name: 'p', supplier, parents: ['nobody'] }),
      /nobody, which is not there/,
    ],
    [
      'a sink as parent',
      () => twoParts().addProcessor({ name: 'p', supplier, parents: ['replies'] }),
      /names the sink replies as its parent/,
    ],
    [
      'a processor without parent',
      () => twoParts().addProcessor({ name: 'p', supplier, parents: [] }),
      /no parent/,
    ],
    [
      'a store that is not defined',
      () => twoParts().connectProcessorAndStateStores('join', ['nothing']),
      /store nothing, which is not defined/,
    ],
    ['two stores of one name', () => twoParts().addStateStore(store('stock')), /two stores named stock/],
    [
      'two sources of one topic',
      () => twoParts().addSource({ name: 'again', topics: ['orders'], ...serdes }),
      /already has the source orders/,
    ],
    [
      'a source without topic',
      () => new Topology().addSource({ name: 's', topics: [], ...serdes }),
      /names no topic/,
    ],
  ];
  for (const [what, misuse, message] of misuses) {
    it(`refuses ${what}`, () => {
      assert.throws(
        misuse,
        (error: { code: string; message: string }) =>
          error.code === 'TOPOLOGY_INVALID' && message.test(error.message),
      );
    });
  }
});

describe('the plan of an application', () => {
  const counts = new Map([
    ['orders', 3],
    ['replies', 2],
  ]);

  it('has one task per partition of each sub-topology, and a token for each', () => {
    const plan = planApplication(twoParts(), 'shop', counts);
    assert.deepEqual(
      plan.tasks.map(({ taskId }) => taskId),
      ['0_0', '0_1', '0_2', '1_0', '1_1', '1_2'],
    );
    assert.equal(plan.partitionsOf.get('shop-tasks'), 6);
  });

  it('names internal topics as Kafka Streams does, with the partitions of what feeds them', () => {
    const plan = planApplication(twoParts(), 'shop', counts);
    const internal = new Map(plan.internalTopics.map((topic) => [topic.name, topic.partitions]));
    assert.equal(internal.get('shop-by-sku-repartition'), 3);
    assert.equal(internal.get('shop-stock-changelog'), 3);
    assert.equal(internal.get('orders.dlq'), 3);
  });

  it('refuses to join topics of different partition counts, naming both', () => {
    const topology = twoParts()
      .addSource({ name: 'prices', topics: ['prices'], ...serdes })
      .copartition(['orders', 'prices']);
    assert.throws(
      () => planApplication(topology, 'shop', new Map([...counts, ['prices', 5]])),
      (error: { code: string; message: string }) =>
        error.code === 'PARTITIONS_MISMATCH' && /orders has 3, prices has 5/.test(error.message),
    );
  });

  it('says which topic is missing', () => {
    assert.throws(() => planApplication(twoParts(), 'shop', new Map([['orders', 3]])), {
      code: 'TOPIC_UNKNOWN',
    });
  });
});
