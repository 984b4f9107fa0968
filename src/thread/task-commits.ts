/**
 * When the running tasks are committed, and the one commit that may be in flight. Called by the loop and by
 * the ownership; what a commit *is* lies in commit/commit-cycle.ts.
 *
 * A failed commit is kept here until the loop has recovered from it: until then the sealed generations are
 * still there, unstored, and no other commit may begin.
 */
import { asStreamsError, type StreamsError } from '../base/errors.ts';
import type { GroupMember } from '../broker/broker-port.ts';
import type { CommitCycle } from '../commit/commit-cycle.ts';
import type { StreamTask } from '../task/stream-task.ts';
import type { RunningTasks } from './running-tasks.ts';
import type { ThreadOptions } from './thread-options.ts';

/** Below the few milliseconds that a commit takes on Kafka, above what would spin. */
const commitLookMs = 3;

export class TaskCommits {
  /** Recoveries since the last commit that succeeded: the pause after each is longer. */
  failuresInRow = 0;
  readonly #options: ThreadOptions;
  readonly #cycle: CommitCycle;
  readonly #running: RunningTasks;
  readonly #member: () => GroupMember;
  /** Monotonic; when a task's offsets were last given to a commit, or the task began. */
  readonly #committedMs = new WeakMap<StreamTask, number>();
  #inFlight: Promise<void> | undefined;
  #error: StreamsError | undefined;
  #dueMs = 0;

  constructor(
    options: ThreadOptions,
    parts: {
      readonly cycle: CommitCycle;
      readonly running: RunningTasks;
      readonly member: () => GroupMember;
    },
  ) {
    this.#options = options;
    this.#cycle = parts.cycle;
    this.#running = parts.running;
    this.#member = parts.member;
  }

  /** The commit in flight; never rejects. */
  get inFlight(): Promise<void> | undefined {
    return this.#inFlight;
  }

  /** Why the last commit failed, until `takeError`. */
  get error(): StreamsError | undefined {
    return this.#error;
  }

  takeError(): StreamsError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** Milliseconds until the loop has to look again; it may be negative. */
  get untilDueMs(): number {
    // With a commit in flight the next one can begin as soon as it ends, which nothing but a look tells.
    return this.#inFlight === undefined ? this.#dueMs - this.#options.clock.monotonicMs() : commitLookMs;
  }

  /** True when a commit hangs and so much waits for the next one that the memory would fill. */
  get overfull(): boolean {
    return (
      this.#inFlight !== undefined && this.#running.openCount >= 2 * this.#options.settings.commitRecordsMax
    );
  }

  /** The next commit begins as soon as it may. */
  hurry(): void {
    this.#dueMs = 0;
  }

  startIfDue(): void {
    // After a failure the sealed generation is still there, unstored: the loop recovers first.
    if (this.#inFlight !== undefined || this.#error !== undefined || this.#running.size === 0) return;
    const { clock, settings } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#dueMs && this.#running.openCount < settings.commitRecordsMax) return;
    const due = this.#running
      .tasks()
      .filter(
        (task) =>
          task.isDirty(this.#running.position) ||
          nowMs - this.#lastCommittedMs(task, nowMs) >= settings.recommitMs,
      );
    this.#dueMs = nowMs + settings.commitIntervalMs;
    if (due.length > 0) this.#start(due);
  }

  /** Commits what these tasks have done, after the commit in flight; not when one has failed. */
  async commitNow(tasks: readonly StreamTask[]): Promise<void> {
    await this.#inFlight;
    const dirty = tasks.filter((task) => task.isDirty(this.#running.position));
    if (this.#error !== undefined || dirty.length === 0) return;
    this.#start(dirty);
    await this.#inFlight;
  }

  /**
   * The last commit, of every task. A position covers what was stored before its commit: a second, empty one
   * proves the last, and the next start replays nothing.
   */
  async commitFinally(): Promise<void> {
    await this.#inFlight;
    const tasks = this.#running.tasks();
    for (const proving of [false, true]) {
      if (this.#error !== undefined || tasks.length === 0) break;
      if (proving) this.#cycle.refreshPositions();
      this.#start(tasks);
      await this.#inFlight;
    }
    const failure: StreamsError | undefined = this.#error;
    if (failure !== undefined)
      this.#options.log.warn('the last commit failed; its work will be done again', {}, failure);
  }

  /** The first look at a task counts as its commit: its offsets have just been read from the group. */
  #lastCommittedMs(task: StreamTask, nowMs: number): number {
    const known = this.#committedMs.get(task);
    if (known !== undefined) return known;
    this.#committedMs.set(task, nowMs);
    return nowMs;
  }

  #start(tasks: readonly StreamTask[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const task of tasks) this.#committedMs.set(task, nowMs);
    this.#inFlight = this.#cycle
      .commit(tasks, this.#member(), this.#running.position)
      .then(() => {
        this.failuresInRow = 0;
      })
      .catch((error: unknown) => {
        this.#error = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      })
      .finally(() => {
        this.#inFlight = undefined;
      });
  }
}
