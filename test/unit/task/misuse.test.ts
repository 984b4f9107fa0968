/** Misuse of the Processor API, each kind with a test of its name. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { type ErrorCode, StreamsError } from '../../../src/base/errors.ts';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type { KeyValueStore, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import type { ProcessorSupplier } from '../../../src/graph/supplier.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { jsonSerde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';

interface Item {
  name: string;
  tags: string[];
}

const serdes = { keySerde: stringSerde, valueSerde: jsonSerde<Item>() };
const noProcessor: ProcessorSupplier<string, Item> = () => ({ process: () => {} });

function withSource(): Topology {
  return new Topology().addSource({ name: 'in', topics: ['in'], ...serdes });
}

function items(name: string): StoreSpec {
  return { name, kind: 'key-value', changelog: true, ...serdes } as StoreSpec;
}

const refused =
  (code: ErrorCode, ...words: RegExp[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof StreamsError, String(error));
    assert.equal(error.code, code, error.message);
    for (const each of words) assert.match(error.message, each);
    return true;
  };

describe('misuse of the Processor API', () => {
  let driver: TopologyTestDriver | undefined;
  afterEach(async () => {
    await driver?.close();
    driver = undefined;
  });

  it('an unknown store', () => {
    assert.throws(
      () =>
        withSource().addProcessor({ name: 'p', supplier: noProcessor, parents: ['in'], stores: ['nowhere'] }),
      refused('TOPOLOGY_INVALID', /p names the store nowhere, which is not defined/, /addStateStore/),
    );
    assert.throws(
      () => withSource().connectProcessorAndStateStores('nobody', ['nowhere']),
      refused('TOPOLOGY_INVALID', /nobody is not a processor/),
    );
  });

  it('an unconnected store', async () => {
    const topology = withSource()
      .addStateStore(items('items'))
      .addProcessor({
        name: 'owner',
        supplier: noProcessor,
        parents: ['in'],
        stores: ['items'],
      })
      .addProcessor({
        name: 'stranger',
        supplier: () => ({
          init: (context: ProcessorContext<unknown, unknown>) => void context.getStateStore('items'),
          process: () => {},
        }),
        parents: ['in'],
      });
    const unconnected = new TopologyTestDriver(topology);
    await assert.rejects(
      unconnected.open(),
      refused('STORE_UNKNOWN', /items is not connected to processor stranger/, /connected are none/),
    );
    await unconnected.close();
  });

  it('a name twice', () => {
    const twice = () => withSource().addProcessor({ name: 'in', supplier: noProcessor, parents: ['in'] });
    assert.throws(twice, refused('TOPOLOGY_INVALID', /two nodes named in/));
    assert.throws(
      () => withSource().addStateStore(items('s')).addStateStore(items('s')),
      refused('TOPOLOGY_INVALID', /two stores named s/),
    );
  });

  it('a cycle of processors without a topic between them', () => {
    assert.throws(
      () =>
        withSource()
          .addProcessor({ name: 'a', supplier: noProcessor, parents: ['in', 'b'] })
          .addProcessor({ name: 'b', supplier: noProcessor, parents: ['a'] }),
      refused('TOPOLOGY_INVALID', /a names the parent b, which is not there/),
    );
    assert.throws(
      () => withSource().addProcessor({ name: 'a', supplier: noProcessor, parents: ['a'] }),
      refused('TOPOLOGY_INVALID', /a names the parent a, which is not there/),
    );
  });

  const mutations: {
    readonly what: string;
    readonly process: (
      record: Record<string, Item>,
      context: ProcessorContext<string, Item>,
      store: KeyValueStore<string, Item>,
    ) => void;
  }[] = [
    {
      what: 'a record that was received, changed',
      process: (record) => {
        record.value.name = 'changed';
      },
    },
    {
      what: 'a forwarded record, changed afterwards',
      process: (record, context) => {
        const value = { name: 'new', tags: [] as string[] };
        context.forward({ ...record, value });
        value.tags.push('late');
      },
    },
    {
      what: 'a stored value, changed after it was put',
      process: (_record, _context, store) => {
        const value = { name: 'new', tags: [] };
        store.put('k', value);
        value.name = 'changed';
      },
    },
    {
      what: 'a stored value, changed after it was read',
      process: (_record, _context, store) => {
        const value = store.get('k');
        if (value === undefined) store.put('k', { name: 'new', tags: [] });
        else value.tags.push('more');
      },
    },
  ];
  for (const { what, process } of mutations)
    it(`${what}, fails in the test driver`, async () => {
      let context: ProcessorContext<string, Item>;
      const topology = withSource()
        .addStateStore(items('items'))
        .addProcessor<string, Item, string, Item>({
          name: 'p',
          supplier: () => ({
            init: (given) => {
              context = given;
            },
            process: (record) => process(record, context, context.getStateStore('items')),
          }),
          parents: ['in'],
          stores: ['items'],
        })
        .addSink({ name: 'out', topic: 'out', parents: ['p'], ...serdes });
      driver = new TopologyTestDriver(topology);
      await driver.open();
      const input = driver.createInputTopic('in', serdes.keySerde, serdes.valueSerde);
      const pipeTwice = async (): Promise<void> => {
        for (let time = 0; time < 2; time++) await input.pipe('k', { name: 'given', tags: [] });
      };
      await assert.rejects(pipeTwice(), refused('PROCESSING_FAILED', /p changed in place/, /make a new one/));
    });
});
