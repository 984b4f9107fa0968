/**
 * The topics of the embedded broker: created, described, found by name, deleted. Called by its admin,
 * producers and consumers; knows nothing of records.
 */
import type { Write } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { TopicDescription, TopicSpec } from './broker-port.ts';
import { brokerKey, groupOffsetKey, layoutVersion, partitionKeyOf, topicKey } from './embedded-keys.ts';
import { PartitionLog } from './embedded-log.ts';
import type { OffsetStore } from './embedded-offsets.ts';
import type { EmbeddedStorage } from './embedded-storage.ts';

const deletedChunksPerWrite = 1000;

/** Shape: what a topic's entry in the store says. */
export interface StoredTopic {
  readonly number: number;
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface Topic extends StoredTopic {
  readonly logs: readonly PartitionLog[];
}

export class TopicRegistry {
  readonly #storage: EmbeddedStorage;
  readonly #offsets: OffsetStore;
  readonly #clock: Clock;
  readonly #chunkBytesMax: number;
  readonly #topics = new Map<string, Topic>();
  /** Names being created: taken, and not there yet. */
  readonly #reserved = new Set<string>();
  #nextNumber = 1;

  constructor(options: {
    storage: EmbeddedStorage;
    offsets: OffsetStore;
    clock: Clock;
    chunkBytesMax: number;
  }) {
    this.#storage = options.storage;
    this.#offsets = options.offsets;
    this.#clock = options.clock;
    this.#chunkBytesMax = options.chunkBytesMax;
  }

  all(): Iterable<Topic> {
    return this.#topics.values();
  }

  /** Puts back a topic found in the store. */
  restore(
    stored: StoredTopic,
    ends: (partition: number) => { start: number; end: number } | undefined,
  ): Topic {
    const topic = this.#build(stored, ends);
    this.#topics.set(topic.name, topic);
    this.#nextNumber = Math.max(this.#nextNumber, topic.number + 1);
    return topic;
  }

  restoreNextNumber(nextNumber: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, nextNumber);
  }

  /** Errors: TOPIC_UNKNOWN. */
  require(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    throw new StreamsError('TOPIC_UNKNOWN', `the topic ${name} does not exist`, { context: { topic: name } });
  }

  /** Errors: TOPIC_UNKNOWN. */
  log(topic: string, partition: number): PartitionLog {
    const log = this.require(topic).logs[partition];
    if (log !== undefined) return log;
    const sentence = `the topic ${topic} has no such partition`;
    throw new StreamsError('TOPIC_UNKNOWN', sentence, { context: { topic, partition } });
  }

  /** Errors: TOPIC_UNKNOWN. */
  logsOf(partitions: readonly TopicPartition[]): PartitionLog[] {
    return partitions.map(({ topic, partition }) => this.log(topic, partition));
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  describe(name: string): TopicDescription | undefined {
    const topic = this.#topics.get(name);
    return topic && { name, partitions: topic.partitions, topicId: topic.id, config: topic.config };
  }

  /** All or none. Errors: TOPIC_EXISTS, SETTING_INVALID. */
  async create(specs: readonly TopicSpec[]): Promise<void> {
    const names = new Set<string>();
    for (const spec of specs) {
      checkSpec(spec);
      if (this.#topics.has(spec.name) || this.#reserved.has(spec.name) || names.has(spec.name)) {
        throw new StreamsError('TOPIC_EXISTS', `the topic ${spec.name} exists`, {
          context: { topic: spec.name },
        });
      }
      names.add(spec.name);
    }
    const topics = specs.map((spec) => this.#build(this.#stored(spec), () => undefined));
    for (const name of names) this.#reserved.add(name);
    try {
      await this.#storage.write((writes) => {
        writes.push({ key: brokerKey, value: this.#encodeBroker() });
        for (const topic of topics) writes.push({ key: topicKey(topic.number), value: encodeTopic(topic) });
      });
    } finally {
      for (const name of names) this.#reserved.delete(name);
    }
    for (const topic of topics) this.#topics.set(topic.name, topic);
  }

  /** Errors: TOPIC_UNKNOWN. */
  async grow(name: string, partitions: number): Promise<void> {
    const topic = this.require(name);
    if (partitions <= topic.partitions) return;
    const grown = this.#build({ ...topic, partitions }, () => undefined);
    const logs = [...topic.logs, ...grown.logs.slice(topic.logs.length)];
    await this.#storage.write((writes) => {
      writes.push({ key: topicKey(topic.number), value: encodeTopic(grown) });
    });
    this.#topics.set(name, { ...grown, logs });
  }

