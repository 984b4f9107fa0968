/**
 * Runs a topology as an application on a broker inside the process, feeds it, waits until it has worked off
 * everything and prints what it wrote: what all examples would otherwise repeat. Example 01 does the same in
 * full. Topics have one partition, keys are text, values JSON.
 */
import {
  jsonSerde,
  openEmbeddedBroker,
  openMemoryBackend,
  StreamsApp,
  stringSerde,
  type Topology,
  wallClock,
} from 'millrace';

export interface ExampleRecord {
  readonly topic: string;
  readonly key: string;
  readonly value: unknown;
  /** The record's timestamp: event time, not when the example runs. */
  readonly atMs: number;
}

type Broker = Awaited<ReturnType<typeof openEmbeddedBroker>>;

/** Prints each record of `output` as a line: its key, two spaces, its value. */
export async function runOnEmbeddedBroker(
  topology: Topology,
  inputs: readonly ExampleRecord[],
  output: string,
): Promise<void> {
  const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
  const topics = new Set([...inputs.map(({ topic }) => topic), output]);
  await broker.admin.createTopics([...topics].map((name) => ({ name, partitions: 1 })));
  await produce(broker, inputs);
  const app = new StreamsApp({
    topology,
    settings: { applicationId: 'example', commitIntervalMs: 10 },
    broker,
    openTaskBackend: () => openMemoryBackend(),
    destroyTaskBackend: async () => {},
  });
  await app.start();
  try {
    while (!(await isDrained(broker, app))) await wallClock.sleep(10);
  } finally {
    await app.stop();
  }
  await print(broker, output);
  await broker.close();
}

async function produce(broker: Broker, records: readonly ExampleRecord[]): Promise<void> {
  const producer = await broker.openProducer({ clientId: 'example' });
  await producer.send(
    records.map(({ topic, key, value, atMs }) => ({
      topic,
      partition: 0,
      key: stringSerde.serialize(key, topic),
      value: jsonSerde<unknown>().serialize(value, topic),
      timestamp: atMs,
      headers: [],
    })),
  );
  await producer.flush();
  await producer.close();
}

/**
 * Everything is read and committed, repartition topics included. The ends are looked up after the committed
 * offsets: when they are equal, nothing was under way that could still write.
 */
async function isDrained(broker: Broker, app: StreamsApp): Promise<boolean> {
  const { ready, state, tasks } = app.status();
  if (state === 'ERROR') throw await app.failure;
  if (!ready) return false;
  const partitions = tasks.flatMap(({ inputs }) =>
    inputs.map((input) => ({ topic: input.slice(0, input.lastIndexOf('-')), partition: 0 })),
  );
  const committed = await broker.admin.committedOffsets('example', partitions);
  const ends = await broker.admin.endOffsets(partitions, 'read_uncommitted');
  return ends.every((end, index) => end === (committed[index] ?? 0));
}

async function print(broker: Broker, topic: string): Promise<void> {
  const partition = { topic, partition: 0 };
  const [end = 0] = await broker.admin.endOffsets([partition], 'read_uncommitted');
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'example' });
  await consumer.assign([{ ...partition, offset: 0 }]);
  while (consumer.position(partition) < end) {
    for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 100 })) {
      for (let index = 0; index < batch.count; index++)
        console.log(`${batch.key(index)}  ${batch.value(index)}`);
    }
  }
  await consumer.close();
}
