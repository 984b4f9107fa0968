/**
 * The standby tasks of an instance: follows the changelogs of tasks that others own, so that one of them going
 * away costs a catch-up of the gap. A loop of its own beside the thread's, with one consumer for all changelogs
 * and the instances topic; nothing that it waits for holds up records or the membership.
 *
 *   instance-directory.ts ▸ assign/place-standbys.ts ▸ what shall be followed here
 *   one turn: close and open replicas ▸ poll ▸ apply ▸ ask for ends (beside) ▸ publish
 *
 * The thread takes a store over with `handOver` when the token of a task comes. The rules: docs/spec/ownership.md.
 */
import { placeStandbys } from '../assign/place-standbys.ts';
import { must } from '../base/assert.ts';
import { asStreamsError, type StreamsError } from '../base/errors.ts';
import { partitionKey } from '../base/record.ts';
import type { Consumer } from '../broker/broker-port.ts';
import { StandbyReplica } from '../restore/standby-replica.ts';
import { TaskState } from '../store/task-state.ts';
import { storesOf, type TaskPlan } from '../task/task-plan.ts';
import { InstanceDirectory } from './instance-directory.ts';
import type { TaskLifecycles } from './task-lifecycle.ts';
import { retryMs, type StandbySettings, type ThreadOptions } from './thread-options.ts';

/** A standby task, as status and metrics show it. */
export interface StandbyStatus {
  readonly taskId: string;
  /** Changelog offsets to the last stable offset, when it was last asked for; undefined before that. */
  readonly lag: number | undefined;
  /** Changelog records written since it is a standby. */
  readonly applied: number;
}

interface Following {
  readonly plan: TaskPlan;
  replica: StandbyReplica | undefined;
  error: StreamsError | undefined;
  /** Never rejects. */
  opened: Promise<void>;
  assigned: boolean;
}

/** Small enough that a batch holds up the event loop for a few milliseconds at most. */
const batchRecordsMax = 2_000;
const pollMs = 100;
const endsEveryMs = 1_000;

/** A task whose only state is its clocks is restored in no time: it needs no standby. */
export function wantsStandby(plan: TaskPlan): boolean {
  return plan.stores.some(({ spec, changelog }) => changelog !== undefined && spec.name !== plan.taskStore);
}

export class StandbyTasks {
  readonly #options: ThreadOptions;
  readonly #settings: StandbySettings;
  readonly #lifecycles: TaskLifecycles;
  readonly #directory: InstanceDirectory;
  readonly #plans: ReadonlyMap<string, TaskPlan>;
  readonly #following = new Map<string, Following>();
  /** Handed over or closed, their partitions still to be taken off the consumer. */
  #gone: Following[] = [];
  readonly #closing = new Map<string, Promise<void>>();
  readonly #damaged = new Set<string>();
  readonly #stop = new AbortController();
  #consumer: Consumer | undefined;
  #loop: Promise<void> | undefined;
  #failure: StreamsError | undefined;
  /** Monotonic; after a failure nothing is opened before. */
  #openNotBeforeMs = 0;
  #instancesEnd: number | undefined;
  #placedAtChange = -1;
  #wanted: ReadonlySet<string> = new Set();
  #endsAskedMs = Number.NEGATIVE_INFINITY;
  #ends: { readonly ends: ReadonlyMap<string, number>; readonly atMs: number } | undefined;

  constructor(options: ThreadOptions, settings: StandbySettings, lifecycles: TaskLifecycles) {
    this.#options = options;
    this.#settings = settings;
    this.#lifecycles = lifecycles;
    this.#directory = new InstanceDirectory(options, settings);
    this.#plans = new Map(options.plan.tasks.filter(wantsStandby).map((plan) => [plan.taskId, plan]));
  }

  /** Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  status(): readonly StandbyStatus[] {
    return [...this.#following.values()]
      .filter(({ plan }) => this.#lifecycles.stateOf(plan.taskId) === 'STANDBY')
      .map(({ plan, replica }) => ({
        taskId: plan.taskId,
        lag: replica?.lag,
        applied: replica?.applied ?? 0,
      }));
  }

  /** What has to end the instance, once: a broken invariant. */
  takeFailure(): StreamsError | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /**
   * The open store of a standby whose token has come; undefined when there is none, and then nothing here has
   * the folder open. The replica is at its end.
   */
  async handOver(taskId: string): Promise<TaskState | undefined> {
    const following = this.#following.get(taskId);
    if (following === undefined) {
      await this.#closing.get(taskId);
      return undefined;
    }
    this.#following.delete(taskId);
    this.#gone.push(following);
    await following.opened;
    return await following.replica?.take();
  }

  /** Closes the store of a standby that nobody took over. */
  async release(taskId: string): Promise<void> {
    await (await this.handOver(taskId))?.close();
  }

