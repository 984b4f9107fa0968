/**
 * Whether a task may go on without a record of an input that has none queued (`max.task.idle.ms` in Kafka Streams):
 * the record that it would bring may be the earlier one. Used by running-tasks.ts, one for each task.
 */
import type { Clock } from '../base/clock-port.ts';
import type { TopicPartition } from '../base/record.ts';

export class InputPatience {
  readonly #maxTaskIdleMs: number;
  readonly #clock: Clock;
  /** By topic: until when its end is waited at. Monotonic. */
  readonly #deadlineMs = new Map<string, number>();

  /** `maxTaskIdleMs`: -1 waits for nothing, 0 for what is on the broker, more also that long for what may come. */
  constructor(maxTaskIdleMs: number, clock: Clock) {
    this.#maxTaskIdleMs = maxTaskIdleMs;
    this.#clock = clock;
  }

  /** `atEnd`: the input was read to its end. Once it was waited for long enough, it is until it brings something. */
  mayPass({ topic }: TopicPartition, atEnd: () => boolean): boolean {
    if (this.#maxTaskIdleMs < 0) return true;
    if (!atEnd()) {
      this.#deadlineMs.delete(topic);
      return false;
    }
    if (this.#maxTaskIdleMs === 0) return true;
    const nowMs = this.#clock.monotonicMs();
    const deadlineMs = this.#deadlineMs.get(topic) ?? nowMs + this.#maxTaskIdleMs;
    this.#deadlineMs.set(topic, deadlineMs);
    return nowMs >= deadlineMs;
  }

  /** The input has brought something. */
  arrived(topic: string): void {
    this.#deadlineMs.delete(topic);
  }
}
