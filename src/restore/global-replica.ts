/**
 * The global stores of one instance: opened where they stood, fed with batches of their topics by
 * thread/global-tables.ts, which owns the consumer.
 *
 * The rules of a restore hold here too (R1, R3, R5 of docs/spec/commit-cycle.md): committed records only, the
 * position after a batch in the same write as its rows, and a folder that cannot be these topics' is built anew.
 */
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker, PartitionOffset, RecordBatch } from '../broker/broker-port.ts';
import { decideReaction, type FailurePolicy } from '../failure/failure-policy.ts';
import { GlobalState } from '../store/global-state.ts';
import type { TaskState } from '../store/task-state.ts';
import { GlobalStores, globalRows } from '../task/global-stores.ts';
import type { PlannedGlobal } from '../task/task-plan.ts';
import { rebuildReason } from './replay-plan.ts';
import { originMeta, originOf } from './store-origin.ts';

/** The folder of the global stores stands beside those of the tasks. */
export const globalFolder = 'global';

export interface GlobalReplicaOptions {
  readonly applicationId: string;
  readonly broker: Broker;
  readonly globals: readonly PlannedGlobal[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly failurePolicy: FailurePolicy;
  /** With a store for each of `globals`. */
  readonly openState: () => Promise<TaskState>;
  readonly destroyState: () => Promise<void>;
}

/** One partition of a topic that is read whole. */
interface GlobalInput extends TopicPartition {
  readonly global: PlannedGlobal;
}

interface Feed extends GlobalInput {
  readonly topicId: string | undefined;
  readonly from: number;
  /** The last stable offset when it was opened: what has to be read before tasks run. */
  readonly target: number;
  /** The time of `from`: tombstones behind it may be gone when it is old, also half-way. */
  atMs: number;
  proven: { readonly position: number; readonly atMs: number } | undefined;
}

/** An unchanged position is proven again after so long: its age is what R5 looks at. */
const proveAgainMs = 60_000;

export class GlobalReplica {
  readonly stores: GlobalStores;
  /** Records taken so far, and those left out because they could not be read. */
  readonly counters = { applied: 0, unreadable: 0 };
  readonly #options: GlobalReplicaOptions;
  readonly #state: GlobalState;
  readonly #feeds: ReadonlyMap<string, Feed>;
  #filling = true;

  private constructor(options: GlobalReplicaOptions, state: TaskState, feeds: readonly Feed[]) {
    this.#options = options;
    this.#state = new GlobalState(state);
    this.#feeds = new Map(feeds.map((feed) => [partitionKey(feed.topic, feed.partition), feed]));
    this.stores = new GlobalStores(
      options.globals.map(({ spec }) => spec),
      this.#state,
    );
  }

  /** Opens the stores, anew if they are damaged or cannot be these topics' (R5). Errors: the store's and the broker's. */
  static async open(options: GlobalReplicaOptions): Promise<GlobalReplica> {
    const { log } = options;
    const rebuild = async (reason: string): Promise<void> => {
      log.warn('global stores are built anew from their topics', { reason });
      await options.destroyState();
    };
    let damaged = false;
    for (;;) {
      let state: TaskState;
      try {
        state = await options.openState();
      } catch (error) {
        if (damaged || !(error instanceof StreamsError) || error.code !== 'STORE_CORRUPTED') throw error;
        damaged = true;
        await rebuild('damaged');
        continue;
      }
      try {
        const feeds = await planFeeds(options, state);
        if (Array.isArray(feeds)) return new GlobalReplica(options, state, feeds);
        await state.close();
        await rebuild(feeds.reason);
      } catch (error) {
        await state.close();
        throw error;
      }
    }
  }

