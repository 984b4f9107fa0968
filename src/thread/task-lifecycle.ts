/**
 * The states of a task in one instance, from the token's arrival (or the placement of a standby) until it
 * has left. Everything that opens, starts or closes a task says so here first, so that a step out of order
 * ends the instance before it does harm.
 *
 *   CREATED ─restore─▶ RESTORING ─restored─▶ RUNNING ─suspend─▶ SUSPENDED ─close─▶ CLOSED
 *      ▲                   │                    │
 *      ├──────discard──────┴─────discard────────┘     STANDBY ─recycle─▶ CREATED, its store still open
 *
 * The table with its reasons: docs/spec/task-states.md.
 */
import { assert } from '../base/assert.ts';
import { nextState, type TransitionTable } from './state-table.ts';

/** Kafka Streams' words; there a standby is a task of another class and in the state RUNNING. */
export type TaskLifecycleState = 'CREATED' | 'STANDBY' | 'RESTORING' | 'RUNNING' | 'SUSPENDED' | 'CLOSED';

export type TaskLifecycleEvent =
  /** Its store is opened and its changelogs are replayed. */
  | 'restore'
  /** The store holds all that is committed: the task takes records. */
  | 'restored'
  /** What is uncommitted is dropped, or its restore failed: it starts again from what is committed. */
  | 'discard'
  /** The group takes it back: it takes no more records, and its last commit is made. */
  | 'suspend'
  /** The instance holds a replica of it without owning it. */
  | 'follow'
  /** The token of a task that is a standby here has come. */
  | 'recycle'
  | 'close';

export const taskTransitions: TransitionTable<TaskLifecycleState, TaskLifecycleEvent> = {
  CREATED: {
    restore: 'RESTORING',
    restored: 'illegal',
    discard: 'illegal',
    suspend: 'illegal',
    follow: 'STANDBY',
    recycle: 'illegal',
    close: 'CLOSED',
  },
  STANDBY: {
    restore: 'illegal',
    restored: 'illegal',
    discard: 'illegal',
    suspend: 'illegal',
    follow: 'illegal',
    recycle: 'CREATED',
    close: 'CLOSED',
  },
  RESTORING: {
    restore: 'illegal',
    restored: 'RUNNING',
    discard: 'CREATED',
    suspend: 'illegal',
    follow: 'illegal',
    recycle: 'illegal',
    close: 'CLOSED',
  },
  RUNNING: {
    restore: 'illegal',
    restored: 'illegal',
    discard: 'CREATED',
    suspend: 'SUSPENDED',
    follow: 'illegal',
    recycle: 'illegal',
    close: 'CLOSED',
  },
  SUSPENDED: {
    restore: 'illegal',
    restored: 'illegal',
    discard: 'illegal',
    suspend: 'illegal',
    follow: 'illegal',
    recycle: 'illegal',
    close: 'CLOSED',
  },
  CLOSED: {
    restore: 'illegal',
    restored: 'illegal',
    discard: 'illegal',
    suspend: 'illegal',
    follow: 'illegal',
    recycle: 'illegal',
    close: 'illegal',
  },
};

/** The state of every task that this instance has to do with. Those that are CLOSED are forgotten. */
export class TaskLifecycles {
  readonly #states = new Map<string, TaskLifecycleState>();

  /** Errors: INVARIANT_BROKEN when the instance has the task already: it would be opened twice. */
  create(taskId: string): void {
    assert(!this.#states.has(taskId), 'a task is created that is here already', { taskId });
    this.#states.set(taskId, 'CREATED');
  }

  /** Errors: INVARIANT_BROKEN for a step that the table does not know. */
  move(taskId: string, event: TaskLifecycleEvent): void {
    const next = nextState(taskTransitions, this.#states.get(taskId) ?? 'CLOSED', event, `task ${taskId}`);
    if (next === 'CLOSED') this.#states.delete(taskId);
    else this.#states.set(taskId, next);
  }

  /** CLOSED also for tasks that were never here. */
  stateOf(taskId: string): TaskLifecycleState {
    return this.#states.get(taskId) ?? 'CLOSED';
  }

  states(): ReadonlyMap<string, TaskLifecycleState> {
    return this.#states;
  }

  count(state: TaskLifecycleState): number {
    let count = 0;
    for (const each of this.#states.values()) if (each === state) count++;
    return count;
  }
}
