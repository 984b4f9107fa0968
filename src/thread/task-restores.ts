/**
 * From a token to a running task: plans that wait, restores under way (beside the loop, a few at once), and
 * ended ones, which the loop begins when nothing else is under way. Called by the loop and by the ownership.
 *
 * A restore that fails waits and is tried again; one whose task is taken away meanwhile gives up and closes
 * what it opened.
 */
import { asStreamsError, type StreamsError } from '../base/errors.ts';
import { type RestoreProgress, restoreTask } from '../restore/changelog-restorer.ts';
import { type RestoreStatus, RestoreWatch } from '../restore/restore-watch.ts';
import { TaskState } from '../store/task-state.ts';
import { storesOf, type TaskPlan } from '../task/task-plan.ts';
import { damagedTask, endsTheInstance } from './reactions.ts';
import type { RunningTasks } from './running-tasks.ts';
import type { StandbyTasks } from './standby-tasks.ts';
import type { TaskLifecycles } from './task-lifecycle.ts';
import { retryMs, type ThreadOptions } from './thread-options.ts';

interface Restoring {
  readonly progress: RestoreProgress;
  readonly watch: RestoreWatch;
  abandoned: boolean;
  done: Promise<void>;
}

/** Restores at once: each may hold a client of its own. */
const restoresMax = 4;

export class TaskRestores {
  readonly #options: ThreadOptions;
  readonly #running: RunningTasks;
  readonly #lifecycles: TaskLifecycles;
  readonly #standbys: StandbyTasks | undefined;
  readonly #waiting: TaskPlan[] = [];
  readonly #restoring = new Map<string, Restoring>();
  readonly #ended: (() => Promise<void>)[] = [];
  /** Tasks whose local state is proven damaged. */
  readonly #damaged = new Set<string>();
  /** By restores that have ended, one way or the other. */
  #restoredBefore = 0;
  /** Monotonic; the pause after a failure, during which the loop goes on and the membership lives. */
  #notBeforeMs = 0;

  constructor(
    options: ThreadOptions,
    parts: {
      readonly running: RunningTasks;
      readonly lifecycles: TaskLifecycles;
      readonly standbys: StandbyTasks | undefined;
    },
  ) {
    this.#options = options;
    this.#running = parts.running;
    this.#lifecycles = parts.lifecycles;
    this.#standbys = parts.standbys;
  }

  /** No task waits for its restore or is in one. */
  get idle(): boolean {
    return this.#restoring.size === 0 && this.#waiting.length === 0;
  }

