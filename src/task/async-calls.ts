/**
 * The calls of one async step in one task: at most so many at a time, one at a time per key, each with a
 * time-out and retries. Used by async-steps.ts; knows nothing of records' order or of commits.
 *
 * Calls run beside the loop: nothing here is awaited by it, and no promise of a call is left without a handler.
 */
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Reaction } from '../failure/failure-policy.ts';
import { retryWaitMs } from '../failure/retry.ts';
import type { AsyncNodeProcessor, AsyncStep } from '../graph/async-step.ts';
import type { Record, RecordMetadata } from '../graph/processor.ts';

/** What came of a call, its retries included. `skipped`: it failed, and the step goes on without it. */
export type CallOutcome =
  | { readonly type: 'result'; readonly result: unknown }
  | { readonly type: 'skipped' }
  | { readonly type: 'failed'; readonly error: StreamsError };

/** A call that has failed for good, with what its step wants done about the record. */
export class CallFailure extends StreamsError {
  readonly reaction: Reaction | undefined;

  constructor(sentence: string, options: ConstructorParameters<typeof StreamsError>[2], reaction?: Reaction) {
    super('CALL_FAILED', sentence, options);
    this.reaction = reaction;
  }
}

/** One call from its planning to its outcome. */
export interface PlannedCall {
  readonly record: Record<unknown, unknown>;
  readonly origin: RecordMetadata;
  readonly idempotencyKey: string;
  readonly onSettled: () => void;
  outcome: CallOutcome | undefined;
}

export interface CallCounters {
  /** Tries, the first ones and the others. */
  attempts: number;
  retries: number;
  /** Calls whose tries were used up. */
  failed: number;
  /** Tries that ended with their time-out. */
  timedOut: number;
  /** What tries that have ended took, all together; milliseconds. */
  busyMs: number;
}

export interface AsyncCallsOptions {
  readonly name: string;
  readonly step: AsyncStep;
  readonly processor: AsyncNodeProcessor;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: CallCounters;
  /** Something has changed: a call has ended, or waits for its next try. */
  readonly onChange: () => void;
}

interface WaitingCall {
  readonly call: PlannedCall;
  /** Its bytes; undefined where keys do not matter, and for none. */
  readonly key: string | undefined;
}

interface RunningCall extends WaitingCall {
  readonly stop: AbortController;
  /** Monotonic; when the next try is made. Undefined while one is under way. */
  againAtMs: number | undefined;
}

type Attempt = { readonly result: unknown } | { readonly thrown: unknown };

export class AsyncCalls {
  readonly #options: AsyncCallsOptions;
  /** In input order. */
  readonly #waiting: WaitingCall[] = [];
  readonly #running = new Set<RunningCall>();
  readonly #busyKeys = new Set<string>();

  constructor(options: AsyncCallsOptions) {
    this.#options = options;
  }

