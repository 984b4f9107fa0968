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

import { partitionKey } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, Consumer, RecordBatch } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { refuseEmptyState, refuseLostChangelog } from './lost-changelog.ts';
import {
  changesOf,
  metaOfReplay,
  planReplays,
  provenance,
  type Rebuild,
  type Replay,
} from './replay-plan.ts';
import { type StartOffset, startOffsets } from './start-offsets.ts';
import { originMeta, originOf } from './store-origin.ts';

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
  | { readonly outcome: 'restored'; readonly committed: readonly StartOffset[] }
  | { readonly outcome: 'abandoned' }
  | Rebuild;

const batchRecordsMax = 10_000;

export async function restoreTask(options: RestoreOptions): Promise<RestoreResult> {
  const { broker, plan, state } = options;
  // R2: this order and no other.
  const offsets = await broker.admin.committedOffsets(options.groupId, plan.inputs);
  await refuseLostChangelog(options, offsets);
  const replays = await planReplays({ ...options, applicationId: options.groupId });
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
  const origin: [string, string] = [originMeta, originOf(options.groupId, plan.taskId)];
  for (const { store, topic, end, topicId } of replays) {
    // Past the last markers too, so that the next start does not read them again.
    await state.applyChangelog(
      store,
      [],
      new Map([...provenance(topic, end, topicId, options.nowMs), origin]),
    );
  }
  await refuseEmptyState(options, offsets);
  return { outcome: 'restored', committed: await startOffsets(options, offsets) };
}

/** False when the task was taken away meanwhile. The next batch is read while one is written. */
async function replayAll(
  consumer: Consumer,
  replays: readonly Replay[],
  options: RestoreOptions,
): Promise<boolean> {
  const byTopic = new Map(replays.map((replay) => [partitionKey(replay.topic, replay.partition), replay]));
  const poll = (): Promise<RecordBatch[]> => {
    const batches = consumer.poll({ recordsMax: batchRecordsMax, waitMs: 100 });
    // It may fail while a batch is being written, before it is waited for: that must not end the process.
    batches.catch(() => undefined);
    return batches;
  };
  let polled: Promise<RecordBatch[]> | undefined = poll();
  while (polled !== undefined) {
    const batches: RecordBatch[] = await polled;
    // Positions are only looked at between two polls: during one they may be ahead of what was handed out.
    const left = replays.reduce(
      (sum, replay) => sum + Math.max(0, replay.end - consumer.position(replay)),
      0,
    );
    polled = left > 0 && !options.abandoned() ? poll() : undefined;
    try {
      for (const batch of batches) {
        const replay = byTopic.get(partitionKey(batch.topic, batch.partition)) as Replay;
        await writeBatch(replay, batch, options);
      }
    } catch (error) {
      // The consumer is closed next, and takes one call at a time.
      await polled?.catch(() => undefined);
      throw error;
    }
    options.progress.remaining = left;
    if (left === 0) return true;
  }
  return false;
}

async function writeBatch(replay: Replay, batch: RecordBatch, options: RestoreOptions): Promise<void> {
  const next = batch.offset(batch.count - 1) + 1;
  await options.state.applyChangelog(replay.store, changesOf(batch), metaOfReplay(replay, next));
  options.progress.restored += batch.count;
}
