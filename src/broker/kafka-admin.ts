/**
 * Topics and offsets through the Kafka client's admin calls, and what is known of topics, kept for the
 * consumers and producers of the same broker. Opened by kafka-broker.ts.
 *
 * A group's offsets are asked for through a consumer of that name, never through the library's admin call: that
 * one crashes the process when the coordinator has moved or its connection breaks (librdkafka issues 5040, 4605).
 *
 * It asks with `describeTopics`, never with a metadata request for a topic: brokers create a topic that a
 * producer's metadata request names.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Admin, Isolation, TopicDescription, TopicSpec } from './broker-port.ts';
import type {
  Done,
  KafkaLibrary,
  NativeAdmin,
  NativeConsumer,
  NativeGroupDescription,
  NativePartitionOffset,
  NativeProducer,
  NativeTopicDescription,
} from './kafka-client-types.ts';
import { asNativeError, kafkaCode, requestError } from './kafka-errors.ts';
import { type KafkaHandle, requested } from './kafka-handle.ts';
import type { Share } from './kafka-share-watch.ts';

/** A single admin request. */
const requestTimeoutMs = 10_000;
/** How long a topic may take to appear on, or to vanish from, all brokers. */
const settleTimeoutMs = 30_000;
const settlePauseMs = 20;
/** Leader not available, not leader for partition, fenced and unknown leader epoch. */
const movingLeaderCodes = new Set([5, 6, 74, 76]);
/** How long a pending transaction may hide a committed offset. Above the default transaction time-out. */
const stableOffsetTimeoutMs = 20_000;

/** The library's number for a group in which every member has what it shall have. */
const stableGroup = 3;
/** What a leader answers that has no record of that time or later. */
const noneAtThatTime = -1;

export interface KafkaAdminOptions {
  readonly library: KafkaLibrary;
  readonly handle: KafkaHandle<NativeProducer>;
  /** A consumer that carries the group's name and reads stable offsets, and never joins the group. */
  readonly offsetReader: (groupId: string) => Promise<KafkaHandle<NativeConsumer>>;
  readonly clock: Clock;
}

export class KafkaAdmin implements Admin {
  readonly #options: KafkaAdminOptions;
  readonly #native: NativeAdmin;
  /** Partition counts of topics seen to exist. */
  readonly #known = new Map<string, number>();

  constructor(options: KafkaAdminOptions) {
    this.#options = options;
    this.#native = options.handle.now((producer) => options.library.adminFrom(producer));
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    const outcomes = await Promise.allSettled(specs.map((spec) => this.#create(spec)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    await this.#settled(
      specs.map((spec) => spec.name),
      (topic) => topic?.partitions.every(hasLeader) === true,
      'the topics were created but have no leaders yet',
    );
  }

  async describeTopics(names: readonly string[]): Promise<(TopicDescription | undefined)[]> {
    const described = await this.#describe(names);
    return described.map(
      (topic) =>
        topic && {
          name: topic.name,
          partitions: topic.partitions.length,
          topicId: topic.topicId?.base64,
        },
    );
  }

  /** By a metadata request for all topics, which creates none. */
  async listTopics(): Promise<string[]> {
    const names = await requested(
      'topics cannot be listed',
      this.#call<readonly string[]>((admin, done) => admin.listTopics({ timeout: requestTimeoutMs }, done)),
    );
    return [...names];
  }

  async growTopic(name: string, partitions: number): Promise<void> {
    const [found] = await this.#describe([name]);
    if (found === undefined) throw unknownTopic(name, 0, undefined);
    if (found.partitions.length >= partitions) return;
    await requested(
      `topic ${name} cannot get more partitions`,
      this.#call<void>((admin, done) => admin.createPartitions(name, partitions, requestTimeoutMs, done)),
      { topic: name },
    );
    await this.#settled(
      [name],
      (topic) => (topic?.partitions.length ?? 0) >= partitions && topic?.partitions.every(hasLeader) === true,
      'the new partitions have no leaders yet',
    );
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#delete(name)));
    await this.#settled(names, (topic) => topic === undefined, 'the topics are still being deleted');
    for (const name of names) this.#known.delete(name);
  }

