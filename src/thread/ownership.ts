/**
 * What the group says about the task tokens, and what follows from it: an assigned task is restored, a revoked
 * one commits and is closed before others get it, a lost one is closed without a commit. Called by the loop.
 * The rules: docs/spec/ownership.md.
 */
import { must } from '../base/assert.ts';
import { asStreamsError } from '../base/errors.ts';
import type { GroupEvent, GroupMember } from '../broker/broker-port.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import type { RunningTasks } from './running-tasks.ts';
import type { StandbyTasks } from './standby-tasks.ts';
import type { TaskCommits } from './task-commits.ts';
import type { TaskLifecycles } from './task-lifecycle.ts';
import type { TaskRestores } from './task-restores.ts';
import type { ThreadLifecycle } from './thread-lifecycle.ts';
import type { ThreadOptions } from './thread-options.ts';

/** How often tasks came and went; a rolling restart is judged by it. */
export interface OwnershipCounters {
  assigned: number;
  revoked: number;
  lost: number;
}

export interface OwnershipParts {
  readonly lifecycle: ThreadLifecycle;
  readonly lifecycles: TaskLifecycles;
  readonly running: RunningTasks;
  readonly restores: TaskRestores;
  readonly commits: TaskCommits;
  readonly standbys: StandbyTasks | undefined;
}

export class Ownership {
  readonly counters: OwnershipCounters = { assigned: 0, revoked: 0, lost: 0 };
  readonly #options: ThreadOptions;
  readonly #parts: OwnershipParts;
  #member: GroupMember | undefined;

  constructor(options: ThreadOptions, parts: OwnershipParts) {
    this.#options = options;
    this.#parts = parts;
  }

  async open(): Promise<void> {
    const { broker, plan, settings } = this.#options;
    this.#member ??= await broker.joinGroup({
      groupId: plan.applicationId,
      topic: plan.tokenTopic,
      sessionTimeoutMs: settings.sessionTimeoutMs,
      ...(settings.instanceId === undefined ? {} : { instanceId: settings.instanceId }),
    });
  }

  get member(): GroupMember {
    return must(this.#member, 'the thread is not open');
  }

  /** Keeps the membership alive and does what the group asks. Errors: whatever does not pass by itself. */
  async follow(): Promise<void> {
    for (const event of await this.#events()) {
      await this.#on(event);
      await this.member.acknowledge(event);
      if (event.type !== 'assigned') this.#parts.lifecycle.move('released');
    }
  }

  async #events(): Promise<GroupEvent[]> {
    try {
      return await this.member.poll(0);
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      if (failure.kind !== 'retriable') throw failure;
      this.#options.log.warn('the group does not answer', { code: failure.code }, failure);
      return [];
    }
  }

  async #on(event: GroupEvent): Promise<void> {
    const { plan, log } = this.#options;
    const { lifecycle, restores, commits } = this.#parts;
    const plans = event.partitions.map((token) => must(plan.tasks[token], `token ${token} names no task`));
    log.info(`tasks ${event.type}`, { tasks: plans.map(({ taskId }) => taskId).join(' ') || 'none' });
    this.counters[event.type] += plans.length;
    lifecycle.move(event.type === 'assigned' ? 'assigned' : 'revoked');
    if (event.type === 'assigned') {
      restores.add(plans.filter(({ taskId }) => this.#take(taskId)));
      return;
    }
    if (event.type === 'revoked') await this.#suspend(plans);
    else await commits.inFlight;
    for (const { taskId } of plans) await this.close(taskId);
  }

  /** False for a task that is ours already: what a group repeats is no reason to open a task twice. */
  #take(taskId: string): boolean {
    const { lifecycles } = this.#parts;
    const state = lifecycles.stateOf(taskId);
    if (state === 'STANDBY') lifecycles.move(taskId, 'recycle');
    else if (state === 'CLOSED') lifecycles.create(taskId);
    else return false;
    return true;
  }

  async #suspend(plans: readonly TaskPlan[]): Promise<void> {
    const { lifecycles, running, commits } = this.#parts;
    const revoked = new Set(plans.map(({ taskId }) => taskId));
    const tasks = running.tasks().filter(({ id }) => revoked.has(id));
    for (const { id } of tasks) lifecycles.move(id, 'suspend');
    await commits.commitNow(tasks);
  }

  /** Closes a task, whatever it is at, without committing; its state stays on disk. */
  async close(taskId: string): Promise<void> {
    const { lifecycles, running, restores, standbys } = this.#parts;
    const state = lifecycles.stateOf(taskId);
    if (state === 'CLOSED' || state === 'STANDBY') return;
    await restores.abandon(taskId);
    await running.drop(taskId);
    // One that was a standby, and whose restore had not begun.
    await standbys?.release(taskId);
    lifecycles.move(taskId, 'close');
  }

  async leave(): Promise<void> {
    await this.#member?.close();
  }
}
