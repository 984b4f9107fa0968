/**
 * One standby task: a store that follows its changelogs, in the folder that the active task would use. Fed with
 * batches by thread/standby-tasks.ts, which owns the consumer.
 *
 * The rules of a restore hold here too (R1, R3, R5 of docs/spec/commit-cycle.md): committed records only, the
 * position after a batch in the same write as the batch, never a generation. So whoever gets the token goes on
 * from here by a restore of the gap, with the store as it is.
 */
import type { Clock } from '../base/clock-port.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, PartitionOffset, RecordBatch } from '../broker/broker-port.ts';
import type { TaskState } from '../store/task-state.ts';
import type { TaskPlan } from '../task/task-plan.ts';
import { changesOf, metaOfReplay, planReplays, provenance, type Replay } from './replay-plan.ts';

export interface StandbyOptions {
  readonly applicationId: string;
  readonly broker: Broker;
  readonly plan: TaskPlan;
  readonly clock: Clock;
  readonly log: Logger;
  readonly openState: () => Promise<TaskState>;
  readonly destroyState: () => Promise<void>;
}

/** An unchanged position is proven again after so long: its age is what R5 looks at. */
const proveAgainMs = 60_000;

export class StandbyReplica {
  readonly plan: TaskPlan;
  /** Changelog records written so far. */
  applied = 0;
  /** Offsets to the last stable offset when it was last asked for; undefined before that. */
  lag: number | undefined;
  readonly #state: TaskState;
  readonly #replays: Map<string, Replay>;
  readonly #proven = new Map<string, { readonly position: number; readonly atMs: number }>();
  #writing: Promise<void> = Promise.resolve();
  #ended = false;

  private constructor(plan: TaskPlan, state: TaskState, replays: readonly Replay[]) {
    this.plan = plan;
    this.#state = state;
    this.#replays = new Map(replays.map((replay) => [partitionKey(replay.topic, replay.partition), replay]));
  }

  /** Opens the store, anew if it cannot be these changelogs' (R5). Errors: the store's and the broker's. */
  static async open(options: StandbyOptions): Promise<StandbyReplica> {
    const { broker, plan, clock, log } = options;
    for (;;) {
      const state = await options.openState();
      try {
        const replays = await planReplays({
          broker,
          applicationId: options.applicationId,
          plan,
          state,
          nowMs: clock.nowMs(),
        });
        if (Array.isArray(replays)) return new StandbyReplica(plan, state, replays);
        const { reason } = replays;
        log.warn('local state is rebuilt from the changelog', { taskId: plan.taskId, reason });
      } catch (error) {
        await state.close();
        throw error;
      }
      await state.close();
      await options.destroyState();
    }
  }

  /** Its changelogs, and from where each is to be followed. */
  get inputs(): PartitionOffset[] {
    return [...this.#replays.values()].map(({ topic, partition, from }) => ({
      topic,
      partition,
      offset: from,
    }));
  }

  /** Writes a batch of one of its changelogs. Order: batches of a changelog in the order they were polled. */
  apply(batch: RecordBatch): Promise<void> {
    const replay = this.#replays.get(partitionKey(batch.topic, batch.partition));
    if (replay === undefined || this.#ended) return Promise.resolve();
    const next = batch.offset(batch.count - 1) + 1;
    return this.#write(async () => {
      await this.#state.applyChangelog(replay.store, changesOf(batch), metaOfReplay(replay, next));
      this.applied += batch.count;
    });
  }

  /**
   * Notes that it had everything at `atMs`, where its position has reached the end that was asked for then.
   * Order: everything polled has been applied.
   */
  prove(
    ends: ReadonlyMap<string, number>,
    atMs: number,
    position: (partition: TopicPartition) => number,
  ): Promise<void> {
    const meta: [string, string][] = [];
    let lag = 0;
    let store: string | undefined;
    for (const [key, replay] of this.#replays) {
      const end = ends.get(key);
      if (end === undefined) return Promise.resolve();
      const at = position(replay);
      lag += Math.max(0, end - at);
      if (at < end) continue;
      const proven = this.#proven.get(key);
      if (proven !== undefined && proven.position === at && atMs - proven.atMs < proveAgainMs) continue;
      this.#proven.set(key, { position: at, atMs });
      // Batches written from here on begin at a position of this moment.
      this.#replays.set(key, { ...replay, atMs });
      meta.push(...provenance(replay.topic, at, replay.topicId, atMs));
      store = replay.store;
    }
    this.lag = lag;
    const first = store;
    if (first === undefined || this.#ended) return Promise.resolve();
    return this.#write(() => this.#state.applyChangelog(first, [], new Map(meta)));
  }

  /** The open store, for the active task; the replica is at its end. */
  async take(): Promise<TaskState> {
    this.#ended = true;
    await this.#writing;
    return this.#state;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await (await this.take()).close();
  }

  #write(write: () => Promise<void>): Promise<void> {
    const done = write();
    this.#writing = done.catch(() => {});
    return done;
  }
}