  /** What a consumer has to be assigned. */
  get inputs(): readonly PartitionOffset[] {
    return [...this.#feeds.values()].map(({ topic, partition, from }) => ({
      topic,
      partition,
      offset: from,
    }));
  }

  /** True when everything that was there at the opening is in the stores. */
  isFilled(position: (partition: TopicPartition) => number): boolean {
    return [...this.#feeds.values()].every((feed) => position(feed) >= feed.target);
  }

  /** From now on tasks may read: changes are seen by them at once. */
  filled(): void {
    this.#filling = false;
  }

  /** Errors: what is no record's fault; then nothing was taken, and the same batch may be given again. */
  async apply(batch: RecordBatch): Promise<void> {
    const feed = must(
      this.#feeds.get(partitionKey(batch.topic, batch.partition)),
      `topic ${batch.topic} belongs to no global store`,
    );
    const { spec } = feed.global;
    const { writes, unreadable } = await globalRows(spec, batch);
    for (const { offset, error } of unreadable) this.#leaveOut(batch, offset, error);
    const meta = this.#meta(feed, batch.offset(batch.count - 1) + 1);
    if (this.#filling) await this.#state.fill(spec.store.name, writes, meta);
    else await this.#state.write(spec.store.name, writes, meta);
    this.counters.applied += batch.count;
    this.counters.unreadable += unreadable.length;
  }

  /** Writes positions that have reached the ends: past markers, and to keep them young. */
  async prove(
    ends: ReadonlyMap<string, number>,
    atMs: number,
    position: (partition: TopicPartition) => number,
  ): Promise<void> {
    for (const [key, feed] of this.#feeds) {
      const at = position(feed);
      if (at < (ends.get(key) ?? Number.POSITIVE_INFINITY)) continue;
      const { proven } = feed;
      if (proven !== undefined && proven.position === at && atMs - proven.atMs < proveAgainMs) continue;
      feed.proven = { position: at, atMs };
      feed.atMs = atMs;
      await this.#state.fill(feed.global.spec.store.name, [], this.#meta(feed, at));
    }
  }

  close(): Promise<void> {
    return this.#state.close();
  }

  #leaveOut(batch: RecordBatch, offset: number, error: StreamsError): void {
    const { log, failurePolicy } = this.#options;
    const where = { topic: batch.topic, partition: batch.partition, offset };
    if (decideReaction('deserialization', error, failurePolicy) === 'stop')
      throw new StreamsError(error.code, error.message, { context: where, cause: error, kind: 'fatal' });
    // No dead letter: every instance meets it, at every start.
    log.warn('a record is left out of its global store', {
      ...where,
      code: error.code,
      reason: error.message,
    });
  }

  #meta(feed: Feed, next: number): Map<string, string> {
    const { topicId, atMs } = feed;
    const meta = new Map([
      [metaName('global', feed), String(next)],
      [metaName('global-at', feed), String(atMs)],
      [originMeta, originOf(this.#options.applicationId, globalFolder)],
    ]);
    if (topicId !== undefined) meta.set(metaName('global-id', feed), topicId);
    return meta;
  }
}

/** By the store's name too: a position says what is in that store, not in its successor under another name. */
function metaName(what: 'global' | 'global-at' | 'global-id', input: GlobalInput): string {
  return `${what}/${input.global.spec.store.name}/${input.topic}/${input.partition}`;
}

async function planFeeds(
  options: GlobalReplicaOptions,
  state: TaskState,
): Promise<Feed[] | { readonly reason: string }> {
  const { broker, applicationId, clock } = options;
  const nowMs = clock.nowMs();
  const [origin] = await state.readMeta([originMeta]);
  if (origin !== undefined && origin !== originOf(applicationId, globalFolder))
    return { reason: `the folder holds the state of ${origin}` };
  const inputs: GlobalInput[] = options.globals.flatMap((global) =>
    Array.from({ length: global.partitions }, (_, partition) => ({
      global,
      topic: global.spec.topic,
      partition,
    })),
  );
  const starts = await broker.admin.startOffsets(inputs);
  const ends = await broker.admin.endOffsets(inputs, 'read_uncommitted');
  const targets = await broker.admin.endOffsets(inputs, 'read_committed');
  // Kafka refuses a list that names a topic twice.
  const names = options.globals.map(({ spec }) => spec.topic);
  const described = await broker.admin.describeTopics(names);
  const idOf = new Map(names.map((name, index) => [name, described[index]?.topicId]));
  const meta = (what: Parameters<typeof metaName>[0]) =>
    state.readMeta(inputs.map((input) => metaName(what, input)));
  const [positions, times, ids] = [await meta('global'), await meta('global-at'), await meta('global-id')];
  const feeds: Feed[] = [];
  for (const [index, input] of inputs.entries()) {
    const log = {
      start: starts[index] as number,
      end: ends[index] as number,
      topicId: idOf.get(input.topic),
      nowMs,
    };
    const position = positions[index] === undefined ? undefined : Number(positions[index]);
    const kept = { position, atMs: Number(times[index] ?? Number.NaN), topicId: ids[index] };
    const reason = rebuildReason(kept, log);
    if (reason !== undefined) return { reason: `${input.topic}-${input.partition}: ${reason}` };
    feeds.push({
      ...input,
      topicId: log.topicId,
      from: position ?? log.start,
      target: targets[index] as number,
      atMs: Number.isNaN(kept.atMs) ? nowMs : kept.atMs,
      proven: undefined,
    });
  }
  return feeds;
}
