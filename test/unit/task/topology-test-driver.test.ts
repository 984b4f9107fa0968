/**
 * Goal: the real task does what a processor is promised: state by key, atomic records, dead letters,
 * durable timers, internal topics. Method: small topologies through the test driver.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';

/** Counts values per key; `boom` fails after it has changed and forwarded; `later:<ms>` sets a timer. */
class Counter implements Processor<string, string, string, number> {
  #context!: ProcessorContext<string, number>;
  #counts!: KeyValueStore<string, number>;

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
    this.#counts = context.getStateStore('counts');
  }

  process(record: Record<string, string>): void {
    const count = (this.#counts.get(record.key) ?? 0) + 1;
    this.#counts.put(record.key, count);
    this.#context.forward({ ...record, value: count });
    if (record.value === 'boom') throw new Error('boom');
    if (record.value.startsWith('later:')) {
      const dueMs = record.timestamp + Number(record.value.slice(6));
      this.#context.timers.schedule({ key: record.key, name: 'later', dueMs, clock: 'wall' });
    }
    if (record.value === 'never') this.#context.timers.cancel(record.key, 'later');
  }

  onTimer(timer: { key: string; dueMs: number }, context: ProcessorContext<string, number>): void {
    context.forward({
      key: timer.key,
      value: -(this.#counts.get(timer.key) ?? 0),
      timestamp: timer.dueMs,
      headers: [],
    });
  }
}

function countingTopology(): Topology {
  return new Topology()
    .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: stringSerde })
    .addStateStore({
      name: 'counts',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    })
    .addProcessor({ name: 'count', supplier: () => new Counter(), parents: ['in'], stores: ['counts'] })
    .addSink({
      name: 'out',
      topic: 'totals',
      keySerde: stringSerde,
      valueSerde: longSerde,
      parents: ['count'],
    });
}

async function opened(topology: Topology): Promise<TopologyTestDriver> {
  const driver = new TopologyTestDriver(topology);
  await driver.open();
  return driver;
}

describe('a task, through the test driver', () => {
  it('keeps state by key and forwards to the sink', async () => {
    const driver = await opened(countingTopology());
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    for (const key of ['a', 'b', 'a']) await words.pipe(key, 'x', 5);
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde).readAll();
    assert.deepEqual(
      totals.map(({ key, value, timestamp }) => [key, value, timestamp]),
      [
        ['a', 1, 5],
        ['b', 1, 5],
        ['a', 2, 5],
      ],
    );
    assert.equal(await driver.store('counts', 'a'), 2);
    await driver.close();
  });

  it('rolls a failed record back as a whole and parks its bytes with the reason', async () => {
    const driver = await opened(countingTopology());
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    await words.pipe('a', 'x');
    await words.pipe('a', 'boom');
    await words.pipe('a', 'x');
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde).readAll();
    assert.deepEqual(
      totals.map(({ value }) => value),
      [1, 2],
    );
    const [letter] = driver.createOutputTopic('words.dlq', stringSerde, stringSerde).readAll();
    assert.equal(letter?.value, 'boom');
    const header = (name: string) => letter?.headers.find(({ key }) => key === name)?.value.toString();
    assert.equal(header('__streams.errors.exception'), 'PROCESSING_FAILED');
    assert.equal(header('__streams.errors.offset'), '1');
    assert.equal(header('__streams.errors.topic'), 'words');
    await driver.close();
  });

  it('fires a durable timer once its wall-clock time has come, and not before', async () => {
    const driver = await opened(countingTopology());
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde);
    await words.pipe('a', 'later:1000', 0);
    totals.readAll();
    await driver.advanceWallClock(999);
    assert.deepEqual(totals.readAll(), []);
    await driver.advanceWallClock(1);
    assert.deepEqual(
      totals.readAll().map(({ key, value, timestamp }) => [key, value, timestamp]),
      [['a', -1, 1000]],
    );
    await driver.advanceWallClock(10_000);
    assert.deepEqual(totals.readAll(), []);
    await driver.close();
  });

  it('does not fire a timer that was cancelled, also when the cancelling record failed first', async () => {
    const driver = await opened(countingTopology());
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde);
    await words.pipe('a', 'later:1000', 0);
    await words.pipe('b', 'later:1000', 0);
    await words.pipe('b', 'never', 0);
    totals.readAll();
    await driver.advanceWallClock(2_000);
    assert.deepEqual(
      totals.readAll().map(({ key }) => key),
      ['a'],
    );
    await driver.close();
  });

  it('carries records through a repartition topic into another sub-topology', async () => {
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: stringSerde })
      .addProcessor({
        name: 'by-value',
        parents: ['in'],
        supplier: () => {
          let context: ProcessorContext<string, string>;
          return {
            init: (given: ProcessorContext<string, string>) => {
              context = given;
            },
            process: (record: Record<string, string>) =>
              context.forward({ ...record, key: record.value, value: record.key }),
          };
        },
      })
      .addRepartition({ name: 'values-repartition', partitions: undefined })
      .addSink({
        name: 'again',
        topic: 'values-repartition',
        internal: true,
        keySerde: stringSerde,
        valueSerde: stringSerde,
        parents: ['by-value'],
      })
      .addSource({
        name: 'values',
        topics: ['values-repartition'],
        internal: true,
        keySerde: stringSerde,
        valueSerde: stringSerde,
      })
      .addStateStore({
        name: 'counts',
        kind: 'key-value',
        keySerde: stringSerde,
        valueSerde: longSerde,
        changelog: true,
      })
      .addProcessor({ name: 'count', supplier: () => new Counter(), parents: ['values'], stores: ['counts'] })
      .addSink({
        name: 'out',
        topic: 'totals',
        keySerde: stringSerde,
        valueSerde: longSerde,
        parents: ['count'],
      });
    const driver = await opened(topology);
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    await words.pipe('k1', 'v');
    await words.pipe('k2', 'v');
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde).readAll();
    assert.deepEqual(
      totals.map(({ key, value }) => [key, value]),
      [
        ['v', 1],
        ['v', 2],
      ],
    );
    assert.equal(driver.tasks().length, 2);
    await driver.close();
  });
});