  /** Ends the loop, closes every replica and says goodbye. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.#closeAll();
    await this.#directory.close();
    await this.#consumer?.close();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#turn();
        await clock.yield();
      } catch (error) {
        const failure = asStreamsError(error, 'INVARIANT_BROKEN');
        if (failure.code === 'INVARIANT_BROKEN') {
          this.#failure = failure;
          return;
        }
        log.warn('the standbys begin again', { code: failure.code }, failure);
        await this.#beginAgain();
        await clock.sleep(retryMs, this.#stop.signal);
      }
    }
  }

  async #turn(): Promise<void> {
    const consumer = await this.#openConsumer();
    await this.#unassignGone(consumer);
    await this.#place();
    await this.#assignOpened(consumer);
    await this.#poll(consumer);
    await this.#prove(consumer);
    const states = [...this.#lifecycles.states()];
    const ids = (standby: boolean) =>
      states.flatMap(([id, state]) => ((state === 'STANDBY') === standby ? [id] : [])).sort();
    this.#directory.publish(ids(false), ids(true));
  }

  async #openConsumer(): Promise<Consumer> {
    if (this.#consumer !== undefined) return this.#consumer;
    const { broker, settings } = this.#options;
    const entries = [{ topic: this.#directory.topic, partition: 0 }];
    const [start] = await broker.admin.startOffsets(entries);
    const [end] = await broker.admin.endOffsets(entries, 'read_committed');
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: `${settings.clientId}-standby`,
    });
    this.#consumer = consumer;
    this.#instancesEnd = end;
    await consumer.assign(
      entries.map((entry) => ({ ...entry, offset: must(start, 'the topic has a start') })),
    );
    return consumer;
  }

  async #unassignGone(consumer: Consumer): Promise<void> {
    const gone = this.#gone.filter(({ assigned }) => assigned);
    this.#gone = [];
    for (const { replica } of gone) await consumer.unassign(replica?.inputs ?? []);
  }

  /** Opens and closes replicas until they are what placement wants. */
  async #place(): Promise<void> {
    const { numStandbys, spreadTags, name } = this.#settings;
    const { clock } = this.#options;
    if (this.#directory.settled && this.#placedAtChange !== this.#directory.changes) {
      this.#placedAtChange = this.#directory.changes;
      const placed = placeStandbys({
        instances: this.#directory.instances(),
        tasks: [...this.#plans.keys()],
        owners: this.#directory.owners(),
        numStandbys,
        current: this.#directory.standbys(),
        spreadTags,
      });
      this.#wanted = new Set([...placed].flatMap(([task, names]) => (names.includes(name) ? [task] : [])));
      for (const taskId of this.#following.keys())
        if (!this.#wanted.has(taskId) && this.#lifecycles.stateOf(taskId) === 'STANDBY')
          this.#drop(taskId, 'it is placed elsewhere');
    }
    for (const following of this.#following.values()) {
      const { plan, error } = following;
      if (error === undefined) continue;
      this.#failed(plan.taskId, error);
    }
    if (clock.monotonicMs() < this.#openNotBeforeMs) return;
    for (const taskId of this.#wanted) {
      const busy = this.#closing.has(taskId) || this.#lifecycles.stateOf(taskId) !== 'CLOSED';
      if (!busy) this.#follow(must(this.#plans.get(taskId), 'a standby of no task'));
    }
  }

  #follow(plan: TaskPlan): void {
    const { broker, clock, log, destroyTaskBackend } = this.#options;
    const { taskId } = plan;
    this.#lifecycles.create(taskId);
    this.#lifecycles.move(taskId, 'follow');
    log.info('a standby begins', { taskId });
    const following: Following = {
      plan,
      replica: undefined,
      error: undefined,
      opened: Promise.resolve(),
      assigned: false,
    };
    const open = async (): Promise<void> => {
      if (this.#damaged.delete(taskId)) {
        log.warn('local state is rebuilt from the changelog', { taskId, reason: 'damaged' });
        await destroyTaskBackend(taskId);
      }
      following.replica = await StandbyReplica.open({
        applicationId: this.#options.plan.applicationId,
        broker,
        plan,
        clock,
        log,
        openState: () => this.#openState(plan),
        destroyState: () => destroyTaskBackend(taskId),
      });
    };
    following.opened = open().catch((error: unknown) => {
      following.error = asStreamsError(error, 'STORE_IO_FAILED');
    });
    this.#following.set(taskId, following);
  }

  async #openState(plan: TaskPlan): Promise<TaskState> {
    const { openTaskBackend, settings } = this.#options;
    return new TaskState(await openTaskBackend(plan.taskId), storesOf(plan), settings.cacheEntriesMax);
  }

  async #assignOpened(consumer: Consumer): Promise<void> {
    for (const following of this.#following.values()) {
      if (following.assigned || following.replica === undefined) continue;
      following.assigned = true;
      await consumer.assign(following.replica.inputs);
    }
  }

