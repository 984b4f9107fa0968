/**
 * The tasks that take records: polls their inputs with one consumer, lets each process what it has, and closes
 * them. Called by the loop; it neither commits nor knows why a task comes or goes.
 *
 * Records lie in a task's queue from the moment they are polled: the queue's head is what keeps the committed
 * offset below them.
 */
import { must } from '../base/assert.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import { parsePartitionKey, partitionKey, type TopicPartition } from '../base/record.ts';
import type { Consumer, RecordBatch } from '../broker/broker-port.ts';
import type { StartOffset } from '../restore/start-offsets.ts';
import type { TaskState } from '../store/task-state.ts';
import { StreamTask } from '../task/stream-task.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import type { GlobalTables } from './global-tables.ts';
import { InputPatience } from './input-patience.ts';
import type { ThreadOptions } from './thread-options.ts';
import { WallClockGate } from './wall-clock-gate.ts';

interface RunningTask {
  readonly task: StreamTask;
  readonly wallClock: WallClockGate;
  /** Batches whose schemas are still to be fetched: nothing is processed before they are here. */
  unprepared: RecordBatch[];
  /** Their schemas are being asked for, beside the loop. */
  preparing: boolean;
  prepareError: StreamsError | undefined;
  retryPrepareAtMs: number;
  readonly patience: InputPatience;
  /** Inputs that are not polled: the task waits for schemas, calls or another input, and has enough queued. */
  paused: readonly TopicPartition[];
}

const roundRecordsMax = 1_000;
/** A registry that is away is asked again after so long. */
const retryPrepareMs = 1_000;
/** While something beside the loop is to be looked after, a poll waits no longer. */
const busyPollMs = 10;

export class RunningTasks {
  /** What tasks that have left this instance had counted. */
  readonly closedCounters = { processed: 0, deadLettered: 0 };
  readonly #options: ThreadOptions;
  readonly #stop: AbortSignal;
  readonly #globals: GlobalTables | undefined;
  readonly #running = new Map<string, RunningTask>();
  readonly #taskOfPartition = new Map<string, RunningTask>();
  #consumer: Consumer | undefined;
  /** Average of what came last: how many records of that size still fit. */
  #recordBytes = 1;

  constructor(options: ThreadOptions, stop: AbortSignal, globals: GlobalTables | undefined) {
    this.#options = options;
    this.#stop = stop;
    this.#globals = globals;
  }

