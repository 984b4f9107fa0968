/**
 * Reads whole topics from their first record to their end, read-committed: the independent reader that
 * summaries come from (shop-observer.ts). It shares nothing with the topology but the topics.
 */
import type { Broker, Headers, TopicPartition } from '#streams';

/** One record. Shape: key and value as the bytes that are in the topic. */
export interface TopicRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: Headers;
}

const recordsMax = 5_000;
const waitMs = 200;

/** All partitions of the topics that exist. Order: by topic, then by number. */
export async function partitionsOf(broker: Broker, topics: readonly string[]): Promise<TopicPartition[]> {
  const described = await broker.admin.describeTopics(topics);
  return described.flatMap((topic) =>
    topic === undefined
      ? []
      : Array.from({ length: topic.partitions }, (_, partition) => ({ topic: topic.name, partition })),
  );
}

/** Calls `onRecord` for every committed record; per partition in offset order. `onBatch`: awaited before a batch. */
export async function readTopics(options: {
  readonly broker: Broker;
  readonly topics: readonly string[];
  readonly clientId: string;
  readonly prepare?: (values: readonly Buffer[]) => Promise<void>;
  readonly onRecord: (record: TopicRecord) => void;
}): Promise<void> {
  const { broker, topics, clientId, prepare, onRecord } = options;
  const partitions = await partitionsOf(broker, topics);
  const starts = await broker.admin.startOffsets(partitions);
  // The uncommitted ends: the markers of what is committed already may still be on their way.
  const ends = await broker.admin.endOffsets(partitions, 'read_uncommitted');
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId });
  try {
    await consumer.assign(partitions.map((partition, i) => ({ ...partition, offset: starts[i] ?? 0 })));
    const isRead = () => partitions.every((partition, i) => consumer.position(partition) >= (ends[i] ?? 0));
    while (!isRead()) {
      for (const batch of await consumer.poll({ recordsMax, waitMs })) {
        const indices = Array.from({ length: batch.count }, (_, index) => index);
        await prepare?.(indices.flatMap((index) => batch.value(index) ?? []));
        for (const index of indices) {
          onRecord({
            topic: batch.topic,
            partition: batch.partition,
            key: batch.key(index),
            value: batch.value(index),
            timestamp: batch.timestamp(index),
            headers: batch.headers(index),
          });
        }
      }
    }
  } finally {
    await consumer.close();
  }
}
