/**
 * The async steps of one task. A step's call is a read of the outside world, made ahead: while a record still
 * lies in its queue its calls are found (call-planner.ts) and made (async-calls.ts); when its turn comes and
 * all of them have ended, it leaves the queue and is processed with their results at hand, as synchronously as
 * any other. So results are applied in input order, the queue's head holds the committed offset below every
 * record whose calls are not applied, and whatever is lost in a crash is called again.
 *
 * Called by StreamTask, which never awaits a call. Never writes state or outputs.
 */
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import { type AsyncNodeProcessor, idempotencyKey } from '../graph/async-step.ts';
import type { ProcessorNode, SourceNode } from '../graph/node.ts';
import type { Record, RecordMetadata } from '../graph/processor.ts';
import { AsyncCalls, type CallCounters, type CallOutcome, type PlannedCall } from './async-calls.ts';
import { CallPlanner } from './call-planner.ts';
import type { QueuedRecord, RecordQueue } from './record-queue.ts';
import type { TaskPlan } from './task-plan.ts';

/** A record of a queue as the task decodes it. */
export interface Decoded {
  readonly queued: QueuedRecord;
  readonly source: SourceNode;
  /** Undefined: it could not be decoded. */
  readonly record: Record<unknown, unknown> | undefined;
}

export interface AsyncStepsOptions<D extends Decoded> {
  readonly plan: TaskPlan;
  readonly applicationId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The step's processor that is at work in the task. */
  readonly processorOf: (step: string) => AsyncNodeProcessor;
  readonly decode: (source: SourceNode, queued: QueuedRecord) => D;
}

/** A record that still lies in its queue, and its calls so far, by step. */
interface Held<D> {
  decoded: D;
  readonly calls: Map<string, PlannedCall[]>;
  /** Calls that have not ended. */
  pending: number;
  /** A result has come that decides about further calls. */
  stale: boolean;
}

/** The calls of one step in one task, and how many are under way now. */
export interface StepCalls extends Readonly<CallCounters> {
  readonly step: string;
  readonly underWay: number;
}

/** Records that are looked at ahead, for each call that a step may have under way: results wait there for the head. */
const aheadPerCall = 4;

export class AsyncSteps<D extends Decoded> {
  readonly #counters = new Map<string, CallCounters>();
  readonly #options: AsyncStepsOptions<D>;
  readonly #planner: CallPlanner;
  readonly #calls = new Map<string, AsyncCalls>();
  /** Of each queue the records from its head on that have been looked at. */
  readonly #held = new Map<RecordQueue, Held<D>[]>();
  readonly #heldOf = new WeakMap<D, Held<D>>();
  readonly #aheadMax: number;
  /** The record that is being applied, and how many results of each step it has taken. */
  #applied: Held<D> | undefined;
  readonly #taken = new Map<string, number>();
  /** The head at which the task stopped because its calls had not ended. */
  #blockedAt: Held<D> | undefined;
  #wake: (() => void)[] = [];

  /** Undefined for a task without such steps, which then pays nothing for them. */
  static of<D extends Decoded>(options: AsyncStepsOptions<D>): AsyncSteps<D> | undefined {
    const steps = options.plan.subtopology.processors.some(({ asyncStep }) => asyncStep !== undefined);
    return steps ? new AsyncSteps(options) : undefined;
  }

  private constructor(options: AsyncStepsOptions<D>) {
    this.#options = options;
    this.#planner = new CallPlanner(options);
    let aheadMax = 0;
    for (const node of options.plan.subtopology.processors) {
      if (node.asyncStep === undefined) continue;
      aheadMax += node.asyncStep.concurrencyMax * aheadPerCall;
      this.#calls.set(node.name, this.#newCalls(node));
    }
    this.#aheadMax = aheadMax;
  }

  /** True while the record whose turn it is waits for calls: the task has nothing to do until one ends. */
  get waiting(): boolean {
    return this.#blockedAt !== undefined && this.#blockedAt.pending > 0;
  }