  get underWay(): boolean {
    return this.#restoring.size > 0;
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  status(): readonly RestoreStatus[] {
    return [...this.#restoring.values()].map(({ watch }) => watch.status());
  }

  /** Records that restores of this instance have written to stores so far. */
  get restoredTotal(): number {
    let total = this.#restoredBefore;
    for (const { progress } of this.#restoring.values()) total += progress.restored;
    return total;
  }

  taskIds(): string[] {
    return [...this.#waiting.map(({ taskId }) => taskId), ...this.#restoring.keys()];
  }

  /** Order: the task is CREATED. */
  add(plans: readonly TaskPlan[]): void {
    this.#waiting.push(...plans);
  }

  /** Its local state is rebuilt when it is restored next. */
  rebuild(taskId: string): void {
    this.#damaged.add(taskId);
  }

  /** Without sleeping: meanwhile the membership is polled on, and a stop is heard. */
  pause(pauseMs: number): void {
    this.#notBeforeMs = this.#options.clock.monotonicMs() + pauseMs;
  }

  /** True when restores wait and may begin now. */
  get due(): boolean {
    return this.#waiting.length > 0 && this.#options.clock.monotonicMs() >= this.#notBeforeMs;
  }

  /** Order: only with an initialised producer, whose predecessor's transaction is ended. */
  start(): void {
    while (this.#restoring.size < restoresMax) {
      const plan = this.#waiting.shift();
      if (plan === undefined) return;
      this.#lifecycles.move(plan.taskId, 'restore');
      const progress: RestoreProgress = { taskId: plan.taskId, restored: 0, remaining: 0 };
      const { clock, log } = this.#options;
      const watch = new RestoreWatch(progress, clock, log);
      const restoring: Restoring = { progress, watch, abandoned: false, done: Promise.resolve() };
      this.#restoring.set(plan.taskId, restoring);
      restoring.done = this.#restore(plan, restoring)
        .catch((error: unknown) => () => Promise.reject(error))
        .then((begin) => {
          this.#ended.push(async () => {
            this.#restoring.delete(plan.taskId);
            this.#restoredBefore += progress.restored;
            try {
              await begin();
            } catch (error) {
              this.#failed(plan, restoring, asStreamsError(error, 'INVARIANT_BROKEN'));
            }
          });
        });
    }
  }

  /** Lets the tasks run whose restore has ended, and looks after the others. */
  async beginEnded(): Promise<void> {
    for (const { watch } of this.#restoring.values()) watch.look();
    for (let ended = this.#ended.shift(); ended !== undefined; ended = this.#ended.shift()) await ended();
  }

  /** The task is not wanted any more: resolves when nothing of its restore is left. False when there was none. */
  async abandon(taskId: string): Promise<boolean> {
    const waiting = this.#waiting.findIndex((plan) => plan.taskId === taskId);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    const restoring = this.#restoring.get(taskId);
    if (restoring === undefined) return waiting >= 0;
    restoring.abandoned = true;
    await restoring.done;
    await this.beginEnded();
    return true;
  }

  /** Tells every restore to give up, without waiting for it. */
  abandonAll(): void {
    for (const restoring of this.#restoring.values()) restoring.abandoned = true;
  }

  #failed(plan: TaskPlan, restoring: Restoring, failure: StreamsError): void {
    const { log } = this.#options;
    const damaged = damagedTask(failure) ?? (failure.code === 'STORE_CORRUPTED' ? plan.taskId : undefined);
    if (damaged !== undefined) this.rebuild(damaged);
    if (!restoring.abandoned && endsTheInstance(failure)) throw failure;
    log.warn('a restore failed', { taskId: plan.taskId, code: failure.code }, failure);
    if (restoring.abandoned) return;
    this.#lifecycles.move(plan.taskId, 'discard');
    this.#waiting.push(plan);
    this.pause(retryMs);
  }

  /** Restores and returns what makes the task run; called by the loop, when nothing else is under way. */
  async #restore(plan: TaskPlan, restoring: Restoring): Promise<() => Promise<void>> {
    const { broker, log, clock, destroyTaskBackend } = this.#options;
    let handedOver = await this.#standbys?.handOver(plan.taskId);
    const recycled = handedOver !== undefined;
    for (;;) {
      if (this.#damaged.delete(plan.taskId)) {
        log.warn('local state is rebuilt from the changelog', { taskId: plan.taskId, reason: 'damaged' });
        await handedOver?.close();
        handedOver = undefined;
        await destroyTaskBackend(plan.taskId);
      }
      const state: TaskState = handedOver ?? (await this.#openState(plan));
      handedOver = undefined;
      try {
        const result = await restoreTask({
          broker,
          groupId: this.#options.plan.applicationId,
          plan,
          state,
          log,
          progress: restoring.progress,
          abandoned: () => restoring.abandoned,
          nowMs: clock.nowMs(),
        });
        if (result.outcome === 'rebuild') {
          const { reason } = result;
          log.warn('local state is rebuilt from the changelog', { taskId: plan.taskId, reason });
          await state.close();
          await destroyTaskBackend(plan.taskId);
          continue;
        }
        if (result.outcome === 'abandoned' || restoring.abandoned) {
          await state.close();
          return async () => {};
        }
        const summary = restoring.watch.summary();
        return async () => {
          if (restoring.abandoned) return await state.close();
          await this.#running.begin(plan, state, result.committed);
          this.#lifecycles.move(plan.taskId, 'restored');
          log.info('task runs', { taskId: plan.taskId, ...summary, recycled });
        };
      } catch (error) {
        await state.close();
        throw error;
      }
    }
  }

  async #openState(plan: TaskPlan): Promise<TaskState> {
    const { openTaskBackend, settings } = this.#options;
    return new TaskState(await openTaskBackend(plan.taskId), storesOf(plan), settings.cacheEntriesMax);
  }
}