  startOffsets(partitions: readonly TopicPartition[]): Promise<number[]> {
    return this.#listOffsets(partitions, this.#options.library.earliest, 'read_uncommitted');
  }

  endOffsets(partitions: readonly TopicPartition[], isolation: Isolation): Promise<number[]> {
    return this.#listOffsets(partitions, this.#options.library.latest, isolation);
  }

  async offsetsForTimes(
    partitions: readonly (TopicPartition & { readonly timestampMs: number })[],
  ): Promise<(number | undefined)[]> {
    if (partitions.length === 0) return [];
    await this.requireTopics(partitions);
    const { library } = this.#options;
    const asked = partitions.map(({ topic, partition, timestampMs }) => ({
      topic,
      partition,
      offset: library.atTime(timestampMs),
    }));
    const found = byPartition(await this.#listOnce(asked, 0, noneAtThatTime));
    return partitions.map((at) => {
      const offset = this.#listed(at, found.get(partitionKey(at.topic, at.partition)), noneAtThatTime);
      return offset === noneAtThatTime ? undefined : offset;
    });
  }

  async committedOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
  ): Promise<(number | undefined)[]> {
    if (partitions.length === 0) return [];
    const deadlineMs = this.#options.clock.monotonicMs() + stableOffsetTimeoutMs;
    for (;;) {
      const found = await this.#committedOnce(groupId, partitions);
      if (found !== 'unstable') return found;
      if (this.#options.clock.monotonicMs() > deadlineMs) {
        const sentence =
          'a pending transaction hides the committed offsets, or their coordinator does not answer';
        throw new StreamsError('BROKER_UNAVAILABLE', sentence, {
          context: { group: groupId, waitedMs: stableOffsetTimeoutMs },
          hint: 'if that lasts for minutes: see "What the broker may lose" in docs/spec/guarantees.md',
        });
      }
      await this.#options.clock.sleep(settlePauseMs);
    }
  }

  /** Errors: TOPIC_UNKNOWN, for a topic or for a partition that it does not have. */
  async requireTopics(partitions: readonly TopicPartition[]): Promise<void> {
    const unseen = new Set<string>();
    for (const { topic, partition } of partitions) {
      const count = this.#known.get(topic);
      if (count === undefined || partition >= count) unseen.add(topic);
    }
    if (unseen.size > 0) await this.#describe([...unseen]);
    for (const { topic, partition } of partitions) {
      const count = this.#known.get(topic);
      if (count === undefined || partition >= count || partition < 0)
        throw unknownTopic(topic, partition, count);
    }
  }

  /** Whether `requireTopics` could only agree. */
  isKnown(topic: string, partition: number): boolean {
    const count = this.#known.get(topic);
    return count !== undefined && partition >= 0 && partition < count;
  }

  async offsetRanges(partitions: readonly TopicPartition[]): Promise<{ start: number; end: number }[]> {
    const [starts, ends] = await Promise.all([
      this.startOffsets(partitions),
      this.endOffsets(partitions, 'read_uncommitted'),
    ]);
    return starts.map((start, i) => ({ start, end: ends[i] ?? start }));
  }

  stableOffsets(partitions: readonly TopicPartition[]): Promise<number[]> {
    return this.endOffsets(partitions, 'read_committed');
  }

