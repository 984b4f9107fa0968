/**
 * The loop of one process: group events ▸ poll ▸ process ▸ timers ▸ commit, one `step()` at a time. It makes
 * the parts, gives each its turn, and deals with what goes wrong in one:
 *
 *   ownership.ts       which tasks are ours        running-tasks.ts  those that take records
 *   task-restores.ts   those on their way there    task-commits.ts   when their work is committed
 *   standby-tasks.ts   those that others own and this instance follows
 *   global-tables.ts   what all tasks read and none owns
 *
 * Nobody calls up into the loop: it drains what others report (group events, ended restores, the settled
 * commit) at its own pace. States: task-lifecycle.ts, thread-lifecycle.ts, docs/spec/task-states.md.
 */
import { asStreamsError, type StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import { CommitCycle } from '../commit/commit-cycle.ts';
import type { RestoreStatus } from '../restore/restore-watch.ts';
import type { StreamTask } from '../task/stream-task.ts';
import { type GlobalStatus, GlobalTables } from './global-tables.ts';
import { Ownership, type OwnershipCounters } from './ownership.ts';
import { damagedTask, endsTheInstance } from './reactions.ts';
import { RunningTasks } from './running-tasks.ts';
import { type StandbyStatus, StandbyTasks } from './standby-tasks.ts';
import { TaskCommits } from './task-commits.ts';
import { type TaskLifecycleState, TaskLifecycles } from './task-lifecycle.ts';
import { TaskRestores } from './task-restores.ts';
import { ThreadLifecycle, type ThreadLifecycleState } from './thread-lifecycle.ts';
import { retryMs, type ThreadOptions } from './thread-options.ts';

const recoverBackoffMsMax = 5_000;

export class StreamThread {
  readonly commitCycle: CommitCycle;
  readonly #options: ThreadOptions;
  readonly #stop = new AbortController();
  readonly #lifecycle = new ThreadLifecycle();
  readonly #lifecycles = new TaskLifecycles();
  readonly #running: RunningTasks;
  readonly #restores: TaskRestores;
  readonly #commits: TaskCommits;
  readonly #ownership: Ownership;
  readonly #standbys: StandbyTasks | undefined;
  readonly #globals: GlobalTables | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
    const { settings, broker, clock } = options;
    this.commitCycle = new CommitCycle({
      broker,
      clientId: settings.clientId,
      transactionalId: settings.transactionalId,
      transactionTimeoutMs: settings.transactionTimeoutMs,
      clock,
      positionIntervalMs: 1_000,
      onCommitted: options.onCommitted,
      processingGuarantee: settings.processingGuarantee,
      onStep: options.onCommitStep,
    });
    this.#globals = options.plan.globals.length === 0 ? undefined : new GlobalTables(options);
    this.#running = new RunningTasks(options, this.#stop.signal, this.#globals);
    this.#standbys =
      settings.standby === undefined
        ? undefined
        : new StandbyTasks(options, settings.standby, this.#lifecycles);
    this.#restores = new TaskRestores(options, {
      running: this.#running,
      lifecycles: this.#lifecycles,
      standbys: this.#standbys,
    });
    this.#commits = new TaskCommits(options, {
      cycle: this.commitCycle,
      running: this.#running,
      member: () => this.#ownership.member,
    });
    this.#ownership = new Ownership(options, {
      lifecycle: this.#lifecycle,
      lifecycles: this.#lifecycles,
      running: this.#running,
      restores: this.#restores,
      commits: this.#commits,
      standbys: this.#standbys,
    });
  }

  get state(): ThreadLifecycleState {
    return this.#lifecycle.state;
  }

  /** True when this member has tokens or knows that it gets none, and all its tasks are restored. */
  get ready(): boolean {
    const { state } = this.#lifecycle;
    const joined = state === 'RUNNING' || state === 'PARTITIONS_ASSIGNED' || state === 'PARTITIONS_REVOKED';
    return joined && this.#restores.idle;
  }

  tasks(): readonly StreamTask[] {
    return this.#running.tasks();
  }

  /** Of every task that this instance has to do with, standbys too. */
  taskStates(): ReadonlyMap<string, TaskLifecycleState> {
    return this.#lifecycles.states();
  }

  restoring(): readonly RestoreStatus[] {
    return this.#restores.status();
  }

  /** Undefined where the topology has no global stores. */
  globals(): GlobalStatus | undefined {
    return this.#globals?.status();
  }

  /** The row of a global store on this instance's disk. Order: when the thread is ready. */
  async globalRow(store: string, key: Buffer): Promise<Buffer | undefined> {
    return await this.#globals?.stores.get(store, key);
  }

  standbys(): readonly StandbyStatus[] {
    return this.#standbys?.status() ?? [];
  }

  /** Records that restores have written to stores so far. */
  get restoredTotal(): number {
    return this.#restores.restoredTotal;
  }

  /** How often tasks came and went. */
  get ownershipCounters(): Readonly<OwnershipCounters> {
    return this.#ownership.counters;
  }

  /** What tasks that have left this instance had counted. */
  get closedCounters(): { readonly processed: number; readonly deadLettered: number } {
    return this.#running.closedCounters;
  }

  /** The running task that owns a partition of a topic, for queries. */
  ownerOf(topic: string, partition: number): StreamTask | undefined {
    return this.#running.ownerOf(topic, partition);
  }

  assignedPartitions(): TopicPartition[] {
    return this.#running.assignedPartitions();
  }

  requestStop(): void {
    this.#stop.abort();
    this.#restores.abandonAll();
  }

  /** Runs until asked to stop; resolves after a clean close. Errors: of kind `user` or `fatal`, after closing. */
  async run(): Promise<void> {
    try {
      this.#lifecycle.move('start');
      await this.#openPatiently();
      while (!this.#stop.signal.aborted) await this.step();
      this.#lifecycle.move('stop');
      await this.#commits.commitFinally();
    } finally {
      if (this.#lifecycle.state !== 'PENDING_SHUTDOWN') this.#lifecycle.move('stop');
      await this.#closeInTime();
      this.#lifecycle.move('closed');
    }
  }

  async open(): Promise<void> {
    // Before any offset or changelog is read: ends an open transaction of our own predecessor.
    await this.commitCycle.open();
    await this.#running.open();
    // Before the group gives this instance any task: tasks may look up any row from their first record on.
    await this.#globals?.open(this.#stop.signal);
    if (this.#stop.signal.aborted) return;
    await this.#ownership.open();
    this.#standbys?.start();
  }

  async #openPatiently(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        return await this.open();
      } catch (error) {
        const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
        if (failure.kind !== 'retriable') throw failure;
        this.#options.log.warn('the broker cannot be reached yet', { code: failure.code }, failure);
        await this.#options.clock.sleep(retryMs, this.#stop.signal);
      }
    }
  }

  /** One turn. Errors: those that end the instance (`endsTheInstance`); the rest is dealt with here. */
  async step(): Promise<void> {
    const broken = this.#standbys?.takeFailure() ?? this.#globals?.takeFailure();
    if (broken !== undefined) throw broken;
    await this.#ownership.follow();
    try {
      await this.#turn();
    } catch (error) {
      await this.#recover(asStreamsError(error, 'INVARIANT_BROKEN'));
    }
    if (this.#lifecycle.state === 'PARTITIONS_ASSIGNED' && this.#restores.idle)
      this.#lifecycle.move('settled');
    await this.#options.clock.yield();
  }

  async #turn(): Promise<void> {
    const { clock, settings } = this.#options;
    await this.#restores.beginEnded();
    if (this.#commits.error !== undefined) await this.#recover(this.#commits.error);
    if (this.#restores.due && (await this.#haveProducer())) this.#restores.start();
    if (this.#commits.overfull) {
      // A commit that hangs must not fill the memory with what waits for the next one.
      await Promise.race([this.#commits.inFlight, clock.sleep(settings.pollMs, this.#stop.signal)]);
      return;
    }
    // Restores come in beside the poll: look after them often.
    await this.#running.poll(this.#commits.untilDueMs, this.#restores.underWay);
    if (await this.#running.work()) this.#commits.hurry();
    this.#commits.startIfDue();
  }

  /** Everything uncommitted goes; every task starts again from what is committed. */
  async #recover(error: StreamsError): Promise<void> {
    await this.#commits.inFlight;
    for (const each of [error, this.#commits.takeError()]) {
      if (each === undefined) continue;
      const damaged = damagedTask(each);
      if (damaged !== undefined) this.#restores.rebuild(damaged);
      if (endsTheInstance(each)) throw each;
    }
    this.#commits.failuresInRow++;
    const backoffMs = Math.min(recoverBackoffMsMax, 50 * 2 ** Math.min(this.#commits.failuresInRow, 10));
    this.#options.log.warn(
      'uncommitted work is discarded and done again',
      { code: error.code, tasks: this.#running.size, backoffMs },
      error,
    );
    this.#lifecycle.move('discarded');
    const plans = this.#running.tasks().map(({ plan }) => plan);
    for (const { taskId } of plans) {
      await this.#running.drop(taskId);
      this.#lifecycles.move(taskId, 'discard');
    }
    this.#restores.add(plans);
    this.#restores.pause(backoffMs);
  }

  /**
   * An initialised producer before anything is restored: its initialisation ends the transaction that a
   * failed commit left open, and until then neither the committed offsets nor the changelogs are stable.
   */
  async #haveProducer(): Promise<boolean> {
    try {
      await this.commitCycle.open();
      return true;
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (endsTheInstance(failure)) throw failure;
      this.#options.log.warn('the producer is initialised again', { code: failure.code }, failure);
      this.#restores.pause(retryMs);
      return false;
    }
  }

  /** A broker that is away must not keep a failed instance from saying so. */
  async #closeInTime(): Promise<void> {
    const { clock, settings, log } = this.#options;
    const closed = new AbortController();
    await Promise.race([
      this.#close().finally(() => closed.abort()),
      clock.sleep(settings.shutdownMsMax, closed.signal).then(() => {
        if (!closed.signal.aborted) log.error('closing took too long', { code: 'SHUTDOWN_TIMEOUT' });
      }),
    ]);
  }

  async #close(): Promise<void> {
    const { log } = this.#options;
    const quietly = async (what: string, close: () => Promise<void> | undefined): Promise<void> => {
      try {
        await close();
      } catch (error) {
        log.warn(`closing ${what} failed`, {}, error);
      }
    };
    // Beside the rest: who takes the tasks over need not wait for them.
    const standbysClosed = quietly('the standbys', () => this.#standbys?.close());
    await quietly('the commit', () => this.#commits.inFlight);
    for (const taskId of [...this.#lifecycles.states().keys()]) {
      await quietly(`task ${taskId}`, () => this.#ownership.close(taskId));
    }
    await quietly('the global stores', () => this.#globals?.close());
    await quietly('the producer', () => this.commitCycle.close());
    await quietly('the membership', () => this.#ownership.leave());
    await quietly('the consumer', () => this.#running.close());
    await standbysClosed;
  }
}
