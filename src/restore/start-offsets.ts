/**
 * Where a task begins to read its inputs: what the group has committed, else what the store knows, else what the
 * source asks for. Called at the end of a restore; it reads and decides, and commits nothing.
 */
import { readSortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskInput, TaskPlan } from '../task/task-plan.ts';
import { clockKey, inputClock } from '../task/timer-index.ts';

/** Where an input begins. `chosen`: nothing was committed, so the choice has to be, before it can come out otherwise. */
export interface StartOffset {
  readonly topic: string;
  readonly offset: number;
  readonly chosen?: true;
}

export interface StartOffsetsOptions {
  readonly broker: Broker;
  readonly groupId: string;
  readonly plan: TaskPlan;
  readonly state: TaskState;
  readonly log: Logger;
  /** The wall clock, which durations are counted back from. */
  readonly nowMs: number;
}

/** What is known of one input. Shape: `start`, `end`: of its log. */
interface Known {
  readonly input: TaskInput;
  readonly committed: number | undefined;
  /** By the task's own changelog. */
  readonly applied: number | undefined;
  readonly start: number;
  readonly end: number;
}

/**
 * Arguments: `committed` in the order of the plan's inputs.
 * Errors: TOPIC_MISMATCH (the input was made anew); OFFSET_OUT_OF_RANGE (`none`, and nothing says where to begin).
 */
export async function startOffsets(
  options: StartOffsetsOptions,
  committed: readonly (number | undefined)[],
): Promise<readonly StartOffset[]> {
  const { broker, plan, state } = options;
  const starts = await broker.admin.startOffsets(plan.inputs);
  const ends = await broker.admin.endOffsets(plan.inputs, 'read_uncommitted');
  const chosen: StartOffset[] = [];
  for (const [index, input] of plan.inputs.entries()) {
    const bytes = await state.getCommitted(plan.taskStore, clockKey(inputClock(input.topic)));
    chosen.push(
      await startOffset(options, {
        input,
        committed: committed[index],
        applied: bytes === undefined ? undefined : readSortableInteger(bytes),
        start: starts[index] ?? 0,
        end: ends[index] as number,
      }),
    );
  }
  return chosen;
}

async function startOffset(options: StartOffsetsOptions, known: Known): Promise<StartOffset> {
  const { committed, applied, start, end } = known;
  const { topic, partition, offsetReset } = known.input;
  if (committed === undefined && applied !== undefined) {
    // The broker may forget offsets of a group that is not subscribed to the topic; the changelog does not.
    options.log.warn('the group has no committed offset, the store does: going on from the store', {
      topic,
      partition,
      offset: applied,
    });
  }
  const next = committed ?? applied;
  if (next === undefined) return resetOffset(options, known);
  if (next > end) {
    throw new StreamsError(
      'TOPIC_MISMATCH',
      `topic ${topic} ends at ${end}, but offset ${next} of it was read`,
      {
        context: { topic, partition, offset: next },
        hint: `it was deleted and created again: reset the offsets of group ${options.groupId}, or use another application id`,
      },
    );
  }
  if (next > 0 && next < start) {
    if (offsetReset === 'none')
      throw new StreamsError('OFFSET_OUT_OF_RANGE', 'records of an input are gone before they were read', {
        context: { topic, partition, offset: next, start },
        hint: `the source has offsetReset none: set the offset of group ${options.groupId} to go on without them`,
        kind: 'user',
      });
    options.log.error('records of an input are gone before they were read', {
      topic,
      partition,
      next,
      start,
    });
  }
  return { topic, offset: Math.max(next, start) };
}

/** Nobody has read this input before. */
async function resetOffset(
  { broker, groupId, nowMs }: StartOffsetsOptions,
  { input: { topic, partition, offsetReset }, start, end }: Known,
): Promise<StartOffset> {
  if (offsetReset === undefined || offsetReset === 'earliest') return { topic, offset: start };
  if (offsetReset === 'latest') return { topic, offset: end, chosen: true };
  if (offsetReset === 'none')
    throw new StreamsError(
      'OFFSET_OUT_OF_RANGE',
      'no offset is committed for an input whose source has offsetReset none',
      {
        context: { topic, partition },
        hint: `kafka-consumer-groups.sh --group ${groupId} --topic ${topic} --reset-offsets --to-earliest --execute, or another offsetReset`,
        kind: 'user',
      },
    );
  const timestampMs = Math.max(0, nowMs - offsetReset.byDurationMs);
  const [found] = await broker.admin.offsetsForTimes([{ topic, partition, timestampMs }]);
  return { topic, offset: Math.max(found ?? end, start), chosen: true };
}
