/**
 * Whose state a folder holds. Called by the restorer before it believes the positions in a folder: those of
 * another task of the same application name the same topics, and a folder whose positions are of another
 * application's topics would be restored on top of what is in it. It reads; the caller rebuilds.
 */
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';

/** The meta entry that names the owner. */
export const originMeta = 'origin';

/** Shape: `<application>/<task>`. */
export function originOf(applicationId: string, taskId: string): string {
  return `${applicationId}/${taskId}`;
}

/**
 * Why the folder is not this task's; undefined when it can be. A store that has entries has a position too: the
 * first batch of a restore writes both.
 */
export async function foreignReason(
  state: TaskState,
  plan: TaskPlan,
  applicationId: string,
): Promise<string | undefined> {
  const [origin] = await state.readMeta([originMeta]);
  if (origin !== undefined && origin !== originOf(applicationId, plan.taskId))
    return `the folder holds the state of ${origin}`;
  for (const { spec, changelog } of plan.stores) {
    if (changelog === undefined) continue;
    const [position] = await state.readMeta([`changelog/${changelog}`]);
    if (position === undefined && !(await isEmpty(state, spec.name)))
      return `store ${spec.name} has entries that no position of ${changelog} explains`;
    if (position !== undefined && !/^\d+$/.test(position))
      return `${position} is no position of ${changelog}`;
  }
  return undefined;
}

async function isEmpty(state: TaskState, store: string): Promise<boolean> {
  for await (const page of state.scanCommitted(store, 1)) return page.length === 0;
  return true;
}
