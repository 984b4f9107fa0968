/**
 * The memory budget of `millrace run`: the Kafka client never frees part of what a commit gives it
 * (docs/performance.md), so an instance that lives long enough is ended by the kernel, in the middle of something. One
 * that ends itself in good order, and is started again, costs nothing but a moment. Called by command-run.ts.
 */
import type { Clock, Logger } from '#streams';

const lookMs = 5_000;
const bytesPerMb = 1024 * 1024;

export interface MemoryBudgetOptions {
  /** 0: no budget. */
  readonly budgetMb: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Resident bytes of this process. */
  readonly residentBytes: () => number;
}

/** Resolves when the process has more than its budget; never where there is none. */
export async function memoryBudgetUsedUp(options: MemoryBudgetOptions): Promise<void> {
  const { budgetMb, clock, log, signal, residentBytes } = options;
  while (budgetMb > 0 && !signal.aborted) {
    const residentMb = Math.round(residentBytes() / bytesPerMb);
    if (residentMb > budgetMb) {
      log.warn('the memory budget is used up: the instance ends in good order, to be started again', {
        residentMb,
        budgetMb,
      });
      return;
    }
    await clock.sleep(lookMs, signal);
  }
  await new Promise(() => {});
}
