/**
 * Restores the stores of tables that have no changelog of their own from the topics that they are tables of
 * (`reuse.ktable.source.topics`). Called at the end of a restore, when it is known where each input goes on.
 *
 * R9 Target: the offset from which the input is read on, and no further: what comes after it is still to be
 *    processed, and whoever looks into the table before must not see it. It is the *stable* committed offset, read
 *    before everything else (R2). The position is written with each commit and is exact; one beyond the target (the
 *    group's offsets were set back) cannot be undone, so the store is rebuilt.
 *    Records pass through the source's serdes and its timestamp extractor, as they did when they were processed; one
 *    that cannot be read is left out, as it was then, unless the failure policy says that the instance ends.
 */
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, RecordBatch } from '../broker/broker-port.ts';
import { decideReaction, type FailurePolicy } from '../failure/failure-policy.ts';
import type { SourceChangelog, StoreSpec } from '../graph/node.ts';
import type { TaskState } from '../store/task-state.ts';
import { rowsOfBatch } from '../task/global-stores.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { provenance, type Rebuild, rebuildReason } from './replay-plan.ts';
import type { StartOffset } from './start-offsets.ts';

/** Part of a restore's options. */
export interface SourceRestoreOptions {
  readonly broker: Broker;
  readonly groupId: string;
  readonly plan: TaskPlan;
  readonly state: TaskState;
  readonly log: Logger;
  readonly progress: { restored: number; remaining: number };
  readonly abandoned: () => boolean;
  readonly nowMs: number;
  readonly failurePolicy: FailurePolicy;
}

interface SourceReplay {
  readonly spec: StoreSpec;
  readonly source: SourceChangelog;
  readonly partition: number;
  readonly topicId: string | undefined;
  readonly from: number;
  readonly target: number;
}

const batchRecordsMax = 10_000;

/** Undefined: all of them are restored. */
export async function restoreFromSources(
  options: SourceRestoreOptions,
  starts: readonly StartOffset[],
): Promise<Rebuild | { readonly outcome: 'abandoned' } | undefined> {
  const replays: SourceReplay[] = [];
  for (const { spec } of options.plan.stores) {
    if (spec.restoredFrom === undefined) continue;
    const replay = await planSource(options, spec, spec.restoredFrom, starts);
    if ('outcome' in replay) return replay;
    replays.push(replay);
  }
  for (const replay of replays) if (!(await replaySource(options, replay))) return { outcome: 'abandoned' };
  return undefined;
}

async function planSource(
  { broker, plan, state, nowMs }: SourceRestoreOptions,
  spec: StoreSpec,
  source: SourceChangelog,
  starts: readonly StartOffset[],
): Promise<SourceReplay | Rebuild> {
  const { topic } = source;
  const { partition } = plan;
  const [start = 0] = await broker.admin.startOffsets([{ topic, partition }]);
  const [described] = await broker.admin.describeTopics([topic]);
  const names = ['changelog', 'changelog-at', 'changelog-id'].map((name) => `${name}/${topic}`);
  const [position, at, id] = await state.readMeta(names);
  const target = starts.find((input) => input.topic === topic)?.offset ?? start;
  const kept = {
    position: position === undefined ? undefined : Number(position),
    atMs: Number(at ?? Number.NaN),
    topicId: id,
  };
  const topicId = described?.topicId;
  const reason = rebuildReason(kept, { start, end: target, topicId, nowMs });
  if (reason !== undefined) return { outcome: 'rebuild', reason: `${topic}: ${reason}` };
  return { spec, source, partition, topicId, from: kept.position ?? start, target };
}

/** False when the task was taken away meanwhile. */
async function replaySource(options: SourceRestoreOptions, replay: SourceReplay): Promise<boolean> {
  const { broker, plan, log, state, progress, nowMs } = options;
  const { spec, source, partition, topicId, from, target } = replay;
  const { topic } = source;
  const at = { topic, partition };
  if (from < target) {
    log.info('restore from a source topic begins', { taskId: plan.taskId, topic, remaining: target - from });
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: `${options.groupId}-restore-${plan.taskId}`,
    });
    try {
      await consumer.assign([{ ...at, offset: from }]);
      while (consumer.position(at) < target) {
        if (options.abandoned()) return false;
        progress.remaining = target - consumer.position(at);
        for (const batch of await consumer.poll({ recordsMax: batchRecordsMax, waitMs: 100 }))
          await writeBatch(options, replay, batch);
      }
    } finally {
      await consumer.close();
    }
    progress.remaining = 0;
  }
  await state.applyChangelog(spec.name, [], new Map(provenance(topic, target, topicId, nowMs)));
  return true;
}

async function writeBatch(
  options: SourceRestoreOptions,
  { spec, source, topicId, target }: SourceReplay,
  batch: RecordBatch,
): Promise<void> {
  const { writes, unreadable } = await rowsOfBatch(source, spec, batch, target);
  for (const { offset, error } of unreadable) leaveOut(options, batch, offset, error);
  const next = Math.min(target, batch.offset(batch.count - 1) + 1);
  const meta = new Map(provenance(source.topic, next, topicId, options.nowMs));
  await options.state.applyChangelog(spec.name, writes, meta);
  options.progress.restored += writes.length;
}

function leaveOut(
  { log, failurePolicy }: SourceRestoreOptions,
  batch: RecordBatch,
  offset: number,
  error: StreamsError,
): void {
  const where = { topic: batch.topic, partition: batch.partition, offset };
  if (decideReaction('deserialization', error, failurePolicy) === 'stop')
    throw new StreamsError(error.code, error.message, { context: where, cause: error, kind: 'fatal' });
  // It became a dead letter when it was processed.
  log.warn('a record is left out of its table', { ...where, code: error.code, reason: error.message });
}
