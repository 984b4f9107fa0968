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
import { asStreamsError, type ErrorCode, StreamsError } from '../base/errors.ts';
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
  /** Unchanged offsets are committed again after so long, or the broker forgets them. */
  readonly recommitMs: number;
  /** What closing may take when the loop has failed. */
  readonly shutdownMsMax: number;
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
  /** Input ends fetched, or being fetched, for wall-clock timers that are due. */
  wall: { readonly atMs: number; ends: readonly number[] | undefined } | undefined;
  retryWallAtMs: number;
  /** Monotonic; when its offsets were last given to a commit. */
  committedMs: number;
}

interface Restoring {
  readonly progress: RestoreProgress;
  abandoned: boolean;
  done: Promise<void>;
}

const roundRecordsMax = 1_000;
/** Restores at once: each may hold a client of its own. */
const restoresMax = 4;
/** Below the few milliseconds that a commit takes on Kafka, above what would spin. */
const commitLookMs = 3;
const recoverBackoffMsMax = 5_000;
const retryMs = 200;

export class StreamThread {
  readonly commitCycle: CommitCycle;
  /** What tasks that have left this instance had counted. */
  readonly closedCounters = { processed: 0, deadLettered: 0 };
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
  readonly #stop = new AbortController();
  /** Monotonic; the pause after a failure, during which the loop goes on and the membership lives. */
  #restoreNotBeforeMs = 0;
  /** Tasks whose local state is proven damaged. */
  readonly #damaged = new Set<string>();
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
    this.#stop.abort();
    for (const restoring of this.#restoring.values()) restoring.abandoned = true;
  }

