/**
 * The states of the thread: what the group has told it, and whether all of its tasks run.
 *
 *   CREATED ─start─▶ STARTING ─assigned─▶ PARTITIONS_ASSIGNED ⇄ RUNNING
 *                                              ▲ released     │ revoked
 *                                              └─ PARTITIONS_REVOKED
 *   any of these ─stop─▶ PENDING_SHUTDOWN ─closed─▶ DEAD
 *
 * The table with its reasons: docs/spec/task-states.md.
 */
import { nextState, type TransitionTable } from './state-table.ts';

/** Kafka Streams' words (StreamThread.State), CREATED to DEAD. */
export type ThreadLifecycleState =
  | 'CREATED'
  | 'STARTING'
  | 'PARTITIONS_REVOKED'
  | 'PARTITIONS_ASSIGNED'
  | 'RUNNING'
  | 'PENDING_SHUTDOWN'
  | 'DEAD';

export type ThreadLifecycleEvent =
  /** The clients are being opened. */
  | 'start'
  /** Tokens have come, or none has and the group said so. */
  | 'assigned'
  /** Tokens were taken back, or lost: their tasks are being closed. */
  | 'revoked'
  /** Those tasks are closed, and the group has been told. */
  | 'released'
  /** Everything uncommitted was dropped: its tasks are restored again. */
  | 'discarded'
  /** Every task that the thread owns runs. */
  | 'settled'
  | 'stop'
  | 'closed';

export const threadTransitions: TransitionTable<ThreadLifecycleState, ThreadLifecycleEvent> = {
  CREATED: {
    start: 'STARTING',
    assigned: 'illegal',
    revoked: 'illegal',
    released: 'illegal',
    discarded: 'illegal',
    settled: 'illegal',
    stop: 'PENDING_SHUTDOWN',
    closed: 'illegal',
  },
  STARTING: {
    start: 'illegal',
    assigned: 'PARTITIONS_ASSIGNED',
    revoked: 'PARTITIONS_REVOKED',
    released: 'illegal',
    discarded: 'STARTING',
    settled: 'illegal',
    stop: 'PENDING_SHUTDOWN',
    closed: 'illegal',
  },
  PARTITIONS_REVOKED: {
    start: 'illegal',
    assigned: 'illegal',
    revoked: 'illegal',
    released: 'PARTITIONS_ASSIGNED',
    discarded: 'illegal',
    settled: 'illegal',
    stop: 'PENDING_SHUTDOWN',
    closed: 'illegal',
  },
  PARTITIONS_ASSIGNED: {
    start: 'illegal',
    assigned: 'PARTITIONS_ASSIGNED',
    revoked: 'PARTITIONS_REVOKED',
    released: 'illegal',
    discarded: 'PARTITIONS_ASSIGNED',
    settled: 'RUNNING',
    stop: 'PENDING_SHUTDOWN',
    closed: 'illegal',
  },
  RUNNING: {
    start: 'illegal',
    assigned: 'PARTITIONS_ASSIGNED',
    revoked: 'PARTITIONS_REVOKED',
    released: 'illegal',
    discarded: 'PARTITIONS_ASSIGNED',
    settled: 'RUNNING',
    stop: 'PENDING_SHUTDOWN',
    closed: 'illegal',
  },
  PENDING_SHUTDOWN: {
    start: 'illegal',
    assigned: 'illegal',
    revoked: 'illegal',
    released: 'illegal',
    discarded: 'illegal',
    settled: 'illegal',
    stop: 'illegal',
    closed: 'DEAD',
  },
  DEAD: {
    start: 'illegal',
    assigned: 'illegal',
    revoked: 'illegal',
    released: 'illegal',
    discarded: 'illegal',
    settled: 'illegal',
    stop: 'illegal',
    closed: 'illegal',
  },
};

export class ThreadLifecycle {
  #state: ThreadLifecycleState = 'CREATED';

  get state(): ThreadLifecycleState {
    return this.#state;
  }

  /** Errors: INVARIANT_BROKEN for a step that the table does not know. */
  move(event: ThreadLifecycleEvent): void {
    this.#state = nextState(threadTransitions, this.#state, event, 'the thread');
  }
}