  async open(): Promise<void> {
    const { broker, settings } = this.#options;
    this.#consumer ??= await broker.openConsumer({
      isolation: 'read_committed',
      clientId: settings.clientId,
    });
  }

  get size(): number {
    return this.#running.size;
  }

  tasks(): StreamTask[] {
    return [...this.#running.values()].map(({ task }) => task);
  }

  /** Records and changes that wait for the next commit. */
  get openCount(): number {
    let open = 0;
    for (const { task } of this.#running.values()) open += task.openCount;
    return open;
  }

  /** The running task that owns a partition of a topic, for queries. */
  ownerOf(topic: string, partition: number): StreamTask | undefined {
    return this.#taskOfPartition.get(partitionKey(topic, partition))?.task;
  }

  assignedPartitions(): TopicPartition[] {
    return [...this.#taskOfPartition.keys()].map(parsePartitionKey);
  }

  /** Where the consumer stands in an input. */
  readonly position = (input: TopicPartition): number => this.#consumerOrThrow().position(input);

  /** Starts a task on its restored state; when that fails the state is closed. */
  async begin(plan: TaskPlan, state: TaskState, committed: readonly StartOffset[]): Promise<void> {
    const { settings, clock, log, failurePolicy, broker } = this.#options;
    const task = new StreamTask({
      plan,
      applicationId: this.#options.plan.applicationId,
      partitionsOf: this.#options.plan.partitionsOf,
      state,
      globals: this.#globals?.stores,
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
      wallClock: new WallClockGate(broker, clock),
      unprepared: [],
      preparing: false,
      prepareError: undefined,
      retryPrepareAtMs: 0,
      patience: new InputPatience(settings.maxTaskIdleMs, clock),
      paused: [],
    };
    this.#running.set(plan.taskId, running);
    for (const { topic, partition } of plan.inputs)
      this.#taskOfPartition.set(partitionKey(topic, partition), running);
    await this.#consumerOrThrow().assign(
      plan.inputs.map((input) => ({ ...input, offset: offsetOf.get(input.topic) ?? 0 })),
    );
  }

  /** Closes a task without committing; its state stays on disk. False when it does not run here. */
  async drop(taskId: string): Promise<boolean> {
    const running = this.#running.get(taskId);
    if (running === undefined) return false;
    this.#running.delete(taskId);
    for (const { topic, partition } of running.task.plan.inputs)
      this.#taskOfPartition.delete(partitionKey(topic, partition));
    await this.#consumerOrThrow().unassign(running.task.plan.inputs);
    this.closedCounters.processed += running.task.counters.processed;
    this.closedCounters.deadLettered += running.task.counters.deadLettered;
    running.task.discard();
    try {
      await running.task.close();
    } catch (error) {
      this.#options.log.warn('closing a task failed', { taskId }, error);
    }
    return true;
  }

  /**
   * Brings records into the queues. `untilCommitMs`: when the loop has to be back if something waits for a
   * commit. `busy`: something else is under way that it has to look after.
   */
  async poll(untilCommitMs: number, busy: boolean): Promise<void> {
    const { settings, clock } = this.#options;
    let queued = 0;
    let queuedBytes = 0;
    let pausedBytes = 0;
    let idle = true;
    let gated = false;
    const isFull = this.#isFull();
    for (const running of this.#running.values()) {
      const { task, unprepared, preparing, wallClock } = running;
      this.#pauseWhileWaiting(running, isFull);
      // What a task holds that is paused, or that waits for an input, must not keep that one or the others from reading.
      if (running.paused.length > 0 || task.waitsForInputs) pausedBytes += task.queuedBytes;
      else {
        queued += task.queued;
        queuedBytes += task.queuedBytes;
      }
      const waits = task.waitsForCalls || task.waitsForInputs;
      if (unprepared.length === 0 && task.queued > 0 && !waits) idle = false;
      if (wallClock.waiting || preparing || waits) gated = true;
    }
    if (queued >= settings.bufferedRecordsMax || queuedBytes >= settings.bufferedBytesMax) {
      // Full of records that wait for their schemas or calls: nothing to do, and no reason to spin.
      if (idle)
        await clock.sleep(gated ? Math.min(settings.pollMs, busyPollMs) : settings.pollMs, this.#stop);
      return;
    }
    const dirty = this.openCount > 0;
    const waitMs = idle ? Math.max(0, Math.min(settings.pollMs, dirty ? untilCommitMs : settings.pollMs)) : 0;
    // The others go on reading beside paused tasks, in smaller bites.
    const roomBytes = Math.max(
      settings.bufferedBytesMax - queuedBytes - pausedBytes,
      settings.bufferedBytesMax / 8,
    );
    const room = Math.ceil(roomBytes / this.#recordBytes);
    const recordsMax = Math.min(settings.pollRecordsMax, room);
    const batches = await this.#pollPatiently(
      recordsMax,
      busy || gated ? Math.min(waitMs, busyPollMs) : waitMs,
    );
    for (const batch of batches) {
      const running = this.#taskOfPartition.get(partitionKey(batch.topic, batch.partition));
      if (running === undefined) continue;
      // Into the queue in any case: the queue's head is what keeps the committed offset below these records.
      running.task.enqueue(batch);
      running.patience.arrived(batch.topic);
      running.unprepared.push(batch);
      this.#recordBytes = Math.max(1, running.task.queuedBytes / running.task.queued);
    }
  }

  async #pollPatiently(recordsMax: number, waitMs: number): Promise<RecordBatch[]> {
    const { settings, clock, log } = this.#options;
    try {
      return await this.#consumerOrThrow().poll({ recordsMax, waitMs });
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (failure.kind !== 'retriable') throw failure;
      // The positions stand: to poll again is all there is to do.
      log.warn('the inputs cannot be read now', { code: failure.code }, failure);
      await clock.sleep(settings.pollMs, this.#stop);
      return [];
    }
  }

  /** Every task processes what is queued and fires what is due. True when one of them asks for a commit. */
  async work(): Promise<boolean> {
    let commitRequested = false;
    for (const running of this.#running.values()) {
      await this.#workOn(running);
      if (running.task.takeCommitRequest()) commitRequested = true;
    }
    return commitRequested;
  }

  async #workOn(running: RunningTask): Promise<void> {
    const { clock } = this.#options;
    const { task } = running;
    try {
      if (!this.#prepare(running)) return;
      await task.processRound(roundRecordsMax, (input) =>
        running.patience.mayPass(input, () => this.#consumerOrThrow().atEnd(input)),
      );
      await task.fireEventTimers();
      await task.punctuateWallClock(clock.nowMs());
      await running.wallClock.fire(task, this.position);
    } catch (error) {
      throw damageOf(task.id, error);
    }
  }

  /**
   * True when the schemas of everything queued are at hand. They are fetched beside the loop: a registry that
   * is slow or away holds up the tasks that need it and no other.
   */
  #prepare(running: RunningTask): boolean {
    if (running.prepareError !== undefined) throw running.prepareError;
    if (running.preparing) return false;
    const count = running.unprepared.length;
    if (count === 0) return true;
    if (this.#options.clock.monotonicMs() < running.retryPrepareAtMs) return false;
    let wait: Promise<unknown> | undefined;
    try {
      wait = running.task.prepare(running.unprepared);
    } catch (error) {
      wait = Promise.reject(error);
    }
    if (wait === undefined) {
      running.unprepared = [];
      return true;
    }
    running.preparing = true;
    wait
      .then(
        () => {
          // Later batches may have come meanwhile.
          running.unprepared = running.unprepared.slice(count);
        },
        (error: unknown) => this.#prepareFailed(running, asStreamsError(error, 'REGISTRY_UNAVAILABLE')),
      )
      .finally(() => {
        running.preparing = false;
      });
    return false;
  }

  #prepareFailed(running: RunningTask, failure: StreamsError): void {
    if (failure.kind !== 'retriable') {
      running.prepareError = failure;
      return;
    }
    const { clock, log } = this.#options;
    // An outage is not the record's fault: wait, keep the membership, skip nothing.
    log.warn('records wait for their schemas', { taskId: running.task.id }, failure);
    running.retryPrepareAtMs = clock.monotonicMs() + retryPrepareMs;
  }

  /** All tasks together have queued what they may. */
  #isFull(): boolean {
    const { bufferedRecordsMax, bufferedBytesMax } = this.#options.settings;
    let records = 0;
    let bytes = 0;
    for (const { task } of this.#running.values()) {
      records += task.queued;
      bytes += task.queuedBytes;
    }
    return records >= bufferedRecordsMax || bytes >= bufferedBytesMax;
  }

  #pauseWhileWaiting(running: RunningTask, isFull: boolean): void {
    const { task, unprepared } = running;
    const { pollRecordsMax, bufferedBytesMax } = this.#options.settings;
    const hasEnough = task.queued >= pollRecordsMax || task.queuedBytes >= bufferedBytesMax / 4;
    // Calls come and go all the time: once paused, half of it has to go before the client is asked for more.
    const hasHalf = task.queued >= pollRecordsMax / 2 || task.queuedBytes >= bufferedBytesMax / 8;
    const isPaused = running.paused.length > 0;
    if (task.waitsForInputs) {
      // The input that it waits for has to be read on, or it would wait for ever; so would many tasks that each wait
      // with a little, and together fill the buffers.
      this.#pauseOnly(running, hasEnough || isFull || isPaused ? task.queuedInputs : []);
      return;
    }
    const isHeldUp = unprepared.length > 0 || task.waitsForCalls;
    const shouldPause =
      (isHeldUp && (hasEnough || isFull)) || (task.hasAsyncSteps && (hasEnough || (isPaused && hasHalf)));
    this.#pauseOnly(running, shouldPause ? task.plan.inputs : []);
  }

  #pauseOnly(running: RunningTask, inputs: readonly TopicPartition[]): void {
    const { paused } = running;
    const isIn = (list: readonly TopicPartition[], { topic }: TopicPartition): boolean =>
      list.some((other) => other.topic === topic);
    const gone = paused.filter((input) => !isIn(inputs, input));
    const added = inputs.filter((input) => !isIn(paused, input));
    if (gone.length > 0) this.#consumerOrThrow().resume(gone);
    if (added.length > 0) this.#consumerOrThrow().pause(added);
    running.paused = inputs;
  }

  async close(): Promise<void> {
    await this.#consumer?.close();
  }

  #consumerOrThrow(): Consumer {
    return must(this.#consumer, 'the thread is not open');
  }
}

/** Damage is a task's: whoever recovers has to know whose. Other errors stay as they are. */
function damageOf(taskId: string, error: unknown): unknown {
  if (!(error instanceof StreamsError) || error.code !== 'STORE_CORRUPTED') return error;
  const { code, kind, message } = error;
  return new StreamsError(code, message, { context: { ...error.context, taskId }, cause: error, kind });
}
