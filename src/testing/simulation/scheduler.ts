/**
 * The one clock and the one queue of a simulated cluster. Everything that waits for anything waits here, so a
 * seed decides the order of all that happens, and the same seed gives the same run twice.
 *
 * Between two events all promises that can go on do so (real promises need turns of the event loop). That holds
 * only while nothing in the simulation waits for real I/O: no files, sockets or timers.
 */
import type { Clock, Random } from '../../base/clock-port.ts';
import { wallClock } from '../../base/wall-clock.ts';

/** What events may belong to: they wait while it is paused, and are dropped when it is dead. */
export interface EventOwner {
  readonly state: 'up' | 'paused' | 'dead';
  /** Takes an event that comes up while paused. */
  hold(event: SimulationEvent): void;
}

export interface SimulationEvent {
  atMs: number;
  readonly order: number;
  readonly owner: EventOwner | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

/** Milliseconds since the epoch at which every simulation begins. */
export const simulationStartMs = 1_700_000_000_000;

export class SimulationScheduler {
  readonly random: Random;
  /** Virtual milliseconds since the start; fractions order what falls into one. */
  #nowMs = 0;
  #order = 0;
  readonly #heap: SimulationEvent[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, run: () => void, owner?: EventOwner): SimulationEvent {
    const event: SimulationEvent = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      owner,
      run,
      cancelled: false,
    };
    this.#push(event);
    return event;
  }

  /** Puts held events back, in the order in which they came up. */
  release(events: readonly SimulationEvent[]): void {
    for (const event of events) {
      event.atMs = this.#nowMs;
      this.#push(event);
    }
  }

  /** Runs until the condition holds (true) or the virtual time is over (false). */
  async run(until: () => boolean, deadlineMs: number): Promise<boolean> {
    while (!until()) {
      const event = this.#pop();
      if (event === undefined) return until();
      if (event.atMs > deadlineMs) {
        this.#push(event);
        this.#nowMs = deadlineMs;
        return until();
      }
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      if (event.cancelled || event.owner?.state === 'dead') continue;
      if (event.owner?.state === 'paused') {
        event.owner.hold(event);
        continue;
      }
      event.run();
      await wallClock.yield();
    }
    return true;
  }

  /** A clock on this time. Shape: `skewMs` is added to the wall clock only, as a wrong clock of a host would be. */
  clock(owner: EventOwner | undefined, skewMs: () => number = () => 0): Clock {
    return {
      nowMs: () => simulationStartMs + Math.floor(this.#nowMs) + skewMs(),
      monotonicMs: () => Math.floor(this.#nowMs),
      sleep: (delayMs, signal) => this.#sleep(delayMs, signal, owner),
      yield: () => this.#sleep(this.random.next() * 0.5, undefined, owner, true),
    };
  }

  #sleep(delayMs: number, signal: AbortSignal | undefined, owner: EventOwner | undefined, always = false) {
    if (signal?.aborted === true || (delayMs <= 0 && !always)) return Promise.resolve();
    // Never: nobody will wake it but the signal.
    const dueMs = Number.isFinite(delayMs) ? delayMs : 1e12;
    return new Promise<void>((resolve) => {
      const wake = (): void => {
        event.cancelled = true;
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const event = this.schedule(dueMs, wake, owner);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  #before(a: SimulationEvent, b: SimulationEvent): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #push(event: SimulationEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as SimulationEvent;
      if (!this.#before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): SimulationEvent | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || top === last) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && this.#before(right, heap[child] as SimulationEvent)) child++;
      if (!this.#before(heap[child] as SimulationEvent, last)) break;
      heap[at] = heap[child] as SimulationEvent;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
