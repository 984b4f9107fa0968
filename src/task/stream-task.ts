/**
 * One partition of one sub-topology at work: queues, processors, stores, timers and outputs of that
 * partition and nothing else. The thread feeds it records and asks it to process; the commit cycle seals
 * and stores it. It never talks to the broker.
 *
 * A round: choose up to n records by the smallest head timestamp ▸ decode ▸ load what they will read (one
 * getMany a store) ▸ process each without a single await. A record is atomic: a savepoint over changes,
 * outputs and timers is rolled back when its processing throws.
 */
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { OutgoingRecord, PartitionOffset, RecordBatch } from '../broker/broker-port.ts';
import { deadLetterHeaders, deadLetterTopic } from '../failure/dead-letter.ts';
import { decideReaction, type FailurePolicy } from '../failure/failure-policy.ts';
import type { PunctuationType, TimerClock } from '../graph/processor.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import { type CallCounters, CallFailure } from './async-calls.ts';
import { AsyncSteps } from './async-steps.ts';
import { AtomicWork } from './atomic-work.ts';
import { Collector } from './collector.ts';
import type { GlobalStores } from './global-stores.ts';
import { type DroppedRecord, ProcessorGraph } from './processor-graph.ts';
import type { QueuedRecord, RecordQueue } from './record-queue.ts';
import { recordBytes, recordBytesMax } from './record-size.ts';
import { type DecodedRecord, TaskInputs } from './task-inputs.ts';
import type { TaskPlan } from './task-plan.ts';
import { inputClock, TimerIndex, writtenClock } from './timer-index.ts';
import { StateMiss } from './typed-stores.ts';

export interface TaskOptions {
  readonly plan: TaskPlan;
  readonly applicationId: string;
  readonly partitionsOf: ReadonlyMap<string, number>;
  readonly state: TaskState;
  /** Of the instance; undefined where the topology has none. */
  readonly globals?: GlobalStores | undefined;
  /** Records and stored values cannot be changed in place; for tests. */
  readonly frozen?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly failurePolicy: FailurePolicy;
  /** A record further ahead of the wall clock does not advance stream time (one bad clock would fire every timer). */
  readonly timestampAheadMsMax: number;
}

/** What one task gives to a transaction. */
export interface SealedTask {
  readonly outputs: readonly OutgoingRecord[];
  readonly changelog: readonly OutgoingRecord[];
  /** The next offset to process, of the inputs where it has moved; at least one. */
  readonly offsets: readonly PartitionOffset[];
}

export interface TaskCounters {
  processed: number;
  deadLettered: number;
  dropped: number;
  timersFired: number;
}

const noCalls: CallCounters = { attempts: 0, retries: 0, failed: 0 };
/** Unmoved offsets are committed again after so long: far below what any broker forgets them in. */
const allOffsetsEveryMs = 600_000;

export class StreamTask {
  readonly plan: TaskPlan;
  readonly state: TaskState;
  readonly counters: TaskCounters = { processed: 0, deadLettered: 0, dropped: 0, timersFired: 0 };
  readonly #inputs: TaskInputs;
  readonly #work: AtomicWork;
  readonly #collector: Collector;
  readonly #timers: TimerIndex;
  readonly #graph: ProcessorGraph;
  /** Undefined where the topology has none. */
  readonly #asyncSteps: AsyncSteps<DecodedRecord> | undefined;
  readonly #options: TaskOptions;
  /** Offsets that the group has committed, by topic; undefined before the first commit. */
  readonly #committed = new Map<string, number>();
  /** What the work at hand has dropped. */
  readonly #drops: DroppedRecord[] = [];
  #streamTimeMs = -1;
  #current: QueuedRecord | undefined;
  #commitRequested = false;
  /** Monotonic; when the offsets of all inputs were last given to a commit. */
  #allOffsetsMs = Number.NEGATIVE_INFINITY;

