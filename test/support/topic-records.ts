/** Whole topics read from outside the engine, as the checkers need them. */
import { partitionKey, type TopicPartition } from '../../src/base/record.ts';
import type { Broker, Isolation } from '../../src/broker/broker-port.ts';
import { uniqueName } from './kafka.ts';
import type { Committed } from './ledger-checkers.ts';

export interface RawRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export function partitionsOf(topic: string, count: number): TopicPartition[] {
  return Array.from({ length: count }, (_, partition) => ({ topic, partition }));
}

/** From the first offset to the uncommitted end, waiting for open transactions below it to end. */
export async function readTopic(
  broker: Broker,
  topic: string,
  partitions: number,
  isolation: Isolation = 'read_committed',
): Promise<RawRecord[]> {
  const inputs = partitionsOf(topic, partitions);
  const starts = await broker.admin.startOffsets(inputs);
  const ends = await broker.admin.endOffsets(inputs, 'read_uncommitted');
  const consumer = await broker.openConsumer({ isolation, clientId: uniqueName('judge') });
  const found = new Map<string, RawRecord[]>(
    inputs.map(({ partition }) => [partitionKey(topic, partition), []]),
  );
  try {
    await consumer.assign(inputs.map((input, index) => ({ ...input, offset: starts[index] as number })));
    while (inputs.some((input, index) => consumer.position(input) < (ends[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 5_000, waitMs: 50 })) {
        const list = found.get(partitionKey(topic, batch.partition)) as RawRecord[];
        for (let index = 0; index < batch.count; index++) {
          const [key, value] = [batch.key(index), batch.value(index)];
          const [offset, timestamp] = [batch.offset(index), batch.timestamp(index)];
          list.push({ topic, partition: batch.partition, offset, timestamp, key, value });
        }
      }
    }
  } finally {
    await consumer.close();
  }
  return [...found.values()].flat();
}

/** A topic of JSON values under text keys. */
export async function readJson<V>(
  broker: Broker,
  topic: string,
  partitions: number,
): Promise<Committed<V>[]> {
  const records = await readTopic(broker, topic, partitions);
  return records.map(({ key, value, ...place }) => ({
    ...place,
    key: String(key),
    value: JSON.parse(String(value)) as V,
  }));
}

/** What a compacted topic says: the last value of each key, deleted keys left out. */
export async function readTable(
  broker: Broker,
  topic: string,
  partitions: number,
): Promise<Map<string, Buffer>> {
  const table = new Map<string, Buffer>();
  for (const { key, value } of await readTopic(broker, topic, partitions)) {
    if (value === null) table.delete(String(key));
    else table.set(String(key), value);
  }
  return table;
}
