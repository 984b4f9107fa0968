/**
 * Refuses to go on with empty state. A changelog that was deleted is created anew when the application
 * starts; restored from, it would give a store without entries while the inputs go on where they were, and
 * everything that was ever counted would be counted from zero, in silence.
 *
 * Called by the restorer, before it may destroy the local state (perhaps the last copy) and after it has
 * replayed. It cannot tell a store that never held anything from one whose marker went with the task's own
 * changelog: with every changelog of a task gone and an empty volume there is nothing left to tell by.
 */
import { readSortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { clockKey, inputClock, writtenClock } from '../task/timer-index.ts';

export interface LostChangelogOptions {
  readonly broker: Broker;
  readonly groupId: string;
  readonly plan: TaskPlan;
  readonly state: TaskState;
}

/**
 * R8, before the replay: the volume has read a changelog that now holds nothing, and the group's offsets were
 * not reset with it. Arguments: `committed` in the order of the plan's inputs.
 * Errors: TOPIC_MISMATCH.
 */
export async function refuseLostChangelog(
  options: LostChangelogOptions,
  committed: readonly (number | undefined)[],
): Promise<void> {
  const { plan, state } = options;
  const applied = await clocksOf(
    options,
    plan.inputs.map(({ topic }) => inputClock(topic)),
  );
  // Offsets below what was applied, or none: somebody starts over, and then empty state is what is wanted.
  const goesOn = plan.inputs.some((_, index) => {
    const [offset, before] = [committed[index], applied[index]];
    return offset !== undefined && before !== undefined && before > 0 && offset >= before;
  });
  if (!goesOn) return;
  const empty = await emptyChangelogs(options);
  const positions = await state.readMeta(empty.map(({ changelog }) => `changelog/${changelog}`));
  for (const [index, { changelog }] of empty.entries()) {
    if (Number(positions[index] ?? 0) > 0) throw lost(options, changelog);
  }
}

/** R8, after the replay, for a volume that was empty: what was replayed says that the store has been written. */
export async function refuseEmptyState(
  options: LostChangelogOptions,
  committed: readonly (number | undefined)[],
): Promise<void> {
  const empty = await emptyChangelogs(options);
  const written = await clocksOf(
    options,
    empty.map(({ store }) => writtenClock(store)),
  );
  const hasCommitted = committed.some((offset) => offset !== undefined && offset > 0);
  const changelogs = options.plan.stores.filter(({ changelog }) => changelog !== undefined).length;
  for (const [index, { changelog, store }] of empty.entries()) {
    // Whatever a task commits moves its own clocks: its own changelog is never the only empty one.
    const onlyOwn = store === options.plan.taskStore && empty.length < changelogs && hasCommitted;
    if (written[index] !== undefined || onlyOwn) throw lost(options, changelog);
  }
}

async function emptyChangelogs({
  broker,
  plan,
}: LostChangelogOptions): Promise<{ store: string; changelog: string }[]> {
  const stores = plan.stores.flatMap(({ spec, changelog }) =>
    changelog === undefined ? [] : [{ store: spec.name, changelog }],
  );
  const ends = await broker.admin.endOffsets(
    stores.map(({ changelog }) => ({ topic: changelog, partition: plan.partition })),
    'read_uncommitted',
  );
  return stores.filter((_, index) => ends[index] === 0);
}

async function clocksOf(
  { plan, state }: LostChangelogOptions,
  names: readonly string[],
): Promise<(number | undefined)[]> {
  const found = await Promise.all(names.map((name) => state.getCommitted(plan.taskStore, clockKey(name))));
  return found.map((bytes) => (bytes === undefined ? undefined : readSortableInteger(bytes)));
}

function lost({ groupId, plan }: LostChangelogOptions, changelog: string): StreamsError {
  return new StreamsError(
    'TOPIC_MISMATCH',
    `changelog ${changelog} is empty, but this task has written to it: it was deleted and created again`,
    {
      context: { topic: changelog, partition: plan.partition, taskId: plan.taskId },
      hint: `bring the topic back, or start over: delete the internal topics of ${groupId} and reset its offsets`,
    },
  );
}
