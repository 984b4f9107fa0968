/**
 * Work that happens whole or not at all: a savepoint over changes, outputs and timers is rolled back when it throws,
 * and work that met state which is not in memory is done again once that is loaded. Used by stream-task.ts alone.
 */
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import type { Collector } from './collector.ts';
import type { GlobalStores } from './global-stores.ts';
import type { DroppedRecord } from './processor-graph.ts';
import type { TimerIndex } from './timer-index.ts';
import { StateMiss } from './typed-stores.ts';

/** A slow read loads one thing and tries again; more tries than this is a processor that reads without end. */
const slowReadsMax = 10_000;

export interface AtomicWorkOptions {
  readonly taskId: string;
  readonly state: TaskState;
  readonly globals: GlobalStores | undefined;
  readonly collector: Collector;
  readonly timers: TimerIndex;
  /** What the work at hand has dropped; shortened by a rollback. */
  readonly drops: DroppedRecord[];
}

export class AtomicWork {
  readonly #options: AtomicWorkOptions;

  constructor(options: AtomicWorkOptions) {
    this.#options = options;
  }

  async load(requests: readonly LoadRequest[]): Promise<void> {
    const { globals, state } = this.#options;
    if (globals === undefined) return await state.load(requests);
    await state.load(requests.filter(({ store }) => !globals.has(store)));
    await globals.load(requests.filter(({ store }) => globals.has(store)));
  }

  endRound(): void {
    this.#options.state.endRound();
    this.#options.globals?.endRound();
  }

  /** Runs `work` under a savepoint; slow reads are loaded and the work done again. The error, or undefined. */
  async run(work: () => void): Promise<StreamsError | undefined> {
    const failure = this.attempt(work);
    return failure instanceof StateMiss ? this.again(work, failure) : failure;
  }

  /** Runs `work` once under a savepoint; what it threw, after everything it did was rolled back. */
  attempt(work: () => void): StreamsError | StateMiss | undefined {
    const { state, collector, timers, drops } = this.#options;
    const [changes, outputs, timed, dropped] = [
      state.savepoint(),
      collector.savepoint(),
      timers.savepoint(),
      drops.length,
    ];
    try {
      work();
      return undefined;
    } catch (error) {
      state.rollback(changes);
      collector.rollback(outputs);
      timers.rollback(timed);
      drops.length = dropped;
      return error instanceof StateMiss ? error : asStreamsError(error, 'PROCESSING_FAILED');
    }
  }

  /** Goes on after `attempt` gave `first`. Errors: INVARIANT_BROKEN for reads without end. */
  async again(work: () => void, first: StateMiss): Promise<StreamsError | undefined> {
    let miss = first;
    for (let attempt = 1; attempt < slowReadsMax; attempt++) {
      this.#options.state.slowReads++;
      await this.load(miss.requests);
      const failure = this.attempt(work);
      if (!(failure instanceof StateMiss)) return failure;
      miss = failure;
    }
    throw new StreamsError('INVARIANT_BROKEN', 'one record read more state than a task may', {
      context: { taskId: this.#options.taskId },
    });
  }
}
