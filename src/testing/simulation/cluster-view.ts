/** What is left of a simulated cluster when everything has stopped: committed records and disks. Reads only. */
import { mapKey } from '../../base/bytes.ts';
import type { Headers, TopicPartition } from '../../base/record.ts';
import type { Broker } from '../../broker/broker-port.ts';
import type { MemoryDisk } from '../../store/memory-backend.ts';
import { TaskState } from '../../store/task-state.ts';
import type { TaskPlan } from '../../task/task-plan.ts';

export interface CommittedRecord extends TopicPartition {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/** Order: nothing writes any more. */
export async function readCommitted(
  broker: Broker,
  partitions: readonly TopicPartition[],
): Promise<CommittedRecord[]> {
  const records: CommittedRecord[] = [];
  const starts = await broker.admin.startOffsets(partitions);
  const ends = await broker.admin.endOffsets(partitions, 'read_committed');
  for (const [index, { topic, partition }] of partitions.entries()) {
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'checker' });
    await consumer.assign([{ topic, partition, offset: starts[index] ?? 0 }]);
    while (consumer.position({ topic, partition }) < (ends[index] as number)) {
      for (const batch of await consumer.poll({ recordsMax: 10_000, waitMs: 0 })) {
        for (let i = 0; i < batch.count; i++) {
          records.push({
            topic,
            partition,
            offset: batch.offset(i),
            timestamp: batch.timestamp(i),
            key: batch.key(i),
            value: batch.value(i),
            headers: batch.headers(i),
          });
        }
      }
    }
    await consumer.close();
  }
  return records;
}

/** Every store of a task as it is on a disk. */
export async function readTask(
  disk: MemoryDisk,
  task: TaskPlan,
): Promise<Map<string, { key: Buffer; value: Buffer }[]>> {
  const names = task.stores.map(({ spec }) => spec.name);
  const state = new TaskState(await disk.open(task.taskId), names, 1);
  const stores = new Map<string, { key: Buffer; value: Buffer }[]>();
  for (const name of names) {
    const entries: { key: Buffer; value: Buffer }[] = [];
    for await (const page of state.scanCommitted(name, 1_000)) entries.push(...page);
    stores.set(name, entries);
  }
  await state.close();
  return stores;
}

/** The first difference between a store and its changelog played from the start; undefined when there is none. */
export function storeDiffersFromChangelog(
  entries: readonly { readonly key: Buffer; readonly value: Buffer }[],
  changelog: readonly CommittedRecord[],
): string | undefined {
  const replayed = new Map<string, { value: Buffer; offset: number }>();
  for (const { key, value, offset } of changelog) {
    if (key === null) return `the changelog record at offset ${offset} has no key`;
    if (value === null) replayed.delete(mapKey(key));
    else replayed.set(mapKey(key), { value, offset });
  }
  for (const { key, value } of entries) {
    const found = replayed.get(mapKey(key));
    if (found === undefined) return `key ${key.toString('utf8')} is in the store and not in the changelog`;
    if (!found.value.equals(value))
      return `key ${key.toString('utf8')} is ${value.toString('utf8')} in the store and ${found.value.toString('utf8')} at offset ${found.offset} of the changelog`;
    replayed.delete(mapKey(key));
  }
  const [left] = replayed;
  return left === undefined
    ? undefined
    : `key ${Buffer.from(left[0], 'latin1').toString('utf8')} is in the changelog (offset ${left[1].offset}) and not in the store`;
}
