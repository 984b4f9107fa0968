/**
 * How fast a restore goes and when it will have ended: looked at by the loop between its turns, logged every
 * ten seconds, shown in metrics and in the status. One that stands still is a warning. It never touches the
 * restore itself.
 */
import type { Clock } from '../base/clock-port.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { RestoreProgress } from './changelog-restorer.ts';

/** A restore under way, as status, metrics and dashboard show it. */
export interface RestoreStatus {
  readonly taskId: string;
  /** Records written to the store so far. */
  readonly restored: number;
  /** Changelog offsets still to be read; transaction markers and what compaction took away count too. */
  readonly remaining: number;
  /** Over the last ten seconds. */
  readonly recordsPerSecond: number;
  /** Milliseconds, by the offsets of the last ten seconds; undefined while nothing tells. */
  readonly etaMs: number | undefined;
}

const windowMs = 10_000;
const logEveryMs = 10_000;
/** Fine enough for a rate over ten seconds. */
const sampleEveryMs = 500;
/**
 * Well above what a dead member's transaction may last: its time-out (ten seconds unless set otherwise) and the ten
 * seconds in which the broker looks for such.
 */
const stillMs = 60_000;

interface Sample {
  readonly atMs: number;
  readonly restored: number;
  readonly remaining: number;
}

export class RestoreWatch {
  readonly #progress: RestoreProgress;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #beganMs: number;
  #samples: Sample[] = [];
  #loggedMs: number;
  /** When it last got on, or was last said to stand still. */
  #movedMs: number;

  constructor(progress: RestoreProgress, clock: Clock, log: Logger) {
    this.#progress = progress;
    this.#clock = clock;
    this.#log = log;
    this.#beganMs = clock.monotonicMs();
    this.#loggedMs = this.#beganMs;
    this.#movedMs = this.#beganMs;
    this.#sample(this.#beganMs);
  }

  /** Called often; does something twice a second. */
  look(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#samples.at(-1)?.atMs ?? 0) >= sampleEveryMs) this.#sample(nowMs);
    if (nowMs - this.#movedMs >= stillMs) {
      this.#movedMs = nowMs;
      this.#log.warn('a restore stands still', {
        taskId: this.#progress.taskId,
        remaining: this.#progress.remaining,
        hint: 'a transaction in a changelog is not ended: see "What the broker may lose" in docs/spec/guarantees.md',
      });
    }
    if (nowMs - this.#loggedMs < logEveryMs) return;
    this.#loggedMs = nowMs;
    const { taskId, restored, remaining, recordsPerSecond, etaMs } = this.status();
    this.#log.info('restoring', {
      taskId,
      restored,
      remaining,
      recordsPerSecond,
      etaSeconds: etaMs === undefined ? undefined : Math.round(etaMs / 1000),
    });
  }

  status(): RestoreStatus {
    const { taskId, restored, remaining } = this.#progress;
    const nowMs = this.#clock.monotonicMs();
    // What was planned is known only after a while: before that there is nothing that a rate could be of.
    const first = this.#samples.find((sample) => sample.remaining > 0);
    const tookMs = first === undefined ? 0 : nowMs - first.atMs;
    if (first === undefined || tookMs <= 0)
      return { taskId, restored, remaining, recordsPerSecond: 0, etaMs: remaining === 0 ? 0 : undefined };
    const offsets = first.remaining - remaining;
    return {
      taskId,
      restored,
      remaining,
      recordsPerSecond: Math.round(((restored - first.restored) * 1000) / tookMs),
      etaMs: offsets > 0 ? Math.round((remaining * tookMs) / offsets) : remaining === 0 ? 0 : undefined,
    };
  }

  /** For the line at the end: over the whole restore. */
  summary(): { readonly restored: number; readonly ms: number; readonly recordsPerSecond: number } {
    const { restored } = this.#progress;
    const ms = Math.round(this.#clock.monotonicMs() - this.#beganMs);
    return { restored, ms, recordsPerSecond: Math.round((restored * 1000) / Math.max(1, ms)) };
  }

  #sample(atMs: number): void {
    const { restored, remaining } = this.#progress;
    const last = this.#samples.at(-1);
    if (last?.restored !== restored || last.remaining !== remaining) this.#movedMs = atMs;
    this.#samples.push({ atMs, restored, remaining });
    this.#samples = this.#samples.filter((sample) => sample.atMs >= atMs - windowMs);
  }
}
