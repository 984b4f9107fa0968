/**
 * What the instances of an application have left unread, asked of the broker alone: whether its state can be moved
 * (repartition-state.ts), and whether its inputs may get more partitions now. Called by users and by
 * `millrace repartition`.
 */
import { partitionForKey } from '../base/murmur2.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker, RecordBatch } from '../broker/broker-port.ts';
import type { Topology } from '../graph/topology.ts';
import {
  type ApplicationPlan,
  bindPatterns,
  externalTopics,
  planApplication,
  type TaskPlan,
} from '../task/task-plan.ts';

/** Shape: a partition of an input with the number of its records that are not processed. */
export interface UnreadInput extends TopicPartition {
  readonly records: number;
}

/** The plan of the application on the topics as they are. Errors: those of `planApplication`. */
export async function planOnBroker(
  topology: Topology,
  applicationId: string,
  { admin }: Broker,
): Promise<ApplicationPlan> {
  const bound = bindPatterns(topology, applicationId, await admin.listTopics());
  const described = await admin.describeTopics(externalTopics(bound));
  const counts = new Map<string, number>();
  for (const topic of described) if (topic !== undefined) counts.set(topic.name, topic.partitions);
  return planApplication(bound, applicationId, counts);
}

/**
 * The inputs, those in between included, of which records are not processed and committed. None of them: with what
 * writes to the inputs stopped, the instances may be stopped and topics may get more partitions.
 * Errors: BROKER_UNAVAILABLE, PARTITIONS_MISMATCH.
 */
export async function unreadInputs(options: {
  readonly topology: Topology;
  readonly settings: { readonly applicationId: string };
  readonly broker: Broker;
}): Promise<readonly UnreadInput[]> {
  const { topology, settings, broker } = options;
  const plan = await planOnBroker(topology, settings.applicationId, broker);
  const found: UnreadInput[] = [];
  for (const task of plan.tasks) {
    found.push(...(await unreadOf(task, { broker, applicationId: settings.applicationId }, () => true)));
  }
  return found;
}

/** Of one task, only what `counts`; a partition of which nothing is counted is left out. */
export async function unreadOf(
  task: TaskPlan,
  at: { readonly broker: Broker; readonly applicationId: string },
  counts: (input: TopicPartition, key: Buffer | null) => boolean,
): Promise<readonly UnreadInput[]> {
  const { broker, applicationId } = at;
  const described = await broker.admin.describeTopics(task.inputs.map(({ topic }) => topic));
  // A topic in between that has not grown with the others, or was never made, has not all of the plan's partitions.
  const inputs = task.inputs.filter(
    ({ partition }, index) => partition < (described[index]?.partitions ?? 0),
  );
  const committed = await broker.admin.committedOffsets(applicationId, inputs);
  const starts = await broker.admin.startOffsets(inputs);
  const found: UnreadInput[] = [];
  for (const [index, input] of inputs.entries()) {
    const start = starts[index] ?? 0;
    const from = Math.max(start, committed[index] ?? start);
    let records = 0;
    await readCommitted({ broker, clientId: `${applicationId}-repartition` }, input, from, (batch) => {
      for (let i = 0; i < batch.count; i++) if (counts(input, batch.key(i))) records++;
    });
    if (records > 0) found.push({ topic: input.topic, partition: input.partition, records });
  }
  return found;
}

/** Whether a record lies in another partition than the one to which its key belongs among `partitions`. */
export function isMisplaced({ partition }: TopicPartition, key: Buffer | null, partitions: number): boolean {
  return key !== null && partitionForKey(key, partitions) !== partition;
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

const batchRecordsMax = 5_000;