  /** Runs until asked to stop; resolves after a clean close. Errors: of kind `user` or `fatal`, after closing. */
  async run(): Promise<void> {
    try {
      await this.#openPatiently();
      while (!this.#stop.signal.aborted) await this.step();
      await this.#finalCommit();
    } finally {
      await this.#closeInTime();
    }
  }

  async open(): Promise<void> {
    const { broker, plan, settings } = this.#options;
    // Before any offset or changelog is read: ends an open transaction of our own predecessor.
    await this.commitCycle.open();
    this.#consumer ??= await broker.openConsumer({
      isolation: 'read_committed',
      clientId: settings.clientId,
    });
    this.#member ??= await broker.joinGroup({
      groupId: plan.applicationId,
      topic: plan.tokenTopic,
      sessionTimeoutMs: settings.sessionTimeoutMs,
      ...(settings.instanceId === undefined ? {} : { instanceId: settings.instanceId }),
    });
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
    for (const event of await this.#groupEvents()) await this.#onGroupEvent(event);
    try {
      await this.#turn();
    } catch (error) {
      await this.#recover(asStreamsError(error, 'INVARIANT_BROKEN'));
    }
    await this.#options.clock.yield();
  }

  async #turn(): Promise<void> {
    const { clock, settings } = this.#options;
    await this.#beginRestored();
    if (this.#commitError !== undefined) await this.#recover(this.#commitError);
    if (clock.monotonicMs() >= this.#restoreNotBeforeMs && (await this.#haveProducer()))
      this.#startRestores();
    if (this.#commit !== undefined && this.#openCount() >= 2 * settings.commitRecordsMax) {
      // A commit that hangs must not fill the memory with what waits for the next one.
      await Promise.race([this.#commit, clock.sleep(settings.pollMs, this.#stop.signal)]);
      return;
    }
    await this.#pollRecords();
    for (const running of this.#running.values()) await this.#work(running);
    this.#commitIfDue();
  }

  async #groupEvents(): Promise<GroupEvent[]> {
    try {
      return await this.#memberOrThrow().poll(0);
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (failure.kind !== 'retriable') throw failure;
      this.#options.log.warn('the group does not answer', { code: failure.code }, failure);
      return [];
    }
  }

  #openCount(): number {
    let open = 0;
    for (const { task } of this.#running.values()) open += task.openCount;
    return open;
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
    if (queued >= settings.bufferedRecordsMax) {
      // Full of records that wait for their schemas: nothing to do, and no reason to spin.
      if (idle) await clock.sleep(settings.pollMs, this.#stop.signal);
      return;
    }
    // With a commit in flight the next one can begin as soon as it ends, which nothing but a look tells.
    const untilCommit = this.#commit === undefined ? this.#commitDueMs - clock.monotonicMs() : commitLookMs;
    const dirty = this.#openCount() > 0;
    const waitMs = idle ? Math.max(0, Math.min(settings.pollMs, dirty ? untilCommit : settings.pollMs)) : 0;
    // Restores and fetched ends come in beside the poll: look after them often.
    const inFlight = this.#restoring.size > 0 || [...this.#running.values()].some(({ wall }) => wall);
    let batches: RecordBatch[];
    try {
      batches = await consumer.poll({
        recordsMax: settings.pollRecordsMax,
        waitMs: inFlight ? Math.min(waitMs, 10) : waitMs,
      });
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (failure.kind !== 'retriable') throw failure;
      // The positions stand: to poll again is all there is to do.
      this.#options.log.warn('the inputs cannot be read now', { code: failure.code }, failure);
      await clock.sleep(settings.pollMs, this.#stop.signal);
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

  /** Processes what is queued for a task and fires what is due. */
  async #work(running: RunningTask): Promise<void> {
    const { clock } = this.#options;
    const { task } = running;
    try {
      if (!(await this.#prepare(running))) return;
      await task.processRound(roundRecordsMax);
      await task.fireEventTimers();
      await task.punctuateWallClock(clock.nowMs());
      await this.#fireWallTimers(running);
    } catch (error) {
      if (error instanceof StreamsError && error.code === 'STORE_CORRUPTED') this.#damaged.add(task.id);
      throw error;
    }
    if (task.takeCommitRequest()) this.#commitDueMs = 0;
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
  async #fireWallTimers(running: RunningTask): Promise<void> {
    const { task } = running;
    if (running.wall === undefined) this.#fetchWallEnds(running);
    const { atMs, ends } = running.wall ?? {};
    if (atMs === undefined || ends === undefined) return;
    const read = task.plan.inputs.every(
      (input, index) => task.nextOffset(input, this.#position) >= (ends[index] as number),
    );
    if (!read) return;
    running.wall = undefined;
    await task.fireWallTimers(atMs);
  }

  /** Beside the loop: a broker that is away must not stop it. */
  #fetchWallEnds(running: RunningTask): void {
    const { clock, broker } = this.#options;
    const atMs = clock.nowMs();
    if (clock.monotonicMs() < running.retryWallAtMs || !running.task.hasDueWallTimers(atMs)) return;
    const wall: NonNullable<RunningTask['wall']> = { atMs, ends: undefined };
    running.wall = wall;
    // The uncommitted end: a record whose transaction is still ending is one that was there at t.
    broker.admin.endOffsets(running.task.plan.inputs, 'read_uncommitted').then(
      (ends) => {
        wall.ends = ends;
      },
      () => {
        running.wall = undefined;
        running.retryWallAtMs = clock.monotonicMs() + retryMs;
      },
    );
  }

  #commitIfDue(): void {
    // After a failure the sealed generation is still there, unstored: `step` recovers first.
    if (this.#commit !== undefined || this.#commitError !== undefined || this.#running.size === 0) return;
    const { clock, settings } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#commitDueMs && this.#openCount() < settings.commitRecordsMax) return;
    const due = [...this.#running.values()].filter(
      ({ task, committedMs }) => task.isDirty(this.#position) || nowMs - committedMs >= settings.recommitMs,
    );
    this.#commitDueMs = nowMs + settings.commitIntervalMs;
    if (due.length > 0) this.#startCommit(due.map(({ task }) => task));
  }

  #startCommit(tasks: readonly StreamTask[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const { id } of tasks) {
      const running = this.#running.get(id);
      if (running !== undefined) running.committedMs = nowMs;
    }
    this.#commit = this.commitCycle
      .commit(tasks, this.#memberOrThrow(), this.#position)
      .then(() => {
        this.#failuresInRow = 0;
      })
      .catch((error: unknown) => {
        this.#commitError = asStreamsError(error, 'BROKER_REQUEST_FAILED');
        const { code, context } = this.#commitError;
        if (code === 'STORE_CORRUPTED' && context.taskId !== undefined) this.#damaged.add(context.taskId);
      })
      .finally(() => {
        this.#commit = undefined;
      });
  }

  /** Everything uncommitted goes; every task starts again from what is committed. */
  async #recover(error: StreamsError): Promise<void> {
    const { clock, log } = this.#options;
    await this.#commit;
    for (const each of [error, this.#commitError]) {
      if (each !== undefined && endsTheInstance(each)) throw each;
    }
    this.#commitError = undefined;
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
    // Without sleeping: the membership is polled on, and a stop is heard.
    this.#restoreNotBeforeMs = clock.monotonicMs() + backoffMs;
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
      if (endsTheInstance(failure)) throw failure;
      this.#options.log.warn('the producer is initialised again', { code: failure.code }, failure);
      this.#restoreNotBeforeMs = this.#options.clock.monotonicMs() + retryMs;
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
      await this.#beginRestored();
    }
    const running = this.#running.get(taskId);
    if (running === undefined) return;
    this.#running.delete(taskId);
    for (const { topic, partition } of running.task.plan.inputs)
      this.#taskOfPartition.delete(partitionKey(topic, partition));
    await must(this.#consumer, 'the thread is not open').unassign(running.task.plan.inputs);
    this.closedCounters.processed += running.task.counters.processed;
    this.closedCounters.deadLettered += running.task.counters.deadLettered;
    running.task.discard();
    try {
      await running.task.close();
    } catch (error) {
      this.#options.log.warn('closing a task failed', { taskId }, error);
    }
  }

  async #beginRestored(): Promise<void> {
    for (let ended = this.#restored.shift(); ended !== undefined; ended = this.#restored.shift())
      await ended();
  }

  #startRestores(): void {
    while (this.#restoring.size < restoresMax) {
      const plan = this.#waiting.shift();
      if (plan === undefined) return;
      const progress: RestoreProgress = { taskId: plan.taskId, restored: 0, remaining: 0 };
      const restoring: Restoring = { progress, abandoned: false, done: Promise.resolve() };
      this.#restoring.set(plan.taskId, restoring);
      restoring.done = this.#restore(plan, restoring)
        .catch((error: unknown) => () => Promise.reject(error))
        .then((begin) => {
          this.#restored.push(async () => {
            this.#restoring.delete(plan.taskId);
            try {
              await begin();
            } catch (error) {
              this.#restoreFailed(plan, restoring, asStreamsError(error, 'INVARIANT_BROKEN'));
            }
          });
        });
    }
  }

  #restoreFailed(plan: TaskPlan, restoring: Restoring, failure: StreamsError): void {
    const { log, clock } = this.#options;
    if (failure.code === 'STORE_CORRUPTED') this.#damaged.add(plan.taskId);
    if (!restoring.abandoned && endsTheInstance(failure)) throw failure;
    log.warn('a restore failed', { taskId: plan.taskId, code: failure.code }, failure);
    if (restoring.abandoned) return;
    this.#waiting.push(plan);
    this.#restoreNotBeforeMs = clock.monotonicMs() + retryMs;
  }

  /** Restores and returns what makes the task run; called by the loop, when nothing else is under way. */
  async #restore(plan: TaskPlan, restoring: Restoring): Promise<() => Promise<void>> {
    const { broker, log, openTaskBackend, destroyTaskBackend, settings } = this.#options;
    const began = this.#options.clock.monotonicMs();
    for (;;) {
      if (this.#damaged.delete(plan.taskId)) {
        log.warn('local state is rebuilt from the changelog', { taskId: plan.taskId, reason: 'damaged' });
        await destroyTaskBackend(plan.taskId);
      }
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
          nowMs: this.#options.clock.nowMs(),
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
    try {
      await task.begin(committed);
    } catch (error) {
      await state.close();
      throw error;
    }
    const offsetOf = new Map(committed.map(({ topic, offset }) => [topic, offset]));
    const running: RunningTask = {
      task,
      unprepared: [],
      retryPrepareAtMs: 0,
      wall: undefined,
      retryWallAtMs: 0,
      committedMs: clock.monotonicMs(),
    };
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
    const tasks = [...this.#running.values()].map(({ task }) => task);
    if (this.#commitError === undefined && tasks.length > 0) {
      this.#startCommit(tasks);
      await this.#commit;
      // A position covers what was stored before its commit: an empty one proves the last, and the next start
      // replays nothing.
      if (this.#commitError === undefined) {
        this.commitCycle.refreshPositions();
        this.#startCommit(tasks);
        await this.#commit;
      }
    }
    const failure: StreamsError | undefined = this.#commitError;
    if (failure !== undefined)
      this.#options.log.warn('the last commit failed; its work will be done again', {}, failure);
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

/** Errors of kind `fatal` that say something about the client or the broker: a new client may do. */
const fatalForTheClient: ReadonlySet<ErrorCode> = new Set([
  'BROKER_REQUEST_FAILED',
  'OFFSET_OUT_OF_RANGE',
  'TRANSACTION_STATE_INVALID',
]);

/**
 * Only these end an instance; everything else is recovered from. `poison` that comes as far as the loop was
 * either decided by the failure policy (`stop`) or would fail every commit from now on.
 */
export function endsTheInstance(error: StreamsError): boolean {
  if (error.kind === 'user' || error.kind === 'poison') return true;
  return error.kind === 'fatal' && !fatalForTheClient.has(error.code);
}