  async #create(spec: TopicSpec): Promise<void> {
    const topic = {
      topic: spec.name,
      num_partitions: spec.partitions,
      // Minus one: the broker's default.replication.factor.
      replication_factor: -1,
      config: spec.config ?? {},
    };
    await requested(
      `topic ${spec.name} cannot be created`,
      this.#call<void>((admin, done) => admin.createTopic(topic, requestTimeoutMs, done)),
      { topic: spec.name },
    );
  }

  async #delete(name: string): Promise<void> {
    try {
      await this.#call<void>((admin, done) => admin.deleteTopic(name, requestTimeoutMs, done));
    } catch (thrown) {
      const error = asNativeError(thrown);
      if (error.code === kafkaCode.unknownTopic) return;
      throw thrown instanceof StreamsError
        ? thrown
        : requestError(error, `topic ${name} cannot be deleted`, { topic: name });
    }
  }

  async #describe(names: readonly string[]): Promise<(NativeTopicDescription | undefined)[]> {
    if (names.length === 0) return [];
    const described = await requested(
      'topics cannot be described',
      this.#call<readonly NativeTopicDescription[]>((admin, done) =>
        admin.describeTopics([...new Set(names)], { timeout: requestTimeoutMs }, done),
      ),
    );
    const byName = new Map(described.map((topic) => [topic.name, topic]));
    return names.map((name) => {
      const topic = byName.get(name);
      const code = topic?.error?.code ?? 0;
      if (topic === undefined || code === kafkaCode.unknownTopic) {
        this.#known.delete(name);
        return undefined;
      }
      if (topic.error !== undefined && code !== 0) {
        throw requestError(topic.error, `topic ${name} cannot be described`, { topic: name });
      }
      this.#known.set(name, topic.partitions.length);
      return topic;
    });
  }

  /** Asks until every topic is as it should be. */
  async #settled(
    names: readonly string[],
    isSettled: (topic: NativeTopicDescription | undefined) => boolean,
    otherwise: string,
  ): Promise<void> {
    const deadlineMs = this.#options.clock.monotonicMs() + settleTimeoutMs;
    while (!(await this.#describe(names)).every(isSettled)) {
      if (this.#options.clock.monotonicMs() > deadlineMs) {
        throw new StreamsError('BROKER_UNAVAILABLE', otherwise, { context: { waitedMs: settleTimeoutMs } });
      }
      await this.#options.clock.sleep(settlePauseMs);
    }
  }

  async #listOffsets(
    partitions: readonly TopicPartition[],
    offset: unknown,
    isolation: Isolation,
  ): Promise<number[]> {
    if (partitions.length === 0) return [];
    await this.requireTopics(partitions);
    const isolationLevel = isolation === 'read_committed' ? 1 : 0;
    const asked = distinct(partitions).map(({ topic, partition }) => ({ topic, partition, offset }));
    const found = byPartition(await this.#listOnce(asked, isolationLevel, 0));
    return partitions.map((at) => this.#listed(at, found.get(partitionKey(at.topic, at.partition)), 0));
  }

  #listed(
    { topic, partition }: TopicPartition,
    entry: NativePartitionOffset | undefined,
    least: number,
  ): number {
    if (entry?.error !== undefined && entry.error.code !== 0) {
      throw requestError(entry.error, 'offsets cannot be listed', { topic, partition });
    }
    if (typeof entry?.offset !== 'number') throw unknownTopic(topic, partition, undefined);
    if (entry.offset < least)
      throw new StreamsError('BROKER_UNAVAILABLE', 'the leader of a partition does not tell its offsets', {
        context: { topic, partition, waitedMs: settleTimeoutMs },
      });
    return entry.offset;
  }

  /**
   * Asked again while a partition has no leader, or one that does not know of it yet. Where the leader's answer
   * was lost the library gives an offset below `least`, and no error with it.
   */
  async #listOnce(
    asked: readonly (TopicPartition & { readonly offset: unknown })[],
    isolationLevel: number,
    least: number,
  ): Promise<readonly NativePartitionOffset[]> {
    const deadlineMs = this.#options.clock.monotonicMs() + settleTimeoutMs;
    for (;;) {
      const listed = await requested(
        'offsets cannot be listed',
        this.#call<readonly NativePartitionOffset[]>((admin, done) =>
          admin.listOffsets(asked, { timeout: requestTimeoutMs, isolationLevel }, done),
        ),
      );
      const isMoving = listed.some(({ error, offset }) =>
        error === undefined || error.code === 0
          ? typeof offset === 'number' && offset < least
          : movingLeaderCodes.has(error.code),
      );
      if (!isMoving || this.#options.clock.monotonicMs() > deadlineMs) return listed;
      await this.#options.clock.sleep(settlePauseMs);
    }
  }

  async #committedOnce(
    groupId: string,
    partitions: readonly TopicPartition[],
  ): Promise<(number | undefined)[] | 'unstable'> {
    const asked = distinct(partitions);
    const doing = `the offsets of group ${groupId} cannot be read`;
    const reader = await this.#options.offsetReader(groupId);
    let found: readonly (NativePartitionOffset | Error)[];
    try {
      found = await requested(
        doing,
        reader.call<readonly (NativePartitionOffset | Error)[]>((consumer, done) =>
          consumer.committed(asked, requestTimeoutMs, done),
        ),
      );
    } catch (error) {
      // The library asks again by itself while offsets are not stable, until its time is over.
      if (error instanceof StreamsError && error.context.kafkaCode === kafkaCode.timedOut) return 'unstable';
      throw error;
    }
    const offsets = new Map<string, number>();
    for (const [index, { topic, partition }] of asked.entries()) {
      const entry = found[index];
      if (entry instanceof Error) {
        if (isUnknownTopic(entry)) continue;
        // The library tells the reason of a single partition by its text alone: offsets that are not stable yet.
        return 'unstable';
      }
      if (typeof entry?.offset === 'number' && entry.offset >= 0)
        offsets.set(partitionKey(topic, partition), entry.offset);
    }
    return partitions.map(({ topic, partition }) => offsets.get(partitionKey(topic, partition)));
  }

  /**
   * What the group has for the member of that client id; `none` only once the group has settled. Only for groups of
   * the new protocol. Errors: BROKER_UNAVAILABLE, BROKER_REQUEST_FAILED.
   */
  async shareInGroup(groupId: string, memberClientId: string): Promise<Share> {
    const described = await requested(
      'the group cannot be described',
      this.#call<{ readonly groups: readonly NativeGroupDescription[] }>((admin, done) =>
        admin.describeGroups([groupId], { timeout: requestTimeoutMs }, done),
      ),
      { group: groupId },
    );
    const [group] = described.groups;
    const own = group?.members.filter(({ clientId }) => clientId === memberClientId) ?? [];
    if (own.length === 0) return 'not a member';
    const isNone = own.every((each) => each.targetAssignment?.topicPartitions.length === 0);
    return isNone && group?.state === stableGroup ? 'none' : 'some';
  }

  #call<T>(start: (admin: NativeAdmin, done: Done<T>) => void): Promise<T> {
    return this.#options.handle.call<T>((_producer, done) => start(this.#native, done));
  }
}

function isUnknownTopic(error: Error): boolean {
  return /unknown topic/i.test(error.message);
}

function hasLeader(partition: { readonly leader: unknown }): boolean {
  return partition.leader !== null && partition.leader !== undefined;
}

function byPartition(entries: readonly NativePartitionOffset[]): Map<string, NativePartitionOffset> {
  return new Map(entries.map((entry) => [partitionKey(entry.topic, entry.partition), entry]));
}

/** The library refuses a list that names a partition twice. */
function distinct(partitions: readonly TopicPartition[]): TopicPartition[] {
  const seen = new Map(
    partitions.map(({ topic, partition }) => [partitionKey(topic, partition), { topic, partition }]),
  );
  return [...seen.values()];
}

function unknownTopic(topic: string, partition: number, count: number | undefined): StreamsError {
  return count === undefined
    ? new StreamsError('TOPIC_UNKNOWN', 'the topic does not exist', { context: { topic } })
    : new StreamsError('TOPIC_UNKNOWN', `the topic has only ${count} partitions`, {
        context: { topic, partition },
      });
}
