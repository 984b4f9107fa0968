/**
 * The order in which a sealed generation is written without a transaction. Pure; called by commit-cycle.ts,
 * which has each part acknowledged before it sends the next.
 *
 * Without a transaction a crash leaves any prefix behind, and what was not committed is processed again on
 * top of it. Nothing is lost as long as no part is there without what it stands for:
 *
 *   1 outputs                   before the state that would call them sent
 *   2 timers and clocks set     before the state that waits for them; a moved timer with the entry it leaves, or
 *                               a crash in between would keep both
 *   3 state
 *   4 timers gone               after the state that no longer needs them, before the input that said so is done
 *   5 the group's offsets       (step 3 of the cycle)
 *   6 the applied offsets in the changelog: a restore goes on from them where the group has none
 */
import { mapKey } from '../base/bytes.ts';
import type { OutgoingRecord } from '../broker/broker-port.ts';
import type { SealedTask, StreamTask } from '../task/stream-task.ts';
import { clockKey, inputClock, timerOfKey } from '../task/timer-index.ts';

export interface WriteOrder {
  /** Parts 1 to 4; some may be empty. */
  readonly beforeOffsets: readonly (readonly OutgoingRecord[])[];
  /** Part 6. */
  readonly afterOffsets: readonly OutgoingRecord[];
}

const noKey = Buffer.alloc(0);

function timerOf(key: Buffer | null): string | undefined {
  return key === null ? undefined : timerOfKey(key);
}

export function writeOrder(
  tasks: readonly { readonly task: Pick<StreamTask, 'plan'>; readonly sealed: SealedTask }[],
): WriteOrder {
  const outputs: OutgoingRecord[] = [];
  const timersSet: OutgoingRecord[] = [];
  const state: OutgoingRecord[] = [];
  const timersGone: OutgoingRecord[] = [];
  const applied: OutgoingRecord[] = [];
  for (const { task, sealed } of tasks) {
    const { plan } = task;
    const taskChangelog = plan.stores.find(({ spec }) => spec.name === plan.taskStore)?.changelog;
    const appliedKeys = new Set(plan.inputs.map(({ topic }) => mapKey(clockKey(inputClock(topic)))));
    for (const record of sealed.outputs) outputs.push(record);
    const ofTask = sealed.changelog.filter(({ topic }) => topic === taskChangelog);
    const set = new Set(ofTask.flatMap(({ key, value }) => (value === null ? [] : [timerOf(key)])));
    for (const record of ofTask) {
      if (appliedKeys.has(mapKey(record.key ?? noKey))) applied.push(record);
      else if (record.value === null && !set.has(timerOf(record.key))) timersGone.push(record);
      else timersSet.push(record);
    }
    for (const record of sealed.changelog) if (record.topic !== taskChangelog) state.push(record);
  }
  return { beforeOffsets: [outputs, timersSet, state, timersGone], afterOffsets: applied };
}
