/**
 * Lets a task's wall-clock timers fire at the right moment: one that is due at t fires only after the inputs
 * have been read up to ends fetched at or after t. Otherwise an outage would cancel orders whose payment waits
 * in the topic. One gate per running task; the ends are fetched beside the loop, which a broker that is away
 * must not stop.
 */
import type { Clock } from '../base/clock-port.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { StreamTask } from '../task/stream-task.ts';
import { retryMs } from './thread-options.ts';

interface EndsFetch {
  readonly atMs: number;
  ends: readonly number[] | undefined;
}

export class WallClockGate {
  readonly #broker: Broker;
  readonly #clock: Clock;
  /** Input ends fetched, or being fetched, for timers that are due. */
  #fetch: EndsFetch | undefined;
  #retryAtMs = 0;

  constructor(broker: Broker, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
  }

  /** True while timers wait for ends, or for the inputs to be read up to them. */
  get waiting(): boolean {
    return this.#fetch !== undefined;
  }

  /** Fires what is due and may be. Called once a turn. */
  async fire(task: StreamTask, position: (input: TopicPartition) => number): Promise<void> {
    if (this.#fetch === undefined) this.#fetchEnds(task);
    const { atMs, ends } = this.#fetch ?? {};
    if (atMs === undefined || ends === undefined) return;
    const read = task.plan.inputs.every(
      (input, index) => task.nextOffset(input, position) >= (ends[index] as number),
    );
    if (!read) return;
    this.#fetch = undefined;
    // A clock that was set back meanwhile decides: a timer that starts itself anew would else be due again at once.
    await task.fireWallTimers(Math.min(atMs, this.#clock.nowMs()));
  }

  #fetchEnds(task: StreamTask): void {
    const atMs = this.#clock.nowMs();
    if (this.#clock.monotonicMs() < this.#retryAtMs || !task.hasDueWallTimers(atMs)) return;
    const fetch: EndsFetch = { atMs, ends: undefined };
    this.#fetch = fetch;
    // The uncommitted end: a record whose transaction is still ending is one that was there at t.
    this.#broker.admin.endOffsets(task.plan.inputs, 'read_uncommitted').then(
      (ends) => {
        fetch.ends = ends;
      },
      () => {
        this.#fetch = undefined;
        this.#retryAtMs = this.#clock.monotonicMs() + retryMs;
      },
    );
  }
}
