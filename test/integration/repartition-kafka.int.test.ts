/** State moved to other partition counts on a real Kafka: topics deleted and made again, offsets that go with them. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { repartitionState } from '../../src/app/repartition-state.ts';
import { StreamsApp } from '../../src/app/streams-app.ts';
import type { StreamsError } from '../../src/base/errors.ts';
import { partitionForKey } from '../../src/base/murmur2.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import { longSerde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, uniqueName } from '../support/kafka.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };
const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);

describe('state moved to other partition counts on a real Kafka', () => {
  let broker: Broker | undefined;
  let app: StreamsApp | undefined;
  afterEach(async () => {
    await app?.stop();
    await broker?.close();
  });

  it('is counted on, per key, also behind a repartition topic and after a crash of the command', async function () {
    this.timeout(240_000);
    const kafka = await openTestKafka();
    broker = kafka;
    const [applicationId, input, output] = [uniqueName('grow'), uniqueName('in'), uniqueName('out')];
    await kafka.admin.createTopics([
      { name: input, partitions: 3 },
      { name: output, partitions: 1 },
    ]);
    const builder = new StreamsBuilder();
    const stream = builder.stream<string, string>(input, strings);
    stream.groupByKey().count().toStream().to(output, { valueSerde: longSerde });
    stream
      .selectKey((key) => `again-${key}`)
      .groupByKey({ ...strings, name: 'again' })
      .count()
      .toStream()
      .to(output, { valueSerde: longSerde });
    const topology = builder.build();
    const disk = new MemoryDisk();
    const start = async (): Promise<StreamsApp> => {
      const started = new StreamsApp({
        topology,
        settings: { applicationId },
        broker: kafka,
        openTaskBackend: disk.open,
        destroyTaskBackend: async (taskId) => disk.remove(taskId),
      });
      await started.start();
      app = started;
      await eventually(() => started.ready, { timeoutMs: 60_000, what: 'the instance to be ready' });
      return started;
    };
    const feed = async (partitions: number, rounds: number): Promise<void> => {
      const producer = await kafka.openProducer({ clientId: applicationId });
      for (let round = 0; round < rounds; round++)
        await producer.send(
          keys.map((key) => ({
            topic: input,
            partition: partitionForKey(Buffer.from(key), partitions),
            key: Buffer.from(key),
            value: Buffer.from('x'),
            timestamp: 1_000,
            headers: [],
          })),
        );
      await producer.flush();
      await producer.close();
    };
    const counts = async (): Promise<Map<string, number[]>> => {
      const at = { topic: output, partition: 0 };
      const [end = 0] = await kafka.admin.endOffsets([at], 'read_committed');
      const consumer = await kafka.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
      await consumer.assign([{ ...at, offset: 0 }]);
      const found = new Map<string, number[]>();
      while (consumer.position(at) < end)
        for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 50 }))
          for (let index = 0; index < batch.count; index++) {
            const key = String(batch.key(index));
            const values = found.get(key) ?? [];
            values.push(Number(longSerde.deserialize(batch.value(index), output)));
            found.set(key, values);
          }
      await consumer.close();
      return found;
    };
    const reach = (last: number): Promise<Map<string, number[]>> =>
      eventually(
        async () => {
          const found = await counts();
          const names = keys.flatMap((key) => [key, `again-${key}`]);
          return names.every((key) => found.get(key)?.at(-1) === last) && found;
        },
        { timeoutMs: 60_000, what: `${last} of each key` },
      );

    await start();
    await feed(3, 4);
    await reach(4);
    await app?.stop();
    await kafka.admin.growTopic(input, 5);
    await assert.rejects(start(), (error: StreamsError) => error.code === 'TOPIC_MISMATCH');
    const move = (onStep?: (step: string) => void) =>
      repartitionState({
        topology,
        settings: { applicationId },
        broker: kafka,
        ...(onStep === undefined ? {} : { onStep }),
      });
    const crash = (step: string): void => {
      if (step.startsWith('switched')) throw new Error('crash');
    };
    await assert.rejects(move(crash), /crash/);
    await assert.rejects(start(), (error: StreamsError) => error.code === 'TOPIC_MISMATCH');
    await move();
    await start();
    await feed(5, 3);
    const found = await reach(7);
    for (const [key, values] of found) assert.deepEqual(values, [1, 2, 3, 4, 5, 6, 7], key);
  });
});
