/**
 * What the broker tells of an application's topics, as the start (streams-app.ts) and the commands that work beside
 * stopped instances (repartition-state.ts, unread-inputs.ts) need it.
 */
import type { TopicPartition } from '../base/record.ts';
import type { Admin, Broker, RecordBatch } from '../broker/broker-port.ts';
import type { Topology } from '../graph/topology.ts';
import { type ApplicationPlan, bindPatterns, externalTopics, planApplication } from '../task/task-plan.ts';

const batchRecordsMax = 5_000;

/** By topic; those that are not there are left out. Errors: BROKER_UNAVAILABLE. */
export async function partitionCounts(admin: Admin, names: readonly string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const topic of await admin.describeTopics(names))
    if (topic !== undefined) counts.set(topic.name, topic.partitions);
  return counts;
}

/** The plan of the application on the topics as they are. Errors: those of `planApplication`. */
export async function planOnBroker(
  topology: Topology,
  applicationId: string,
  { admin }: Broker,
): Promise<ApplicationPlan> {
  const bound = bindPatterns(topology, applicationId, await admin.listTopics());
  return planApplication(bound, applicationId, await partitionCounts(admin, externalTopics(bound)));
}

/** All committed records from an offset to the end that there is now. */
export async function readCommitted(
  by: { readonly broker: Broker; readonly clientId: string },
  at: TopicPartition,
  from: number,
  take: (batch: RecordBatch) => Promise<void> | void,
): Promise<void> {
  const { broker, clientId } = by;
  const [end = 0] = await broker.admin.endOffsets([at], 'read_uncommitted');
  if (from >= end) return;
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId });
  try {
    await consumer.assign([{ topic: at.topic, partition: at.partition, offset: from }]);
    while (consumer.position(at) < end)
      for (const batch of await consumer.poll({ recordsMax: batchRecordsMax, waitMs: 100 }))
        await take(batch);
  } finally {
    await consumer.close();
  }
}
