/**
 * Goal: a punctuator is one atomic step that may read any state, and one that fails ends the instance.
 * Method: the test driver with a processor that reads its store every tick.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';

class Ticking implements Processor<string, number, string, number> {
  readonly #tick: (context: ProcessorContext<string, number>, store: KeyValueStore<string, number>) => void;
  #store!: KeyValueStore<string, number>;

  constructor(
    tick: (context: ProcessorContext<string, number>, store: KeyValueStore<string, number>) => void,
  ) {
    this.#tick = tick;
  }

  init(context: ProcessorContext<string, number>): void {
    this.#store = context.getStateStore('sums');
    context.schedule(1_000, 'wall-clock-time', () => this.#tick(context, this.#store));
  }

  process(record: Record<string, number>): void {
    this.#store.put(record.key, (this.#store.get(record.key) ?? 0) + record.value);
  }
}

function topology(tick: ConstructorParameters<typeof Ticking>[0]): Topology {
  const serdes = { keySerde: stringSerde, valueSerde: longSerde };
  return new Topology()
    .addSource({ name: 'in', topics: ['numbers'], ...serdes })
    .addStateStore({ name: 'sums', kind: 'key-value', ...serdes, changelog: true })
    .addProcessor({ name: 'sum', supplier: () => new Ticking(tick), parents: ['in'], stores: ['sums'] })
    .addSink({ name: 'out', topic: 'ticks', ...serdes, parents: ['sum'] });
}

describe('a punctuator', () => {
  it('reads state that no record has loaded, and forwards once', async () => {
    const driver = new TopologyTestDriver(
      topology((context, store) => {
        context.forward({ key: 'before', value: 1, timestamp: 1, headers: [] });
        const total = [...store.range('a', 'z')].reduce((sum, [, value]) => sum + value, 0);
        context.forward({ key: 'total', value: total, timestamp: 1, headers: [] });
      }),
    );
    await driver.open();
    const input = driver.createInputTopic('numbers', stringSerde, longSerde);
    await input.pipe('a', 3);
    await input.pipe('b', 4);
    await driver.advanceWallClock(0);
    await driver.advanceWallClock(1_000);
    const ticks = driver.createOutputTopic('ticks', stringSerde, longSerde).readAll();
    assert.deepEqual(
      ticks.map(({ key, value }) => [key, value]),
      [
        ['before', 1],
        ['total', 7],
      ],
    );
    await driver.close();
  });

  it('that throws ends the instance and leaves nothing half done', async () => {
    const driver = new TopologyTestDriver(
      topology((context, store) => {
        store.put('half', 1);
        context.forward({ key: 'half', value: 1, timestamp: 1, headers: [] });
        throw new Error('no');
      }),
    );
    await driver.open();
    await driver.advanceWallClock(0);
    await assert.rejects(driver.advanceWallClock(1_000), { code: 'PROCESSING_FAILED', kind: 'fatal' });
    assert.equal(driver.tasks()[0]?.openCount, 0);
    await driver.close();
  });
});