  /** Order: in input order; it is made as soon as there is room and no call of its key is under way. */
  add(call: PlannedCall): void {
    let key: string | undefined;
    try {
      key = this.#options.step.keySerde?.serialize(call.record.key, call.origin.topic)?.toString('latin1');
    } catch (error) {
      call.outcome = { type: 'failed', error: asStreamsError(error, 'VALUE_NOT_SERIALIZABLE') };
      call.onSettled();
      return;
    }
    this.#waiting.push({ call, key });
    this.#startSome();
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** True while a call is being made; a call that waits for its next try needs nothing but time. */
  get active(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    for (const { againAtMs } of this.#running) if (againAtMs === undefined || againAtMs <= nowMs) return true;
    return false;
  }

  /** Aborts everything; what comes back all the same is ignored. */
  abort(): void {
    this.#waiting.length = 0;
    for (const { stop } of this.#running) stop.abort(new Error('the task has left this instance'));
    this.#running.clear();
    this.#busyKeys.clear();
  }

  #startSome(): void {
    for (let index = 0; index < this.#waiting.length; ) {
      if (this.#running.size >= this.#options.step.concurrencyMax) return;
      const { call, key } = this.#waiting[index] as WaitingCall;
      if (key !== undefined && this.#busyKeys.has(key)) {
        index++;
        continue;
      }
      this.#waiting.splice(index, 1);
      const running: RunningCall = { call, key, stop: new AbortController(), againAtMs: undefined };
      this.#running.add(running);
      if (key !== undefined) this.#busyKeys.add(key);
      this.#run(running).catch((error: unknown) => this.#broken(running, error));
    }
  }

  /** Never rejects but by a mistake of ours, and then the record must not wait for ever. */
  #broken(running: RunningCall, error: unknown): void {
    this.#settle(running, { type: 'failed', error: asStreamsError(error, 'INVARIANT_BROKEN') });
  }

  async #run(running: RunningCall): Promise<void> {
    const { clock, step, counters } = this.#options;
    const { stop } = running;
    for (let attempt = 1; ; attempt++) {
      counters.attempts++;
      const beganMs = clock.monotonicMs();
      const ended = await this.#attempt(running, attempt);
      if (stop.signal.aborted) return;
      counters.busyMs += clock.monotonicMs() - beganMs;
      if ('result' in ended) return this.#settle(running, { type: 'result', result: ended.result });
      const { thrown } = ended;
      const waitMs = retryWaitMs(thrown instanceof StreamsError ? thrown : undefined, attempt, step);
      if (waitMs === undefined) return this.#settle(running, this.#failed(running.call, thrown, attempt));
      counters.retries++;
      running.againAtMs = clock.monotonicMs() + waitMs;
      this.#options.onChange();
      await clock.sleep(waitMs, stop.signal);
      if (stop.signal.aborted) return;
      running.againAtMs = undefined;
    }
  }

  /** One try; it ends at the latest with its time-out or with the task. */
  async #attempt(running: RunningCall, attempt: number): Promise<Attempt> {
    const { clock, step, name, counters } = this.#options;
    const controller = new AbortController();
    const timer = new AbortController();
    const onStop = (): void => {
      controller.abort(running.stop.signal.reason);
      timer.abort();
    };
    running.stop.signal.addEventListener('abort', onStop, { once: true });
    const timedOut = clock.sleep(step.timeoutMs, timer.signal).then((): Attempt => {
      if (!timer.signal.aborted) counters.timedOut++;
      const { origin } = running.call;
      const sentence = `a call of ${name} did not answer within ${step.timeoutMs} ms`;
      return { thrown: new StreamsError('CALL_TIMED_OUT', sentence, { context: { ...origin, node: name } }) };
    });
    try {
      const ended = await Promise.race([this.#invoke(running.call, attempt, controller.signal), timedOut]);
      // Has no effect on a call that has ended.
      if ('thrown' in ended) controller.abort(ended.thrown);
      return ended;
    } finally {
      timer.abort();
      running.stop.signal.removeEventListener('abort', onStop);
    }
  }

  async #invoke(
    { record, origin, idempotencyKey }: PlannedCall,
    attempt: number,
    signal: AbortSignal,
  ): Promise<Attempt> {
    try {
      const { topic, partition, offset } = origin;
      const result = await this.#options.processor.call(record, {
        topic,
        partition,
        offset,
        idempotencyKey,
        attempt,
        signal,
      });
      return { result };
    } catch (thrown) {
      return { thrown };
    }
  }

  #failed({ origin }: PlannedCall, thrown: unknown, attempts: number): CallOutcome {
    const { name, step, log, counters } = this.#options;
    counters.failed++;
    // Says something about the instance and not about the record.
    if (thrown instanceof StreamsError && thrown.kind !== 'poison' && thrown.kind !== 'retriable')
      return { type: 'failed', error: thrown };
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const sentence = `the call of ${name} failed ${attempts === 1 ? 'once' : `${attempts} times`}: ${reason}`;
    const context = { ...origin, node: name };
    if (step.onFailure === 'skip') {
      log.warn('a call is skipped', { ...context, attempts, reason });
      return { type: 'skipped' };
    }
    return { type: 'failed', error: new CallFailure(sentence, { context, cause: thrown }, step.onFailure) };
  }

  #settle(running: RunningCall, outcome: CallOutcome): void {
    if (!this.#running.delete(running)) return;
    if (running.key !== undefined) this.#busyKeys.delete(running.key);
    running.call.outcome = outcome;
    running.call.onSettled();
    this.#startSome();
    this.#options.onChange();
  }
}
