/**
 * Whether a simulated cluster has come to rest: each task has one owner, everything is committed, and nobody's open
 * transaction hides anything. Asks the broker and the instances' status; changes nothing.
 */
import type { TopicPartition } from '../../base/record.ts';
import type { EmbeddedBroker } from '../../broker/embedded-broker.ts';
import type { ApplicationPlan } from '../../task/task-plan.ts';
import type { SimulatedMachine } from './simulated-machine.ts';

export interface ClusterRestOptions {
  /** Grows while machines are added. */
  readonly machines: readonly SimulatedMachine[];
  /** By application. */
  readonly plans: ReadonlyMap<string, ApplicationPlan>;
  /** Those that are no application's own. */
  readonly topics: readonly string[];
}

export class ClusterRest {
  readonly #options: ClusterRestOptions;

  constructor(options: ClusterRestOptions) {
    this.#options = options;
  }

  /** The machine of each task, by application and task, when all is at rest; else undefined. */
  async owners(broker: EmbeddedBroker): Promise<ReadonlyMap<string, SimulatedMachine> | undefined> {
    const { machines, plans } = this.#options;
    const owners = new Map<string, SimulatedMachine>();
    // One without a task is never ready: the embedded group does not tell a member that it gets nothing.
    if (machines.some(({ app }) => app !== undefined && !app.ready && app.status().tasks.length > 0))
      return undefined;
    // All at one moment: the embedded broker answers in microtasks, and a pending offset is no answer.
    for (const [applicationId, plan] of plans) {
      const inputs = plan.tasks.flatMap((task) => task.inputs);
      const owned: string[] = [];
      for (const machine of machines) {
        if (machine.application.applicationId !== applicationId) continue;
        for (const { taskId } of machine.app?.status().tasks ?? []) {
          owned.push(taskId);
          owners.set(`${applicationId} ${taskId}`, machine);
        }
      }
      // One that lost a task and has not heard of it yet still names it: that is no rest.
      if (owned.length !== plan.tasks.length || new Set(owned).size !== owned.length) return undefined;
      const committed = await broker.admin.committedOffsets(applicationId, inputs).catch(() => undefined);
      const ends = await broker.admin.endOffsets(inputs, 'read_uncommitted');
      if (committed === undefined || ends.some((end, index) => (committed[index] ?? 0) !== end))
        return undefined;
    }
    // A dead member's open transaction would hide what was committed behind it.
    const all = await this.#allPartitions(broker);
    const ends = await broker.admin.endOffsets(all, 'read_uncommitted');
    const stable = await broker.admin.endOffsets(all, 'read_committed');
    if (ends.some((end, index) => stable[index] !== end)) return undefined;
    return owners;
  }

  /** What is left to do, for people. */
  async lag(broker: EmbeddedBroker): Promise<string> {
    const { machines, plans } = this.#options;
    const lines: string[] = [];
    for (const [applicationId, plan] of plans) {
      const inputs = plan.tasks.flatMap((task) => task.inputs);
      const committed = await broker.admin.committedOffsets(applicationId, inputs).catch(() => undefined);
      const ends = await broker.admin.endOffsets(inputs, 'read_uncommitted');
      for (const [index, { topic, partition }] of inputs.entries()) {
        const at = committed?.[index] ?? 0;
        if (at !== ends[index]) lines.push(`${topic}/${partition} at ${at} of ${ends[index]}`);
      }
    }
    const states = machines.map(({ name, app, process }) => `${name} ${app?.state} ${process?.state}`);
    return [...lines, ...states].join(', ');
  }

  async #allPartitions(broker: EmbeddedBroker): Promise<TopicPartition[]> {
    const names = [
      ...this.#options.topics,
      ...[...this.#options.plans.values()].flatMap((plan) => plan.internalTopics.map(({ name }) => name)),
    ];
    const described = await broker.admin.describeTopics(names);
    return described.flatMap((topic) =>
      Array.from({ length: topic?.partitions ?? 0 }, (_, partition) => ({
        topic: topic?.name ?? '',
        partition,
      })),
    );
  }
}
