/**
 * What the instances of an application have left unread, asked of the broker alone: whether its state can be moved
 * (repartition-state.ts), and whether its inputs may get more partitions now. Called by users and by
 * `millrace repartition`.
 */
import { partitionForKey } from '../base/murmur2.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { Topology } from '../graph/topology.ts';
import { partitionCounts, planOnBroker, readCommitted } from './topics-on-broker.ts';

/** Shape: a partition of an input with the number of its records that are not processed. */
export interface UnreadInput extends TopicPartition {
  readonly records: number;
}

/** Shape: a partition that is there, with the partition count of its topic. */
interface PresentInput extends TopicPartition {
  readonly partitions: number;
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
  const { applicationId } = settings;
  const { tasks } = await planOnBroker(topology, applicationId, broker);
  const inputs = tasks.flatMap((task) => task.inputs);
  return unreadOf(inputs, { broker, applicationId }, () => true);
}

/** Of these, only records that are `counted`; a partition of which nothing is counted is left out. */
export async function unreadOf(
  inputs: readonly TopicPartition[],
  at: { readonly broker: Broker; readonly applicationId: string },
  counted: (input: PresentInput, key: Buffer | null) => boolean,
): Promise<readonly UnreadInput[]> {
  const { broker, applicationId } = at;
  const topics = inputs.map(({ topic }) => topic);
  const counts = await partitionCounts(broker.admin, topics);
  const present = inputs
    .map(({ topic, partition }) => ({ topic, partition, partitions: counts.get(topic) ?? 0 }))
    // A topic in between that has not grown with the others, or was never made, has not all of the plan's partitions.
    .filter(({ partition, partitions }) => partition < partitions);
  const committed = await broker.admin.committedOffsets(applicationId, present);
  const starts = await broker.admin.startOffsets(present);
  const found: UnreadInput[] = [];
  for (const [index, input] of present.entries()) {
    const start = starts[index] ?? 0;
    const from = Math.max(start, committed[index] ?? start);
    let records = 0;
    await readCommitted({ broker, clientId: `${applicationId}-repartition` }, input, from, (batch) => {
      for (let i = 0; i < batch.count; i++) if (counted(input, batch.key(i))) records++;
    });
    if (records > 0) found.push({ topic: input.topic, partition: input.partition, records });
  }
  return found;
}

/** Whether a record lies in another partition than the one to which its key belongs. */
export function isMisplaced({ partition, partitions }: PresentInput, key: Buffer | null): boolean {
  return key !== null && partitionForKey(key, partitions) !== partition;
}
