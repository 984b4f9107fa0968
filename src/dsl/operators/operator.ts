/**
 * The base of the DSL's operators: a processor that holds its context. Operators have no state besides
 * their stores and no effect besides stores and `forward`, because the engine processes a record again
 * when a read had to wait for the disk.
 */
import type { Processor, ProcessorContext, Record } from '../../graph/processor.ts';

export abstract class Operator<KIn, VIn, KOut, VOut> implements Processor<KIn, VIn, KOut, VOut> {
  protected context!: ProcessorContext<KOut, VOut>;

  init(context: ProcessorContext<KOut, VOut>): void {
    this.context = context;
  }

  abstract process(record: Record<KIn, VIn>): void;
}
