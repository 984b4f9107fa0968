/**
 * Goal: whatever a broker would refuse, or a serde cannot read, is found at its own record, which is parked
 * alone; nothing of it reaches the commit of all tasks. Method: the test driver with records of every fault.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import type { Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { bytesSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';

/** The value says what goes wrong. */
class Trouble implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    if (record.value === 'no time') this.#context.forward({ ...record, timestamp: Number.NaN });
    else if (record.value === 'large') this.#context.forward({ ...record, value: 'x'.repeat(1_048_576) });
    else if (record.value === 'large state')
      this.#context
        .getStateStore<{ name: string; put(key: string, value: string): void }>('kept')
        .put(record.key, 'x'.repeat(1_048_576));
    else if (record.value === 'half a watermark') this.#context.timers.advanceWatermark(1.5);
    else this.#context.forward(record);
  }
}

/** Refuses to prepare a value that begins with "unknown", as a registry that does not know the id. */
const fussySerde: Serde<string> = {
  ...stringSerde,
  serialize: (value, topic) => stringSerde.serialize(value, topic),
  deserialize: (bytes, topic) => {
    if (bytes?.toString().startsWith('unknown') === true)
      throw new StreamsError('SCHEMA_UNKNOWN', 'no such schema');
    return stringSerde.deserialize(bytes, topic);
  },
  prepare: (bytes) =>
    bytes.toString().startsWith('unknown')
      ? Promise.reject(new StreamsError('SCHEMA_UNKNOWN', 'no such schema'))
      : undefined,
};

function topology(): Topology {
  return new Topology()
    .addSource({
      name: 'in',
      topics: ['in'],
      keySerde: stringSerde,
      valueSerde: fussySerde,
      timestampExtractor: (record) => (record.value === 'half a time' ? 1.5 : record.timestamp),
    })
    .addStateStore({
      name: 'kept',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: stringSerde,
      changelog: true,
    })
    .addProcessor({ name: 'trouble', supplier: () => new Trouble(), parents: ['in'], stores: ['kept'] })
    .addSink({
      name: 'out',
      topic: 'out',
      keySerde: stringSerde,
      valueSerde: stringSerde,
      parents: ['trouble'],
      partitioner: (_topic, _key, value) => (value === 'nowhere' ? 99 : undefined),
    });
}

const faults: [string, string][] = [
  ['no time', 'TIMESTAMP_INVALID'],
  ['half a time', 'TIMESTAMP_INVALID'],
  ['half a watermark', 'PROCESSING_FAILED'],
  ['large', 'RECORD_TOO_LARGE'],
  ['large state', 'RECORD_TOO_LARGE'],
  ['nowhere', 'PROCESSING_FAILED'],
  ['unknown schema', 'SCHEMA_UNKNOWN'],
];

describe('a record that cannot be processed', () => {
  for (const [value, code] of faults) {
    it(`is parked alone (${value})`, async () => {
      const driver = new TopologyTestDriver(topology());
      await driver.open();
      const input = driver.createInputTopic('in', stringSerde, stringSerde);
      await input.pipe('a', value, 5);
      await input.pipe('b', 'good', 6);
      const letters = driver.createOutputTopic('in.dlq', stringSerde, stringSerde).readAll();
      assert.deepEqual(
        letters.map((letter) => [
          letter.value,
          letter.headers.find(({ key }) => key === '__streams.errors.exception')?.value.toString(),
        ]),
        [[value, code]],
      );
      const outputs = driver.createOutputTopic('out', stringSerde, stringSerde).readAll();
      assert.deepEqual(
        outputs.map((record) => record.value),
        ['good'],
      );
      await driver.close();
    });
  }

  it('that is as large as the broker takes leaves a letter without its value', async () => {
    const driver = new TopologyTestDriver(
      new Topology()
        .addSource({ name: 'in', topics: ['in'], keySerde: bytesSerde, valueSerde: bytesSerde })
        .addProcessor({
          name: 'fail',
          supplier: () => ({
            process: () => {
              throw new Error('no');
            },
          }),
          parents: ['in'],
        }),
    );
    await driver.open();
    const input = driver.createInputTopic('in', bytesSerde, bytesSerde);
    await input.pipe(Buffer.from('k'), Buffer.alloc(1_048_400), 5);
    const letters = driver.createOutputTopic('in.dlq', bytesSerde, bytesSerde).readAll();
    assert.deepEqual(
      letters.map(({ key, value }) => [key?.toString(), value]),
      [['k', null]],
    );
    await driver.close();
  });
});