  constructor(options: TaskOptions) {
    this.#options = options;
    this.plan = options.plan;
    this.state = options.state;
    this.#collector = new Collector(options.applicationId, options.partitionsOf);
    this.#timers = new TimerIndex(options.state.generations(options.plan.taskStore));
    this.#inputs = new TaskInputs(options.plan, options.applicationId, () => this.#streamTimeMs);
    this.#work = new AtomicWork({
      taskId: options.plan.taskId,
      state: options.state,
      globals: options.globals,
      collector: this.#collector,
      timers: this.#timers,
      drops: this.#drops,
    });
    this.#graph = new ProcessorGraph({
      plan: options.plan,
      applicationId: options.applicationId,
      state: options.state,
      globals: options.globals,
      frozen: options.frozen ?? false,
      timers: this.#timers,
      collector: this.#collector,
      clock: options.clock,
      currentRecord: () => this.#current,
      streamTimeMs: () => this.#streamTimeMs,
      dropped: (drop) => this.#drops.push(drop),
      requestCommit: () => {
        this.#commitRequested = true;
      },
      resultOf: (step) => must(this.#asyncSteps, 'a task without async steps has no results').resultOf(step),
    });
    this.#asyncSteps = AsyncSteps.of<DecodedRecord>({
      ...options,
      processorOf: (step) => this.#graph.asyncProcessor(step),
      decode: (source, queued) => this.#inputs.decode(source, queued),
    });
  }

  get id(): string {
    return this.plan.taskId;
  }

  get queued(): number {
    return this.#inputs.queued;
  }

  /** Roughly the bytes of what is queued. */
  get queuedBytes(): number {
    return this.#inputs.queuedBytes;
  }

  get timerCount(): number {
    return this.#timers.count;
  }

  get streamTimeMs(): number {
    return this.#streamTimeMs;
  }

  /** Records and changes that wait for the next commit. */
  get openCount(): number {
    return this.state.openCount + this.#collector.openCount;
  }

  get hasAsyncSteps(): boolean {
    return this.#asyncSteps !== undefined;
  }

  /** True while the next record waits for calls of its async steps: until one ends there is nothing to do. */
  get waitsForCalls(): boolean {
    return this.#asyncSteps?.waiting ?? false;
  }

  /** True while queued records wait for an input that has none: until it brings one, or may be passed over. */
  get waitsForInputs(): boolean {
    return this.#inputs.waiting;
  }

  /** Inputs of which records are queued. */
  get queuedInputs(): TopicPartition[] {
    return [...this.#inputs.queues].filter(({ count }) => count > 0);
  }

  /** Calls of async steps, and how many are under way now. */
  get calls(): CallCounters & { readonly underWay: number } {
    const { counters, callsUnderWay } = this.#asyncSteps ?? { counters: noCalls, callsUnderWay: 0 };
    return { ...counters, underWay: callsUnderWay };
  }

  /** For drivers without a loop; see `AsyncSteps.nextChange`. */
  nextCallChange(): Promise<void> | undefined {
    return this.#asyncSteps?.nextChange();
  }

  takeCommitRequest(): boolean {
    const requested = this.#commitRequested;
    this.#commitRequested = false;
    return requested;
  }

  /** Reads timers and clocks from the restored store. Called before the first record and after an abort. */
  async begin(
    committed: readonly { readonly topic: string; readonly offset: number; readonly chosen?: true }[],
  ): Promise<void> {
    await this.#timers.load(this.state.scanCommitted(this.plan.taskStore, 1_000));
    this.#streamTimeMs = this.#timers.clock('stream') ?? -1;
    this.#committed.clear();
    this.#allOffsetsMs = Number.NEGATIVE_INFINITY;
    for (const { topic, offset, chosen } of committed)
      if (chosen !== true) this.#committed.set(topic, offset);
    this.#clearQueues();
    this.#graph.init();
  }

  enqueue(batch: RecordBatch): void {
    this.#inputs.enqueue(batch);
  }

  /** Schemas and the like that the queued records need; undefined when all is at hand. */
  prepare(batches: readonly RecordBatch[]): Promise<unknown> | undefined {
    return this.#inputs.prepare(batches);
  }

  /**
   * Processes up to `recordsMax` queued records; returns how many. Fewer when one waits for its calls, or for an
   * input without a record that `mayPass` does not let it go past.
   */
  async processRound(
    recordsMax: number,
    mayPass: (input: TopicPartition) => boolean = () => true,
  ): Promise<number> {
    this.#asyncSteps?.lookAhead(this.#inputs.queues);
    const round = this.#inputs.choose(recordsMax, (queue) => this.#take(queue), mayPass);
    if (round.length === 0) return 0;
    const requests: LoadRequest[] = [];
    for (const { source, record } of round)
      if (record !== undefined) this.#graph.collectReads(source, record, requests);
    await this.#work.load(requests);
    for (const decoded of round) {
      const slow = this.#processOne(decoded);
      if (slow !== undefined) await slow;
    }
    this.#work.endRound();
    return round.length;
  }

  /** Stream-time punctuators and timers of clocks that records drive; called after each round. */
  async fireEventTimers(): Promise<number> {
    await this.#punctuate('stream-time', this.#streamTimeMs);
    const stream = await this.#fireDue('stream', this.#streamTimeMs);
    return stream + (await this.#fireDue('watermark', this.#timers.clock('watermark') ?? -1));
  }

  hasDueWallTimers(nowMs: number): boolean {
    return this.#timers.due('wall', nowMs) !== undefined;
  }

  /** When the next wall-clock timer is due; undefined when there is none. */
  nextWallTimerMs(): number | undefined {
    return this.#timers.due('wall', Number.POSITIVE_INFINITY)?.dueMs;
  }

  /** Order: only when the inputs have been read up to ends fetched at or after `nowMs`. */
  fireWallTimers(nowMs: number): Promise<number> {
    return this.#fireDue('wall', nowMs);
  }

  punctuateWallClock(nowMs: number): Promise<void> {
    return this.#punctuate('wall-clock-time', nowMs);
  }

  /** The offset up to which the input is processed: the queue's head, else where the consumer stands. */
  nextOffset(input: TopicPartition, position: (input: TopicPartition) => number): number {
    return this.#inputs.nextOffset(input, position);
  }

  /** True when there is anything that a commit would change. */
  isDirty(position: (input: TopicPartition) => number): boolean {
    if (this.openCount > 0) return true;
    return this.plan.inputs.some(
      (input) => this.nextOffset(input, position) !== (this.#committed.get(input.topic) ?? 0),
    );
  }

  /** Step 1 of the commit cycle. Order: at a record boundary, with no poll in flight. */
  seal(position: (input: TopicPartition) => number): SealedTask {
    if (this.#timers.clock('stream') !== this.#streamTimeMs && this.#streamTimeMs >= 0)
      this.#timers.setClock('stream', this.#streamTimeMs);
    const next = this.plan.inputs.map((input) => ({ ...input, offset: this.nextOffset(input, position) }));
    // Into the changelog too: the broker may forget the group's offsets, and a new disk knows none.
    for (const { topic, offset } of next) this.#timers.setClock(inputClock(topic), offset);
    const offsets = this.#offsetsToCommit(next);
    for (const { spec } of this.plan.stores) {
      if (spec.name !== this.plan.taskStore && this.state.generations(spec.name).openCount > 0)
        this.#timers.setClock(writtenClock(spec.name), 1);
    }
    const outputs = this.#collector.seal();
    const changelogOf = new Map(this.plan.stores.map(({ spec, changelog }) => [spec.name, changelog]));
    const changelog: OutgoingRecord[] = [];
    const timestamp = Math.max(1, this.#options.clock.nowMs());
    for (const { store, writes } of this.state.seal()) {
      const topic = changelogOf.get(store);
      if (topic === undefined) continue;
      for (const { key, value } of writes) {
        changelog.push({ topic, partition: this.plan.partition, key, value, timestamp, headers: [] });
      }
    }
    this.#timers.sealed();
    return { outputs, changelog, offsets };
  }

  /**
   * Those that have moved, and one in any case, because it is what fences a zombie. The Kafka client never frees
   * what it is given here, so an input that stands still is named only now and then, before the broker forgets it.
   */
  #offsetsToCommit(next: readonly PartitionOffset[]): readonly PartitionOffset[] {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#allOffsetsMs >= allOffsetsEveryMs) {
      this.#allOffsetsMs = nowMs;
      return next;
    }
    const moved = next.filter(({ topic, offset }) => this.#committed.get(topic) !== offset);
    return moved.length > 0 ? moved : next.slice(0, 1);
  }

  /** Step 4, after the transaction has committed. `changelogPositions`: proven lower bounds, if any are new. */
  async storeSealed(sealed: SealedTask, changelogPositions: ReadonlyMap<string, number>): Promise<void> {
    const meta = new Map<string, string>();
    for (const { topic, offset } of sealed.offsets) meta.set(`input/${topic}`, String(offset));
    for (const [topic, offset] of changelogPositions) {
      meta.set(`changelog/${topic}`, String(offset));
      meta.set(`changelog-at/${topic}`, String(this.#options.clock.nowMs()));
    }
    for (const { topic, offset } of sealed.offsets) this.#committed.set(topic, offset);
    for (const { spec } of this.plan.stores) {
      const offset = spec.restoredFrom && this.#committed.get(spec.restoredFrom.topic);
      if (spec.restoredFrom === undefined || offset === undefined) continue;
      // No bound but the very position: the batch holds what the records before it have changed.
      meta.set(`changelog/${spec.restoredFrom.topic}`, String(offset));
      meta.set(`changelog-at/${spec.restoredFrom.topic}`, String(this.#options.clock.nowMs()));
    }
    await this.state.storeSealed(meta);
  }

  /** Forgets all that is not committed; `begin` has to follow. */
  discard(): void {
    this.state.discard();
    this.#collector.discard();
    this.#clearQueues();
    this.#current = undefined;
  }

  #clearQueues(): void {
    this.#asyncSteps?.discard();
    this.#inputs.clear();
  }

  async close(): Promise<void> {
    this.#graph.close();
    await this.state.close();
  }

  #take(queue: RecordQueue): DecodedRecord | undefined {
    if (this.#asyncSteps !== undefined) return this.#asyncSteps.take(queue);
    return this.#inputs.decode(queue.source, must(queue.shift(), 'an empty queue was chosen'));
  }

  /** A promise only where a read was slow: one for every record would cost as much as processing it. */
  #processOne(decoded: DecodedRecord): Promise<void> | undefined {
    const { queued, source, record, error } = decoded;
    this.counters.processed++;
    if (record === undefined) {
      this.#park(queued, 'deserialization', must(error, 'a record is decoded or has an error'));
      return undefined;
    }
    if (record.timestamp < 0) {
      this.counters.dropped++;
      return undefined;
    }
    if (record.timestamp <= this.#options.clock.nowMs() + this.#options.timestampAheadMsMax) {
      this.#streamTimeMs = Math.max(this.#streamTimeMs, record.timestamp);
    }
    this.#current = queued;
    const work = (): void => {
      this.#asyncSteps?.beginRecord(decoded);
      this.#graph.process(source, record);
    };
    const failure = this.#work.attempt(work);
    if (failure instanceof StateMiss)
      return this.#work.again(work, failure).then((later) => this.#processed(queued, later));
    this.#processed(queued, failure);
    return undefined;
  }

  #processed(queued: QueuedRecord, failure: StreamsError | undefined): void {
    this.#current = undefined;
    this.#asyncSteps?.endRecord();
    this.#tellDrops(queued);
    if (failure !== undefined) this.#park(queued, 'processing', failure);
  }

  /** Only now: a record that is processed again after a slow read is dropped once all the same. */
  #tellDrops(queued: QueuedRecord | undefined): void {
    for (const { node, reason, details } of this.#drops) {
      this.counters.dropped++;
      const where = queued === undefined ? { taskId: this.id } : this.#inputs.originOf(queued);
      this.#options.log.warn('record dropped', { ...where, node, reason, ...details });
    }
    this.#drops.length = 0;
  }

  #park(queued: QueuedRecord, stage: 'deserialization' | 'processing', error: StreamsError): void {
    const where = this.#inputs.originOf(queued);
    const own = error instanceof CallFailure ? error.reaction : undefined;
    if (decideReaction(stage, error, this.#options.failurePolicy, own) === 'stop') {
      throw error.context.topic === undefined
        ? new StreamsError(error.code, error.message, { context: where, cause: error, kind: error.kind })
        : error;
    }
    const { batch, index } = queued;
    this.counters.deadLettered++;
    this.#options.log.warn('record dead-lettered', { ...where, code: error.code, reason: error.message });
    const key = batch.key(index);
    const value = batch.value(index);
    const headers = deadLetterHeaders(batch.headers(index), error, where);
    this.#collector.sendRaw({
      topic: deadLetterTopic(where.topic),
      partition: where.partition,
      key,
      // With the reason it may be larger than the broker takes; then the origin has to say what it was.
      value: recordBytes(key, value, headers) > recordBytesMax ? null : value,
      timestamp: Math.max(1, batch.timestamp(index)),
      headers,
    });
  }

  async #fireDue(clock: TimerClock, nowMs: number): Promise<number> {
    let fired = 0;
    for (;;) {
      // In rounds, so that state for many timers is loaded at once; firing one may schedule or cancel others.
      const round = this.#timers.peekDue(clock, nowMs, 500);
      if (round.length === 0) return fired;
      const requests: LoadRequest[] = [];
      for (const timer of round) this.#graph.collectTimerReads(timer, requests);
      await this.#work.load(requests);
      for (const timer of round) {
        if (!this.#timers.isLive(timer)) continue;
        const failure = await this.#work.run(() => {
          this.#timers.cancel(timer);
          this.#graph.fireTimer(timer);
        });
        if (failure !== undefined) throw this.#withoutRecord(failure, `timer ${timer.name}`, timer.node);
        this.#tellDrops(undefined);
        fired++;
        this.counters.timersFired++;
      }
      this.#work.endRound();
    }
  }

  async #punctuate(type: PunctuationType, nowMs: number): Promise<void> {
    const due = this.#graph.duePunctuations(type, nowMs);
    if (due.length === 0) return;
    for (const call of due) {
      const failure = await this.#work.run(call);
      if (failure !== undefined) throw this.#withoutRecord(failure, `a ${type} punctuator`, undefined);
      this.#tellDrops(undefined);
    }
    this.#work.endRound();
  }

  /**
   * A timer or punctuator has no record to park: a processor that cannot take it is broken, and losing it
   * in silence would leave an order waiting for ever. What is not its fault is done again.
   */
  #withoutRecord(failure: StreamsError, what: string, node: string | undefined): StreamsError {
    if (failure.kind !== 'poison') return failure;
    const context = { taskId: this.id, ...(node === undefined ? {} : { node }) };
    const sentence = `${what}${node === undefined ? '' : ` of ${node}`} failed: ${failure.message}`;
    return new StreamsError('PROCESSING_FAILED', sentence, { context, cause: failure, kind: 'fatal' });
  }
}
