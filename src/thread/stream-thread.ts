/**
 * The loop of one process: group events ▸ poll ▸ process ▸ timers ▸ commit, one `step()` at a time. Owns the
 * tasks whose tokens this member holds; everything a task needs from the broker goes through here.
 *
 *   token assigned ──▶ restoring ──▶ running ──revoked──▶ commit, close
 *                          ▲            │ └───lost──────▶ close without committing
 *                          └──discard───┘ a commit failed: drop what is uncommitted, restore, go on
 *
 * Nobody calls up into the loop: it drains what others report (group events, ended restores, the settled
 * commit) at its own pace.
 */
import { must } from '../base/assert.ts';
import type { OpenBackend } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import { parsePartitionKey, partitionKey, type TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, Consumer, GroupEvent, GroupMember, RecordBatch } from '../broker/broker-port.ts';
import { CommitCycle } from '../commit/commit-cycle.ts';
import type { FailurePolicy } from '../failure/failure-policy.ts';
import { type RestoreProgress, restoreTask } from '../restore/changelog-restorer.ts';
import { TaskState } from '../store/task-state.ts';
import { StreamTask } from '../task/stream-task.ts';
import type { ApplicationPlan, TaskPlan } from '../task/task-plan.ts';

export interface ThreadSettings {
  readonly clientId: string;
  readonly instanceId: string | undefined;
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly commitIntervalMs: number;
  /** A commit is due early when so many records and changes wait. */
  readonly commitRecordsMax: number;
  readonly pollMs: number;
  readonly pollRecordsMax: number;
  readonly bufferedRecordsMax: number;
  readonly cacheEntriesMax: number;
  readonly timestampAheadMsMax: number;
}

export interface ThreadOptions {
  readonly plan: ApplicationPlan;
  readonly broker: Broker;
  /** Opens a task's backend; the path is below the application's state directory. */
  readonly openTaskBackend: OpenBackend;
  /** Removes a task's local state, for the one rebuild that the rules know. */
  readonly destroyTaskBackend: (taskId: string) => Promise<void>;
  readonly settings: ThreadSettings;
  readonly failurePolicy: FailurePolicy;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onCommitted: (seconds: number) => void;
}

interface RunningTask {
  readonly task: StreamTask;
  /** Batches whose schemas are still to be fetched: nothing is processed before they are here. */
  unprepared: RecordBatch[];
  retryPrepareAtMs: number;
  /** Input ends fetched for wall-clock timers that are due. */
  wall: { readonly atMs: number; readonly ends: readonly number[] } | undefined;
}

interface Restoring {
  readonly progress: RestoreProgress;
  abandoned: boolean;
  done: Promise<void>;
}

const roundRecordsMax = 1_000;
/** Restores at once: each may hold a client of its own. */
const restoresMax = 4;
const recoverBackoffMsMax = 5_000;

