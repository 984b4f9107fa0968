/**
 * A process of a simulated cluster: what its calls to the outside go through. Each call takes time before and
 * after it is carried out, and at both moments the process may be struck by a fault: that is what makes every
 * await of the engine a place where it can crash.
 */
import type { Clock, Random } from '../../base/clock-port.ts';
import { StreamsError } from '../../base/errors.ts';
import type { CommitStep, FaultKind } from './faults.ts';
import type { EventOwner, SimulationEvent, SimulationScheduler } from './scheduler.ts';

/** What a call does when it fails in one of the two ways. */
export interface CallFailure {
  readonly error: () => StreamsError;
}

/** Asked at each side of each call. `request lost` and `answer lost` concern this call; the rest is done by then. */
export type Strike = (
  process: SimulatedProcess,
  step: CommitStep,
  side: 'request' | 'answer',
) => FaultKind | undefined;

export class SimulatedProcess implements EventOwner {
  readonly name: string;
  readonly scheduler: SimulationScheduler;
  readonly clock: Clock;
  readonly #strike: Strike;
  #state: 'up' | 'paused' | 'dead' = 'up';
  #held: SimulationEvent[] = [];
  skewMs = 0;
  /** Virtual time until which it cannot reach the broker. */
  cutUntilMs = 0;
  /** Virtual time until which its disk takes no writes. */
  diskFullUntilMs = 0;
  /** One read of its disk will fail. */
  diskError = false;
  /** Its next transactional request will be carried out twice. */
  duplicateNext = false;

  constructor(name: string, scheduler: SimulationScheduler, strike: Strike) {
    this.name = name;
    this.scheduler = scheduler;
    this.#strike = strike;
    this.clock = scheduler.clock(this, () => this.skewMs);
  }

  get state(): 'up' | 'paused' | 'dead' {
    return this.#state;
  }

  get random(): Random {
    return this.scheduler.random;
  }

  get cut(): boolean {
    return this.scheduler.nowMs < this.cutUntilMs;
  }

  hold(event: SimulationEvent): void {
    this.#held.push(event);
  }

  pause(): void {
    if (this.#state === 'up') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'up';
    this.scheduler.release(this.#held);
    this.#held = [];
  }

  /** What it waits for will never come. */
  kill(): void {
    this.#state = 'dead';
    this.#held = [];
  }

  /**
   * Carries a call out. `failure` says how it fails when its request or its answer is lost.
   * Never settles when the process dies meanwhile.
   */
  async call<T>(step: CommitStep, work: () => Promise<T>, failure: () => StreamsError): Promise<T> {
    await this.#travel(0);
    const before = this.#strike(this, step, 'request');
    // Struck dead or stopped: this goes on when it is resumed, or never.
    if (before !== undefined) await this.#travel(before === 'delay' ? this.#longMs() : 0);
    if (before === 'request lost') throw failure();
    const result = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.#travel(0);
    const after = this.#strike(this, step, 'answer');
    if (after !== undefined) await this.#travel(after === 'delay' ? this.#longMs() : 0);
    if (before === 'answer lost' || after === 'answer lost' || after === 'request lost') throw failure();
    if ('error' in result) throw result.error;
    return result.value;
  }

  /** Some time passes; longer now and then, so that calls of several processes change places. */
  #travel(extraMs: number): Promise<void> {
    const { random } = this;
    const latencyMs = random.next() < 0.05 ? random.next() * 20 : random.next() * 0.4;
    return new Promise((resolve) => {
      this.scheduler.schedule(latencyMs + extraMs, resolve, this);
    });
  }

  #longMs(): number {
    return 200 + this.random.next() * 4_000;
  }
}

export function unavailable(what: string): StreamsError {
  return new StreamsError('BROKER_UNAVAILABLE', `${what}: the broker cannot be reached (simulated)`);
}
