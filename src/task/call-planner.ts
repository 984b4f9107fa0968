/**
 * Tells from a source's record which calls of async steps it will make: runs the operators between the source
 * and the steps, in instances of their own, without any effect. That is possible because these operators are
 * functions of the record alone (graph/async-step.ts). Called by async-steps.ts.
 */
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { type AsyncNodeProcessor, obstacleToCalls } from '../graph/async-step.ts';
import type { ProcessorNode, SourceNode } from '../graph/node.ts';
import type { Processor, ProcessorContext, Record } from '../graph/processor.ts';
import type { CallOutcome } from './async-calls.ts';
import type { TaskPlan } from './task-plan.ts';

/** A step is reached; undefined: its call has not ended, so what is below it is not known yet. */
export type VisitStep = (step: ProcessorNode, record: Record<unknown, unknown>) => CallOutcome | undefined;

interface Scout {
  readonly node: ProcessorNode;
  /** Children that are steps, or lead to one. */
  readonly children: readonly string[];
  readonly processor: Processor<unknown, unknown> | AsyncNodeProcessor | undefined;
}

export class CallPlanner {
  readonly #scouts = new Map<string, Scout>();
  readonly #nodes: ReadonlyMap<string, ProcessorNode>;
  readonly #visitOf: { current: VisitStep | undefined } = { current: undefined };

  constructor(options: { readonly plan: TaskPlan; readonly applicationId: string; readonly clock: Clock }) {
    this.#nodes = new Map(options.plan.subtopology.processors.map((node) => [node.name, node]));
    for (const node of this.#nodes.values()) {
      if (!this.#leadsToStep(node)) continue;
      const children = this.#pathChildren(node.children);
      // Below a step without further steps nothing is looked at, and a hand-written one may have state.
      const runs = children.length > 0 && obstacleToCalls(node) === undefined;
      const processor = runs ? node.supplier() : undefined;
      processor?.init?.(this.#context(node, children, options));
      this.#scouts.set(node.name, { node, children, processor });
    }
  }

  /** True when records of this source may make calls. */
  concerns(source: SourceNode): boolean {
    return this.#pathChildren(source.children).length > 0;
  }

  /** True when a step's result decides about calls of further steps. */
  decidesMore(step: string): boolean {
    return (this.#scouts.get(step)?.children.length ?? 0) > 0;
  }

  /**
   * Visits every step that the record reaches, in the order in which processing it will.
   * Errors: whatever an operator above a step throws; processing the record will throw the same.
   */
  plan(source: SourceNode, record: Record<unknown, unknown>, visit: VisitStep): void {
    this.#visitOf.current = visit;
    try {
      for (const child of this.#pathChildren(source.children)) this.#deliver(child, record);
    } finally {
      this.#visitOf.current = undefined;
    }
  }

  #leadsToStep(node: ProcessorNode): boolean {
    return node.asyncStep !== undefined || this.#pathChildren(node.children).length > 0;
  }

  #pathChildren(children: readonly string[]): string[] {
    return children.filter((name) => {
      const node = this.#nodes.get(name);
      return node !== undefined && this.#leadsToStep(node);
    });
  }

  #deliver(name: string, record: Record<unknown, unknown>): void {
    const { node, processor } = must(this.#scouts.get(name), `${name} leads to no async step`);
    if (node.asyncStep === undefined) {
      (processor as Processor<unknown, unknown>).process(record);
      return;
    }
    const outcome = must(this.#visitOf.current, 'a call is planned for no record')(node, record);
    if (outcome?.type === 'result')
      (processor as AsyncNodeProcessor | undefined)?.process(record, outcome.result);
  }

  #context(
    node: ProcessorNode,
    children: readonly string[],
    options: { readonly plan: TaskPlan; readonly applicationId: string; readonly clock: Clock },
  ): ProcessorContext<unknown, unknown> {
    const refuse = (): never => {
      throw new StreamsError('TOPOLOGY_INVALID', `${node.name} stands above an async step and uses state`, {
        context: { node: node.name, taskId: options.plan.taskId },
        hint: 'put repartition() between the two',
      });
    };
    return {
      taskId: options.plan.taskId,
      applicationId: options.applicationId,
      recordMetadata: () => undefined,
      forward: (record, childName) => {
        for (const child of children)
          if (childName === undefined || childName === child) this.#deliver(child, record);
      },
      getStateStore: refuse,
      timers: { schedule: refuse, cancel: refuse, advanceWatermark: refuse },
      schedule: refuse,
      commit: () => {},
      // Told when the record is processed.
      recordDropped: () => {},
      currentSystemTimeMs: () => options.clock.nowMs(),
      currentStreamTimeMs: () => -1,
    };
  }
}