  /** Order: as the steps stand in the topology. */
  calls(): StepCalls[] {
    return [...this.#calls].map(([step, calls]) => ({
      step,
      ...must(this.#counters.get(step), `${step} is not counted`),
      underWay: calls.runningCount,
    }));
  }

  /** Finds and makes calls of records that come later. Order: once a round, all queued records decodable. */
  lookAhead(queues: Iterable<RecordQueue>): void {
    for (const queue of queues) {
      if (!this.#planner.concerns(queue.source)) continue;
      const held = this.#heldIn(queue);
      for (const each of held) if (each.stale) this.#plan(each);
      while (held.length < this.#aheadMax && held.length < queue.count) this.#hold(queue, held);
    }
  }

  /** Takes the queue's head when all its calls have ended; undefined when it has to wait for them. */
  take(queue: RecordQueue): D | undefined {
    this.#blockedAt = undefined;
    if (!this.#planner.concerns(queue.source))
      return this.#options.decode(queue.source, must(queue.shift(), 'an empty queue has no turn'));
    const held = this.#heldIn(queue);
    const head = held[0] ?? this.#hold(queue, held);
    if (queue.source.timestampExtractor !== undefined) {
      // It may look at the stream time, which has moved since the record was looked at ahead.
      head.decoded = this.#options.decode(queue.source, head.decoded.queued);
      head.stale = true;
    }
    if (head.stale) this.#plan(head);
    if (head.pending > 0) {
      this.#blockedAt = head;
      return undefined;
    }
    held.shift();
    queue.shift();
    this.#heldOf.set(head.decoded, head);
    return head.decoded;
  }

  /** Before each run of a record through the graph: its results are handed out from the first one. */
  beginRecord(decoded: D): void {
    this.#applied = this.#heldOf.get(decoded);
    this.#taken.clear();
  }

  endRecord(): void {
    this.#applied = undefined;
  }

  /** The next result of a step for the record that is being processed. Errors: those of the call. */
  readonly resultOf = (step: string): Exclude<CallOutcome, { type: 'failed' }> => {
    const ordinal = this.#taken.get(step) ?? 0;
    this.#taken.set(step, ordinal + 1);
    const outcome = this.#applied?.calls.get(step)?.[ordinal]?.outcome;
    if (outcome === undefined) {
      throw new StreamsError(
        'PROCESSING_FAILED',
        `the async step ${step} was reached by a record without a call`,
        {
          context: { node: step },
          hint: 'functions above an async step must give the same for the same record',
        },
      );
    }
    if (outcome.type === 'failed') throw outcome.error;
    return outcome;
  };

  /** The task lets go of its records: calls are aborted, and what they give is ignored. */
  discard(): void {
    for (const calls of this.#calls.values()) calls.abort();
    this.#held.clear();
    this.#blockedAt = undefined;
    this.#applied = undefined;
    this.#changed();
  }

  /**
   * For drivers without a loop: resolves when something about the calls changes. Undefined when nothing will,
   * unless the clock moves on.
   */
  nextChange(): Promise<void> | undefined {
    if (![...this.#calls.values()].some((calls) => calls.active)) return undefined;
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #newCalls(node: ProcessorNode): AsyncCalls {
    const { clock, log, processorOf } = this.#options;
    const counters: CallCounters = { attempts: 0, retries: 0, failed: 0, timedOut: 0, busyMs: 0 };
    this.#counters.set(node.name, counters);
    return new AsyncCalls({
      name: node.name,
      step: must(node.asyncStep, `${node.name} is no async step`),
      processor: processorOf(node.name),
      clock,
      log,
      counters,
      onChange: () => this.#changed(),
    });
  }

  #heldIn(queue: RecordQueue): Held<D>[] {
    const known = this.#held.get(queue);
    if (known !== undefined) return known;
    const held: Held<D>[] = [];
    this.#held.set(queue, held);
    return held;
  }

  /** Looks at the next record of the queue and makes its calls. */
  #hold(queue: RecordQueue, held: Held<D>[]): Held<D> {
    const queued = must(queue.at(held.length), 'a record is looked at that is not queued');
    const decoded = this.#options.decode(queue.source, queued);
    const each: Held<D> = { decoded, calls: new Map(), pending: 0, stale: false };
    this.#plan(each);
    held.push(each);
    return each;
  }

  #plan(held: Held<D>): void {
    held.stale = false;
    const { record, source, queued } = held.decoded;
    // It will be parked or dropped.
    if (record === undefined || record.timestamp < 0) return;
    const { batch, index } = queued;
    const origin = { topic: batch.topic, partition: batch.partition, offset: batch.offset(index) };
    const reached = new Map<string, number>();
    try {
      this.#planner.plan(source, record, (step, input) => {
        const ordinal = reached.get(step.name) ?? 0;
        reached.set(step.name, ordinal + 1);
        const calls = held.calls.get(step.name) ?? [];
        held.calls.set(step.name, calls);
        const call = calls[ordinal] ?? this.#newCall(held, step.name, input, origin, ordinal);
        calls[ordinal] = call;
        return call.outcome;
      });
    } catch (error) {
      if (error instanceof StreamsError && error.kind === 'user') throw error;
      // The record will throw the same when its turn comes, and be dealt with then.
    }
  }

  #newCall(
    held: Held<D>,
    step: string,
    record: Record<unknown, unknown>,
    origin: RecordMetadata,
    ordinal: number,
  ): PlannedCall {
    held.pending++;
    const call: PlannedCall = {
      record,
      origin,
      idempotencyKey: idempotencyKey(this.#options.applicationId, step, origin, ordinal),
      onSettled: () => {
        held.pending--;
        if (this.#planner.decidesMore(step)) held.stale = true;
      },
      outcome: undefined,
    };
    must(this.#calls.get(step), `${step} makes no calls`).add(call);
    return call;
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }
}
