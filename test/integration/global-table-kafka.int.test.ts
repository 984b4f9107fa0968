/** A global table on a real Kafka, whose requests are stricter than the embedded broker's. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsApp } from '../../src/app/streams-app.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import { stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, uniqueName } from '../support/kafka.ts';

describe('a global table on a real Kafka', () => {
  let broker: Broker | undefined;
  let app: StreamsApp | undefined;
  afterEach(async () => {
    await app?.stop();
    await broker?.close();
  });

  it('of several partitions is filled at the start, and caught up after a restart', async () => {
    const kafka = await openTestKafka();
    broker = kafka;
    const [applicationId, rows, input] = [uniqueName('global'), uniqueName('rows'), uniqueName('in')];
    await kafka.admin.createTopics([
      { name: rows, partitions: 3, config: { 'cleanup.policy': 'compact' } },
      { name: input, partitions: 1 },
    ]);
    const send = async (key: string, value: string, partition: number): Promise<void> => {
      const producer = await kafka.openProducer({ clientId: applicationId });
      const bytes = { key: Buffer.from(key), value: Buffer.from(value) };
      await producer.send([{ topic: rows, partition, ...bytes, timestamp: 1, headers: [] }]);
      await producer.flush();
      await producer.close();
    };
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const disk = new MemoryDisk();
    const start = async (): Promise<StreamsApp> => {
      const builder = new StreamsBuilder();
      builder.globalTable(rows, { ...strings, materialized: { name: 'rows' } });
      builder.stream(input, strings).foreach(() => {});
      const started = new StreamsApp({
        topology: builder.build(),
        settings: { applicationId },
        broker: kafka,
        openTaskBackend: disk.open,
        destroyTaskBackend: async (taskId) => disk.remove(taskId),
      });
      app = started;
      await started.start();
      await eventually(() => started.ready, { timeoutMs: 30_000, what: 'the instance to be ready' });
      return started;
    };
    for (const partition of [0, 1, 2]) await send(`k${partition}`, 'first', partition);
    const first = await start();
    assert.equal(first.status().globals?.applied, 3);
    assert.deepEqual(await first.query('rows', 'k2'), { value: 'first', timestamp: 1 });
    await first.stop();
    await send('k2', 'second', 2);
    const second = await start();
    assert.equal(second.status().globals?.applied, 1);
    assert.deepEqual(await second.query('rows', 'k2'), { value: 'second', timestamp: 1 });
  });
});
