/**
 * What a restore and a standby have in common: where reading a task's changelogs begins, when the local state
 * is no use (R5), what is written beside the data, and how a batch of changelog records becomes changes.
 */
import type { Write } from '../base/backend-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker, RecordBatch } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { foreignReason, originMeta, originOf } from './store-origin.ts';

/** One changelog of a task: from where it is read, and what is there now. */
export interface Replay extends TopicPartition {
  readonly store: string;
  readonly topicId: string | undefined;
  readonly from: number;
  readonly end: number;
  /** The time of `from`: tombstones behind it may be gone when it is old, also half-way through the replay. */
  readonly atMs: number;
  /** Whose state it is (store-origin.ts). */
  readonly origin: string;
}

/** R5: the caller destroys the local state and begins again. */
export interface Rebuild {
  readonly outcome: 'rebuild';
  readonly reason: string;
}

/**
 * Half of Kafka's default `delete.retention.ms`: behind an older position a tombstone may have been compacted
 * away, and the deleted key would come back.
 */
const positionAgeMsMax = 43_200_000;

/** What the store keeps about one changelog, in the batch that it is about. */
export function provenance(
  topic: string,
  position: number,
  topicId: string | undefined,
  nowMs: number,
): [string, string][] {
  return [
    [`changelog/${topic}`, String(position)],
    [`changelog-at/${topic}`, String(nowMs)],
    ...(topicId === undefined ? [] : [[`changelog-id/${topic}`, topicId] as [string, string]]),
  ];
}

/** What is written with a replayed batch. `next`: the offset behind it. */
export function metaOfReplay({ topic, topicId, atMs, origin }: Replay, next: number): Map<string, string> {
  return new Map([...provenance(topic, next, topicId, atMs), [originMeta, origin]]);
}

/** Where each changelog of a task is to be read from; `rebuild` when the local state cannot be theirs (R5). */
export async function planReplays(options: {
  readonly broker: Broker;
  readonly applicationId: string;
  readonly plan: TaskPlan;
  readonly state: TaskState;
  /** The wall clock, to tell how old the position is. */
  readonly nowMs: number;
}): Promise<Replay[] | Rebuild> {
  const { broker, plan, state, applicationId } = options;
  const foreign = await foreignReason(state, plan, applicationId);
  if (foreign !== undefined) return { outcome: 'rebuild', reason: foreign };
  const origin = originOf(applicationId, plan.taskId);
  const stores = plan.stores.flatMap(({ spec, changelog }) =>
    changelog === undefined ? [] : [{ store: spec.name, topic: changelog, partition: plan.partition }],
  );
  const ends = await broker.admin.endOffsets(stores, 'read_uncommitted');
  const starts = await broker.admin.startOffsets(stores);
  const described = await broker.admin.describeTopics(stores.map(({ topic }) => topic));
  const meta = (name: string) => state.readMeta(stores.map(({ topic }) => `${name}/${topic}`));
  const [positions, times, ids] = [
    await meta('changelog'),
    await meta('changelog-at'),
    await meta('changelog-id'),
  ];
  const replays: Replay[] = [];
  for (const [index, store] of stores.entries()) {
    const start = starts[index] as number;
    const end = ends[index] as number;
    const topicId = described[index]?.topicId;
    const position = positions[index] === undefined ? undefined : Number(positions[index]);
    const kept = { position, atMs: Number(times[index] ?? Number.NaN), topicId: ids[index] };
    const reason = rebuildReason(kept, { start, end, topicId, nowMs: options.nowMs });
    if (reason !== undefined) return { outcome: 'rebuild', reason: `${store.topic}: ${reason}` };
    const atMs = Number.isNaN(kept.atMs) ? options.nowMs : kept.atMs;
    replays.push({ ...store, from: position ?? start, end, topicId, atMs, origin });
  }
  return replays;
}

/** R5: why the local state cannot be this changelog's; undefined when it can. */
export function rebuildReason(
  kept: {
    readonly position: number | undefined;
    readonly atMs: number;
    readonly topicId: string | undefined;
  },
  log: {
    readonly start: number;
    readonly end: number;
    readonly topicId: string | undefined;
    readonly nowMs: number;
  },
): string | undefined {
  const { position } = kept;
  if (position === undefined) return undefined;
  if (kept.topicId !== undefined && log.topicId !== undefined && kept.topicId !== log.topicId) {
    return `the topic was deleted and created again (id ${kept.topicId}, now ${log.topicId})`;
  }
  if (position > log.end) return `position ${position} lies beyond the end ${log.end}`;
  if (position < log.start) return `position ${position} lies below the start ${log.start}`;
  if (position < log.end && log.nowMs - kept.atMs > positionAgeMsMax) {
    return `position ${position} is ${Math.round((log.nowMs - kept.atMs) / 3_600_000)} hours old: tombstones after it may be gone`;
  }
  return undefined;
}

/** In the log's order, keys repeated: in a batch the later write of a key wins. Errors: STORE_CORRUPTED for a record without a key. */
export function changesOf(batch: RecordBatch): Write[] {
  const writes: Write[] = [];
  for (let index = 0; index < batch.count; index++) {
    const key = batch.key(index);
    if (key === null)
      throw new StreamsError('STORE_CORRUPTED', 'a changelog record without a key', {
        context: { topic: batch.topic, partition: batch.partition, offset: batch.offset(index) },
      });
    writes.push({ key, value: batch.value(index) });
  }
  return writes;
}
