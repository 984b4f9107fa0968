/**
 * Moves its task's watermark to what a driver promises: nothing older will come. Event-time timers of processors in
 * the same task follow it. Only replays have a source for it; the value is milliseconds since the epoch.
 */
import type { Processor, ProcessorContext, Record } from '#streams';

export class WatermarkProcessor implements Processor<string, number, string, unknown> {
  #context: ProcessorContext<string, unknown> | undefined;

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
  }

  process(record: Record<string, number>): void {
    this.#context?.timers.advanceWatermark(record.value);
  }
}