  async #poll(consumer: Consumer): Promise<void> {
    const { clock, log } = this.#options;
    try {
      for (const batch of await consumer.poll({ recordsMax: batchRecordsMax, waitMs: pollMs })) {
        if (batch.topic === this.#directory.topic) this.#directory.take(batch);
        else await this.#apply(batch.topic, batch.partition, (replica) => replica.apply(batch));
      }
    } catch (error) {
      const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
      const { topic, partition } = failure.context;
      if (failure.code === 'OFFSET_OUT_OF_RANGE' && topic !== undefined && partition !== undefined) {
        // Its log begins behind its position: opening it again finds that out, and begins anew (R5).
        await this.#apply(topic, partition, () => Promise.reject(failure));
      } else if (failure.kind === 'retriable') {
        log.warn('the changelogs cannot be followed now', { code: failure.code }, failure);
        await clock.sleep(pollMs, this.#stop.signal);
      } else throw failure;
    }
    const entries = { topic: this.#directory.topic, partition: 0 };
    if (consumer.position(entries) >= must(this.#instancesEnd, 'the topic has an end'))
      this.#directory.caughtUp();
  }

  /** What fails for one replica ends that one. */
  async #apply(
    topic: string,
    partition: number,
    work: (replica: StandbyReplica) => Promise<void>,
  ): Promise<void> {
    for (const { plan, replica } of this.#following.values()) {
      if (plan.partition !== partition || !plan.stores.some(({ changelog }) => changelog === topic)) continue;
      if (replica === undefined) return;
      try {
        await work(replica);
      } catch (error) {
        this.#failed(plan.taskId, asStreamsError(error, 'STORE_IO_FAILED'));
      }
      return;
    }
  }

  /** Lag, and the proof of the positions. The ends are asked for beside the loop: a broker may take its time. */
  async #prove(consumer: Consumer): Promise<void> {
    const { clock, broker } = this.#options;
    const known = this.#ends;
    this.#ends = undefined;
    if (known !== undefined) {
      for (const { plan, replica, assigned } of [...this.#following.values()]) {
        if (replica === undefined || !assigned) continue;
        try {
          await replica.prove(known.ends, known.atMs, (partition) => consumer.position(partition));
        } catch (error) {
          this.#failed(plan.taskId, asStreamsError(error, 'STORE_IO_FAILED'));
        }
      }
    }
    if (clock.monotonicMs() - this.#endsAskedMs < endsEveryMs) return;
    const inputs = [...this.#following.values()].flatMap(({ replica }) => replica?.inputs ?? []);
    if (inputs.length === 0) return;
    this.#endsAskedMs = clock.monotonicMs();
    const atMs = clock.nowMs();
    broker.admin.endOffsets(inputs, 'read_committed').then(
      (ends) => {
        const keys = inputs.map(({ topic, partition }) => partitionKey(topic, partition));
        this.#ends = { atMs, ends: new Map(keys.map((key, index) => [key, ends[index] as number])) };
      },
      () => {},
    );
  }

  #failed(taskId: string, failure: StreamsError): void {
    if (failure.code === 'INVARIANT_BROKEN') throw failure;
    if (failure.code === 'STORE_CORRUPTED') this.#damaged.add(taskId);
    this.#options.log.warn('a standby failed', { taskId, code: failure.code }, failure);
    this.#openNotBeforeMs = this.#options.clock.monotonicMs() + retryMs;
    this.#drop(taskId, 'it failed');
  }

  /** Closes a standby beside the loop; its folder stays. A token that comes meanwhile waits for the closing. */
  #drop(taskId: string, reason: string): void {
    const following = this.#following.get(taskId);
    if (following === undefined) return;
    this.#options.log.info('a standby ends', { taskId, reason });
    this.#following.delete(taskId);
    this.#gone.push(following);
    const close = async (): Promise<void> => {
      await following.opened;
      await following.replica?.close();
    };
    const closing = close()
      .catch((error: unknown) => this.#options.log.warn('closing a standby failed', { taskId }, error))
      .finally(() => {
        this.#closing.delete(taskId);
        if (this.#lifecycles.stateOf(taskId) === 'STANDBY') this.#lifecycles.move(taskId, 'close');
      });
    this.#closing.set(taskId, closing);
  }

  async #closeAll(): Promise<void> {
    for (const taskId of this.#following.keys()) this.#drop(taskId, 'the instance stops, or begins again');
    await Promise.all(this.#closing.values());
  }

  /** With a new consumer: the old one's trouble was not one changelog's. */
  async #beginAgain(): Promise<void> {
    await this.#closeAll();
    this.#gone = [];
    this.#placedAtChange = -1;
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await consumer?.close().catch(() => {});
  }
}