  /** The entry goes first: a crash then leaves chunks of a topic that nobody knows, which opening removes. */
  async delete(names: readonly string[]): Promise<void> {
    const topics = names.map((name) => this.#topics.get(name)).filter((topic) => topic !== undefined);
    for (const topic of topics) {
      this.#topics.delete(topic.name);
      for (const log of topic.logs) log.markDeleted();
      const dropped = this.#offsets.dropTopic(topic.name);
      await this.#storage.write((writes) => {
        writes.push({ key: topicKey(topic.number), value: null });
        for (const { groupId, partition } of dropped) {
          writes.push({ key: groupOffsetKey(groupId, topic.number, partition), value: null });
        }
        for (const log of topic.logs) {
          writes.push({ key: partitionKeyOf('p', topic.number, log.partition), value: null });
        }
      });
      for (const log of topic.logs) await this.#deleteChunks(log);
    }
  }

  async #deleteChunks(log: PartitionLog): Promise<void> {
    const chunks = log.chunks.splice(0);
    for (const chunk of chunks) this.#storage.forget(chunk);
    for (let at = 0; at < chunks.length; at += deletedChunksPerWrite) {
      await this.#storage.write((writes: Write[]) => {
        for (const chunk of chunks.slice(at, at + deletedChunksPerWrite)) {
          this.#storage.deleteChunk(log, chunk.base, writes);
        }
      });
    }
  }

  /** The id tells topics of the same name apart, also when the whole store was made anew. */
  #stored(spec: TopicSpec): StoredTopic {
    const number = this.#nextNumber++;
    const id = `${number.toString(36)}-${Math.floor(this.#clock.nowMs()).toString(36)}`;
    return { number, name: spec.name, id, partitions: spec.partitions, config: spec.config ?? {} };
  }

  #build(
    stored: StoredTopic,
    ends: (partition: number) => { start: number; end: number } | undefined,
  ): Topic {
    const logs = Array.from(
      { length: stored.partitions },
      (_, partition) =>
        new PartitionLog({
          topic: stored.name,
          topicNumber: stored.number,
          partition,
          config: stored.config,
          chunkBytesMax: this.#chunkBytesMax,
          changed: this.#storage.changed,
          ...ends(partition),
        }),
    );
    return { ...stored, logs };
  }

  #encodeBroker(): Buffer {
    return Buffer.from(JSON.stringify({ version: layoutVersion, nextTopicNumber: this.#nextNumber }));
  }
}

function encodeTopic({ number, name, id, partitions, config }: StoredTopic): Buffer {
  return Buffer.from(JSON.stringify({ number, name, id, partitions, config }));
}

/** Kafka's rule for names. */
function checkSpec(spec: TopicSpec): void {
  const context = { topic: spec.name };
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(spec.name) || spec.name === '.' || spec.name === '..') {
    const sentence = `a topic's name is 1 to 249 letters, digits, dots, underscores and hyphens`;
    throw new StreamsError('SETTING_INVALID', sentence, { context });
  }
  if (!Number.isInteger(spec.partitions) || spec.partitions < 1) {
    throw new StreamsError('SETTING_INVALID', 'a topic has at least one partition', { context });
  }
}