export class StreamThread {
  readonly commitCycle: CommitCycle;
  readonly #options: ThreadOptions;
  readonly #running = new Map<string, RunningTask>();
  readonly #restoring = new Map<string, Restoring>();
  readonly #waiting: TaskPlan[] = [];
  readonly #restored: (() => Promise<void>)[] = [];
  readonly #taskOfPartition = new Map<string, RunningTask>();
  #consumer: Consumer | undefined;
  #member: GroupMember | undefined;
  #commit: Promise<void> | undefined;
  #commitError: StreamsError | undefined;
  #commitDueMs = 0;
  #failure: StreamsError | undefined;
  #stopping = false;
  #failuresInRow = 0;
  #joined = false;

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
    });
  }

  /** True when this member has tokens or knows that it gets none, and all its tasks are restored. */
  get ready(): boolean {
    return this.#joined && this.#restoring.size === 0 && this.#waiting.length === 0;
  }

  tasks(): readonly StreamTask[] {
    return [...this.#running.values()].map(({ task }) => task);
  }

  restoring(): readonly RestoreProgress[] {
    return [...this.#restoring.values()].map(({ progress }) => progress);
  }

  requestStop(): void {
    this.#stopping = true;
  }

  /** Runs until asked to stop; resolves after a clean close. Errors: of kind `user` or `fatal`, after closing. */
  async run(): Promise<void> {
    try {
      await this.open();
      while (!this.#stopping) await this.step();
      await this.#finalCommit();
    } finally {
      await this.#close();
    }
  }

  async open(): Promise<void> {
    const { broker, plan, settings } = this.#options;
    // Before any offset or changelog is read: ends an open transaction of our own predecessor.
    await this.commitCycle.open();
    this.#consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: settings.clientId });
    this.#member = await broker.joinGroup({
      groupId: plan.applicationId,
      topic: plan.tokenTopic,
      sessionTimeoutMs: settings.sessionTimeoutMs,
      ...(settings.instanceId === undefined ? {} : { instanceId: settings.instanceId }),
    });
  }

  /** One turn. Errors: of kind `user` or `fatal` only; the rest is dealt with here. */
  async step(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    for (const event of await this.#memberOrThrow().poll(0)) await this.#onGroupEvent(event);
    for (let ended = this.#restored.shift(); ended !== undefined; ended = this.#restored.shift())
      await ended();
    if (this.#commitError !== undefined) await this.#recover(this.#commitError);
    if (await this.#haveProducer()) this.#startRestores();
    await this.#pollRecords();
    let processed = 0;
    for (const running of this.#running.values()) processed += await this.#work(running);
    if (processed > 0) this.#failuresInRow = 0;
    this.#commitIfDue();
    await this.#options.clock.yield();
  }

  readonly #position = (input: TopicPartition): number =>
    must(this.#consumer, 'the thread is not open').position(input);

  async #pollRecords(): Promise<void> {
    const { settings, clock } = this.#options;
    const consumer = must(this.#consumer, 'the thread is not open');
    let queued = 0;
    let idle = true;
    for (const { task, unprepared } of this.#running.values()) {
      queued += task.queued;
      if (unprepared.length === 0 && task.queued > 0) idle = false;
    }
    if (queued >= settings.bufferedRecordsMax) return;
    const untilCommit =
      this.#commit === undefined ? this.#commitDueMs - clock.monotonicMs() : settings.pollMs;
    const dirty = [...this.#running.values()].some(({ task }) => task.openCount > 0);
    const waitMs = idle ? Math.max(0, Math.min(settings.pollMs, dirty ? untilCommit : settings.pollMs)) : 0;
    let batches: RecordBatch[];
    try {
      batches = await consumer.poll({
        recordsMax: settings.pollRecordsMax,
        waitMs: this.#restoring.size > 0 ? Math.min(waitMs, 10) : waitMs,
      });
    } catch (error) {
      await this.#recover(asStreamsError(error, 'BROKER_REQUEST_FAILED'));
      return;
    }
    for (const batch of batches) {
      const running = this.#taskOfPartition.get(partitionKey(batch.topic, batch.partition));
      if (running === undefined) continue;
      // Into the queue in any case: the queue's head is what keeps the committed offset below these records.
      running.task.enqueue(batch);
      running.unprepared.push(batch);
    }
  }

  /** Processes what is queued for a task and fires what is due; returns the number of records and timers. */
  async #work(running: RunningTask): Promise<number> {
    const { clock } = this.#options;
    if (!(await this.#prepare(running))) return 0;
    const { task } = running;
    let done = await task.processRound(roundRecordsMax);
    done += await task.fireEventTimers();
    await task.punctuateWallClock(clock.nowMs());
    done += await this.#fireWallTimers(running);
    if (task.takeCommitRequest()) this.#commitDueMs = 0;
    return done;
  }

  async #prepare(running: RunningTask): Promise<boolean> {
    if (running.unprepared.length === 0) return true;
    const { clock, log } = this.#options;
    if (clock.monotonicMs() < running.retryPrepareAtMs) return false;
    try {
      const wait = running.task.prepare(running.unprepared);
      if (wait !== undefined) await wait;
      running.unprepared = [];
      return true;
    } catch (error) {
      const failure = asStreamsError(error, 'REGISTRY_UNAVAILABLE');
      if (failure.kind !== 'retriable') throw failure;
      // An outage is not the record's fault: wait, keep the membership, skip nothing.
      log.warn('records wait for their schemas', { taskId: running.task.id }, failure);
      running.retryPrepareAtMs = clock.monotonicMs() + 1_000;
      return false;
    }
  }

  /**
   * A wall-clock timer that is due at t fires only after the inputs have been read up to ends fetched at or
   * after t: otherwise an outage would cancel orders whose payment waits in the topic.
   */
  async #fireWallTimers(running: RunningTask): Promise<number> {
    const { task } = running;
    const nowMs = this.#options.clock.nowMs();
    if (running.wall === undefined) {
      if (!task.hasDueWallTimers(nowMs)) return 0;
      try {
        // The uncommitted end: a record whose transaction is still ending is one that was there at t.
        const ends = await this.#options.broker.admin.endOffsets(task.plan.inputs, 'read_uncommitted');
        running.wall = { atMs: nowMs, ends };
      } catch {
        return 0;
      }
    }
    const { atMs, ends } = running.wall;
    const read = task.plan.inputs.every(
      (input, index) => task.nextOffset(input, this.#position) >= (ends[index] as number),
    );
    if (!read) return 0;
    running.wall = undefined;
    return task.fireWallTimers(atMs);
  }

  #commitIfDue(): void {
    // After a failure the sealed generation is still there, unstored: `step` recovers first.
    if (this.#commit !== undefined || this.#commitError !== undefined || this.#running.size === 0) return;
    const { clock, settings } = this.#options;
    const running = [...this.#running.values()];
    const open = running.reduce((sum, { task }) => sum + task.openCount, 0);
    if (clock.monotonicMs() < this.#commitDueMs && open < settings.commitRecordsMax) return;
    const dirty = running.map(({ task }) => task).filter((task) => task.isDirty(this.#position));
    this.#commitDueMs = clock.monotonicMs() + settings.commitIntervalMs;
    if (dirty.length > 0) this.#startCommit(dirty);
  }

  #startCommit(tasks: readonly StreamTask[]): void {
    this.#commit = this.commitCycle
      .commit(tasks, this.#memberOrThrow(), this.#position)
      .catch((error: unknown) => {
        this.#commitError = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      })
      .finally(() => {
        this.#commit = undefined;
      });
  }

  /** Everything uncommitted goes; every task starts again from what is committed. */
  async #recover(error: StreamsError): Promise<void> {
    const { clock, log } = this.#options;
    await this.#commit;
    this.#commitError = undefined;
    if (error.kind === 'fatal' && error.code === 'INVARIANT_BROKEN') throw error;
    if (error.kind === 'user') throw error;
    this.#failuresInRow++;
    const backoffMs = Math.min(recoverBackoffMsMax, 50 * 2 ** Math.min(this.#failuresInRow, 10));
    log.warn(
      'uncommitted work is discarded and done again',
      { code: error.code, tasks: this.#running.size, backoffMs },
      error,
    );
    const plans = [...this.#running.values()].map(({ task }) => task.plan);
    for (const plan of plans) await this.#dropTask(plan.taskId);
    this.#waiting.push(...plans);
    await clock.sleep(backoffMs);
  }

  /**
   * An initialised producer before anything is restored: its initialisation ends the transaction that a
   * failed commit left open, and until then neither the committed offsets nor the changelogs are stable.
   */
  async #haveProducer(): Promise<boolean> {
    if (this.#waiting.length === 0) return true;
    try {
      await this.commitCycle.open();
      return true;
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (failure.kind === 'user') throw failure;
      this.#options.log.warn('the producer is initialised again', { code: failure.code }, failure);
      await this.#options.clock.sleep(200);
      return false;
    }
  }

  async #onGroupEvent(event: GroupEvent): Promise<void> {
    const { plan, log } = this.#options;
    const plans = event.partitions.map((token) => must(plan.tasks[token], `token ${token} names no task`));
    log.info(`tasks ${event.type}`, { tasks: plans.map(({ taskId }) => taskId).join(' ') || 'none' });
    if (event.type === 'assigned') {
      this.#joined = true;
      this.#waiting.push(...plans);
    } else {
      if (event.type === 'revoked') await this.#commitBeforeRevoke(plans);
      else await this.#commit;
      for (const { taskId } of plans) await this.#dropTask(taskId);
    }
    await this.#memberOrThrow().acknowledge(event);
  }

  async #commitBeforeRevoke(plans: readonly TaskPlan[]): Promise<void> {
    await this.#commit;
    const revoked = new Set(plans.map(({ taskId }) => taskId));
    const dirty = [...this.#running.values()]
      .map(({ task }) => task)
      .filter((task) => revoked.has(task.id) && task.isDirty(this.#position));
    if (this.#commitError !== undefined || dirty.length === 0) return;
    this.#startCommit(dirty);
    await this.#commit;
  }

  /** Closes a task, running or restoring, without committing; its state stays on disk. */
  async #dropTask(taskId: string): Promise<void> {
    const waiting = this.#waiting.findIndex((plan) => plan.taskId === taskId);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    const restoring = this.#restoring.get(taskId);
    if (restoring !== undefined) {
      restoring.abandoned = true;
      await restoring.done;
      for (let ended = this.#restored.shift(); ended !== undefined; ended = this.#restored.shift())
        await ended();
    }
    const running = this.#running.get(taskId);
    if (running === undefined) return;
    this.#running.delete(taskId);
    for (const { topic, partition } of running.task.plan.inputs)
      this.#taskOfPartition.delete(partitionKey(topic, partition));
    await must(this.#consumer, 'the thread is not open').unassign(running.task.plan.inputs);
    running.task.discard();
    await running.task.close();
  }

  #startRestores(): void {
    while (this.#restoring.size < restoresMax) {
      const plan = this.#waiting.shift();
      if (plan === undefined) return;
      const progress: RestoreProgress = { taskId: plan.taskId, restored: 0, remaining: 0 };
      const restoring: Restoring = { progress, abandoned: false, done: Promise.resolve() };
      this.#restoring.set(plan.taskId, restoring);
      restoring.done = this.#restore(plan, restoring).then(
        (begin) => {
          this.#restored.push(async () => {
            this.#restoring.delete(plan.taskId);
            await begin();
          });
        },
        (error: unknown) => {
          this.#restored.push(async () => {
            this.#restoring.delete(plan.taskId);
            const failure = asStreamsError(error, 'INVARIANT_BROKEN');
            if (failure.kind !== 'retriable' && failure.kind !== 'abort' && failure.kind !== 'fenced')
              throw failure;
            if (restoring.abandoned) return;
            this.#options.log.warn('restore is tried again', { taskId: plan.taskId }, failure);
            await this.#options.clock.sleep(200);
            this.#waiting.push(plan);
          });
        },
      );
    }
  }

  /** Restores and returns what makes the task run; called by the loop, when nothing else is under way. */
  async #restore(plan: TaskPlan, restoring: Restoring): Promise<() => Promise<void>> {
    const { broker, log, openTaskBackend, destroyTaskBackend, settings } = this.#options;
    const began = this.#options.clock.monotonicMs();
    for (;;) {
      const state = new TaskState(
        await openTaskBackend(plan.taskId),
        plan.stores.map(({ spec }) => spec.name),
        settings.cacheEntriesMax,
      );
      try {
        const result = await restoreTask({
          broker,
          groupId: this.#options.plan.applicationId,
          plan,
          state,
          log,
          progress: restoring.progress,
          abandoned: () => restoring.abandoned,
        });
        if (result.outcome === 'rebuild') {
          log.warn('local state is rebuilt from the changelog', {
            taskId: plan.taskId,
            reason: result.reason,
          });
          await state.close();
          await destroyTaskBackend(plan.taskId);
          continue;
        }
        if (result.outcome === 'abandoned' || restoring.abandoned) {
          await state.close();
          return async () => {};
        }
        const ms = Math.round(this.#options.clock.monotonicMs() - began);
        return async () => {
          if (restoring.abandoned) await state.close();
          else await this.#beginTask(plan, state, result.committed, restoring.progress.restored, ms);
        };
      } catch (error) {
        await state.close();
        throw error;
      }
    }
  }

  async #beginTask(
    plan: TaskPlan,
    state: TaskState,
    committed: readonly { topic: string; offset: number }[],
    restored: number,
    ms: number,
  ): Promise<void> {
    const { settings, clock, log, failurePolicy } = this.#options;
    const task = new StreamTask({
      plan,
      applicationId: this.#options.plan.applicationId,
      partitionsOf: this.#options.plan.partitionsOf,
      state,
      clock,
      log,
      failurePolicy,
      timestampAheadMsMax: settings.timestampAheadMsMax,
    });
    await task.begin(committed);
    const offsetOf = new Map(committed.map(({ topic, offset }) => [topic, offset]));
    const running: RunningTask = { task, unprepared: [], retryPrepareAtMs: 0, wall: undefined };
    this.#running.set(plan.taskId, running);
    for (const { topic, partition } of plan.inputs)
      this.#taskOfPartition.set(partitionKey(topic, partition), running);
    await must(this.#consumer, 'the thread is not open').assign(
      plan.inputs.map((input) => ({ ...input, offset: offsetOf.get(input.topic) ?? 0 })),
    );
    log.info('task runs', { taskId: plan.taskId, restored, ms });
  }

  async #finalCommit(): Promise<void> {
    await this.#commit;
    if (this.#commitError !== undefined) return;
    const tasks = [...this.#running.values()].map(({ task }) => task);
    if (tasks.length === 0) return;
    // With the positions read anew, so that the next start replays nothing.
    this.commitCycle.refreshPositions();
    this.#startCommit(tasks);
    await this.#commit;
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
    await quietly('the commit', () => this.#commit);
    for (const taskId of [...this.#restoring.keys(), ...this.#running.keys()]) {
      await quietly(`task ${taskId}`, () => this.#dropTask(taskId));
    }
    await quietly('the producer', () => this.commitCycle.close());
    await quietly('the membership', () => this.#member?.close());
    await quietly('the consumer', () => this.#consumer?.close());
  }

  #memberOrThrow(): GroupMember {
    return must(this.#member, 'the thread is not open');
  }

  /** The running task that owns a partition of a topic, for queries. */
  ownerOf(topic: string, partition: number): StreamTask | undefined {
    return this.#taskOfPartition.get(partitionKey(topic, partition))?.task;
  }

  assignedPartitions(): TopicPartition[] {
    return [...this.#taskOfPartition.keys()].map(parsePartitionKey);
  }
}

/** Only these end an instance; everything else is recovered from. */
export function endsTheInstance(error: unknown): error is StreamsError {
  return error instanceof StreamsError && (error.kind === 'user' || error.kind === 'fatal');
}
