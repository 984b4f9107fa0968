/** The real clock with a wall that a test moves: jumps, back steps, skew. What is monotonic stays so. */
import type { Clock } from '../../src/base/clock-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';

export class ShiftedClock implements Clock {
  /** Added to the wall's time. */
  shiftMs: number;
  /** The shortest sleep that was asked for. */
  leastSleepMs = Number.POSITIVE_INFINITY;
  /** The longest. */
  mostSleepMs = 0;

  constructor(shiftMs = 0) {
    this.shiftMs = shiftMs;
  }

  nowMs(): number {
    return wallClock.nowMs() + this.shiftMs;
  }

  monotonicMs(): number {
    return wallClock.monotonicMs();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    this.leastSleepMs = Math.min(this.leastSleepMs, delayMs);
    this.mostSleepMs = Math.max(this.mostSleepMs, delayMs);
    return wallClock.sleep(delayMs, signal);
  }

  yield(): Promise<void> {
    return wallClock.yield();
  }
}
