/**
 * Replays changelogs into a task's stores until they hold everything that was committed.
 *
 * The rules (docs/spec/commit-cycle.md, section Restore):
 * R1 The position in the store is a proven lower bound of what it holds: replay from there. It may lag,
 *    it never leads.
 * R2 Target: read the committed input offsets first (stable), *then* the end of the changelog, the
 *    uncommitted end: a transaction's offsets can be committed before its marker lands in the changelog.
 * R3 Read committed records only, until the consumer's position reaches the target. An open transaction of
 *    a dead member delays this by its time-out at most.
 * R4 A store that lags is replayed to the end before it serves.
 * R5 Another topic id, a position below the log's start or beyond its end, or one so old that tombstones may
 *    be gone: the store is rebuilt, and the log says why. A crash is never a reason.
 * R8 A changelog that is empty although the task has written to it ends the instance (lost-changelog.ts).
 */

import type { Write } from '../base/backend-port.ts';
import { fromMapKey, mapKey, readSortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, Consumer } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { clockKey, inputClock } from '../task/timer-index.ts';
import { refuseEmptyState, refuseLostChangelog } from './lost-changelog.ts';

/** How far one task is; `remaining` counts offsets, markers included. */
export interface RestoreProgress {
  readonly taskId: string;
  restored: number;
  remaining: number;
}

export interface RestoreOptions {
  readonly broker: Broker;
  readonly groupId: string;
  readonly plan: TaskPlan;
  readonly state: TaskState;
  readonly log: Logger;
  readonly progress: RestoreProgress;
  /** Keeps the membership alive between batches; true = the task was taken away, give up. */
  readonly abandoned: () => boolean;
  /** The wall clock, to tell how old the position is. */
  readonly nowMs: number;
}

export type RestoreResult =
  | { readonly outcome: 'restored'; readonly committed: readonly { topic: string; offset: number }[] }
  | { readonly outcome: 'abandoned' }
  /** R5: the caller destroys the local state and restores again. */
  | { readonly outcome: 'rebuild'; readonly reason: string };

interface Replay extends TopicPartition {
  readonly store: string;
  readonly topicId: string | undefined;
  readonly from: number;
  readonly end: number;
}

/**
 * Half of Kafka's default `delete.retention.ms`: behind an older position a tombstone may have been compacted
 * away, and the deleted key would come back.
 */
const positionAgeMsMax = 43_200_000;

const batchRecordsMax = 10_000;

export async function restoreTask(options: RestoreOptions): Promise<RestoreResult> {
  const { broker, plan, state } = options;
  // R2: this order and no other.
  const offsets = await broker.admin.committedOffsets(options.groupId, plan.inputs);
  await refuseLostChangelog(options, offsets);
  const replays = await planReplays(options);
  if (!Array.isArray(replays)) return replays;
  const behind = replays.filter(({ from, end }) => from < end);
  options.progress.remaining = behind.reduce((sum, { from, end }) => sum + end - from, 0);
  if (behind.length > 0) {
    options.log.info('restore begins', { taskId: plan.taskId, remaining: options.progress.remaining });
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: `${options.groupId}-restore-${plan.taskId}`,
    });
    try {
      await consumer.assign(behind.map(({ topic, partition, from }) => ({ topic, partition, offset: from })));
      if (!(await replayAll(consumer, behind, options))) return { outcome: 'abandoned' };
    } finally {
      await consumer.close();
    }
  }
  for (const { store, topic, end, topicId } of replays) {
    // Past the last markers too, so that the next start does not read them again.
    await state.applyChangelog(store, [], new Map(provenance(topic, end, topicId, options.nowMs)));
  }
  await refuseEmptyState(options, offsets);
  const starts = await broker.admin.startOffsets(plan.inputs);
  const ends = await broker.admin.endOffsets(plan.inputs, 'read_uncommitted');
  const known = await Promise.all(
    plan.inputs.map(({ topic }) => state.getCommitted(plan.taskStore, clockKey(inputClock(topic)))),
  );
  const committed = plan.inputs.map(({ topic, partition }, index) => {
    const bytes = known[index];
    const applied = bytes === undefined ? undefined : readSortableInteger(bytes);
    const offset = offsets[index];
    if (offset === undefined && applied !== undefined) {
      // The broker may forget offsets of a group that is not subscribed to the topic; the changelog does not.
      options.log.warn('the group has no committed offset, the store does: going on from the store', {
        topic,
        partition,
        offset: applied,
      });
    }
    const next = offset ?? applied ?? 0;
    const start = starts[index] ?? 0;
    if (next > (ends[index] as number)) {
      throw new StreamsError(
        'TOPIC_MISMATCH',
        `topic ${topic} ends at ${ends[index]}, but offset ${next} of it was read`,
        {
          context: { topic, partition, offset: next },
          hint: `it was deleted and created again: reset the offsets of group ${options.groupId}, or use another application id`,
        },
      );
    }
    if (next > 0 && next < start)
      options.log.error('records of an input are gone before they were read', {
        topic,
        partition,
        next,
        start,
      });
    return { topic, offset: Math.max(next, start) };
  });
  return { outcome: 'restored', committed };
}

/** What the store keeps about one changelog, in the batch that it is about. */
function provenance(
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

async function planReplays(
  options: RestoreOptions,
): Promise<Replay[] | Extract<RestoreResult, { outcome: 'rebuild' }>> {
  const { broker, plan, state } = options;
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
    replays.push({ ...store, from: position ?? start, end, topicId });
  }
  return replays;
}

/** R5: why the local state cannot be this changelog's; undefined when it can. */
function rebuildReason(
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

/** False when the task was taken away meanwhile. */
async function replayAll(
  consumer: Consumer,
  replays: readonly Replay[],
  options: RestoreOptions,
): Promise<boolean> {
  const byTopic = new Map(replays.map((replay) => [partitionKey(replay.topic, replay.partition), replay]));
  for (;;) {
    const open = replays.filter((replay) => consumer.position(replay) < replay.end);
    options.progress.remaining = open.reduce(
      (sum, replay) => sum + replay.end - consumer.position(replay),
      0,
    );
    if (open.length === 0) break;
    if (options.abandoned()) return false;
    const batches = await consumer.poll({ recordsMax: batchRecordsMax, waitMs: 100 });
    for (const batch of batches) {
      const replay = byTopic.get(partitionKey(batch.topic, batch.partition)) as Replay;
      const last = new Map<string, Buffer | null>();
      for (let index = 0; index < batch.count; index++) {
        const key = batch.key(index);
        if (key === null)
          throw new StreamsError('STORE_CORRUPTED', 'a changelog record without a key', {
            context: { topic: batch.topic, partition: batch.partition, offset: batch.offset(index) },
          });
        last.set(mapKey(key), batch.value(index));
      }
      const writes: Write[] = [...last].map(([key, value]) => ({ key: fromMapKey(key), value }));
      const next = batch.offset(batch.count - 1) + 1;
      await options.state.applyChangelog(
        replay.store,
        writes,
        new Map([[`changelog/${replay.topic}`, String(next)]]),
      );
      options.progress.restored += batch.count;
    }
  }
  return true;
}
