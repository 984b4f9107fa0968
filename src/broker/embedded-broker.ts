/**
 * A broker inside the process: Kafka's semantics behind the broker port, kept in a KeyValueBackend or, with
 * none, in memory. For first runs, tests, the test driver and the simulator; one process only, and past
 * one machine it is always Kafka.
 *
 * Durable: a commit is one synced batch. What a crash interrupts is as if aborted, and the log is whole
 * after it. Records without a transaction are durable when `flush` resolves. After a failed write every
 * call fails (BROKER_REQUEST_FAILED): reopening the store tells what it holds.
 *
 * Has no timer of its own: time-outs of transactions and sessions are noticed by whoever calls next, and a
 * waiting poll wakes for them. Retention and compaction run in `maintain()`, which the owner calls.
 * A reader without isolation sees aborted records while they are in memory; they are never stored.
 */
import type { KeyValueBackend } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import { type Logger, silentTelemetry } from '../base/telemetry-port.ts';
import type {
  Admin,
  Broker,
  Consumer,
  GroupMember,
  GroupOptions,
  Isolation,
  Producer,
  TopicDescription,
  TopicSpec,
} from './broker-port.ts';
import { LogCleaner } from './embedded-cleaner.ts';
import { EmbeddedConsumer } from './embedded-consumer.ts';
import { GroupRegistry } from './embedded-groups.ts';
import { groupOffsetKey, numberValue } from './embedded-keys.ts';
import { loadBroker } from './embedded-loader.ts';
import { type GroupOffset, OffsetStore } from './embedded-offsets.ts';
import { EmbeddedProducer } from './embedded-producer.ts';
import { EmbeddedStorage } from './embedded-storage.ts';
import { TopicRegistry } from './embedded-topics.ts';
import { TransactionCoordinator } from './embedded-transactions.ts';

export interface EmbeddedBrokerOptions {
  /** Undefined = in memory. The broker closes it. */
  readonly backend: KeyValueBackend | undefined;
  readonly clock: Clock;
  readonly log?: Logger;
  /** The largest record; a topic's `max.message.bytes` comes first. Default: 1 MiB. */
  readonly recordBytesMax?: number;
  /** Stored records kept in memory for readers. Default: 64 MiB. Without a backend all are kept. */
  readonly cacheBytesMax?: number;
  /** Records of one writer in one value of the store. Default: 256 KiB. */
  readonly chunkBytesMax?: number;
  /** A transaction that runs longer is aborted, unless its producer says otherwise. Default: 60 s. */
  readonly transactionTimeoutMs?: number;
  /** How long `committedOffsets` waits for offsets to be stable before it fails, retriably. Default: 5 s. */
  readonly stableOffsetsWaitMs?: number;
  /**
   * Asked once per log of a commit, and once for its offsets: how long their markers take to land, as on a
   * cluster. For the simulator; by default all of a commit is seen at once.
   */
  readonly markerDelayMs?: () => number;
}

/**
 * Opens the broker; what the backend holds is its topics. Errors: STORE_CORRUPTED, STORE_IO_FAILED.
 *
 * @example
 * ```ts
 * import { openEmbeddedBroker, wallClock } from 'millrace';
 *
 * const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
 * await broker.admin.createTopics([{ name: 'orders', partitions: 4 }]);
 * const [orders] = await broker.admin.describeTopics(['orders']);
 * console.log(orders?.partitions);
 * await broker.close();
 * // prints: 4
 * ```
 */
export async function openEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> {
  const broker = new EmbeddedBroker(options);
  await broker.load();
  return broker;
}

export class EmbeddedBroker implements Broker {
  readonly kind = 'embedded';
  readonly admin: Admin;
  readonly #options: EmbeddedBrokerOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #storage: EmbeddedStorage;
  readonly #offsets = new OffsetStore();
  readonly #topics: TopicRegistry;
  readonly #transactions: TransactionCoordinator;
  readonly #groups: GroupRegistry;
  readonly #cleaner: LogCleaner;
  readonly #clients = new Set<{ close(): Promise<void> }>();
  #maintaining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** Use `openEmbeddedBroker`. */
  constructor(options: EmbeddedBrokerOptions) {
    const { clock, backend, chunkBytesMax = 256 * 1024 } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = options.log ?? silentTelemetry.log;
    const storage = new EmbeddedStorage(backend, clock, options.cacheBytesMax ?? 64 * 1024 * 1024);
    const offsets = this.#offsets;
    this.#storage = storage;
    this.#topics = new TopicRegistry({ storage, offsets, clock, chunkBytesMax });
    const topicNumber = (topic: string): number | undefined => this.#topics.get(topic)?.number;
    this.#transactions = new TransactionCoordinator({
      storage,
      offsets,
      topicNumber,
      clock,
      markerDelayMs: options.markerDelayMs,
    });
    this.#groups = new GroupRegistry(clock, (offsets) => this.#commitOffsets(offsets));
    this.#cleaner = new LogCleaner(storage, clock, chunkBytesMax);
    this.admin = this.#createAdmin();
  }

  /** Part of opening. */
  async load(): Promise<void> {
    const { backend } = this.#options;
    if (backend === undefined) return;
    const startedMs = this.#clock.monotonicMs();
    await loadBroker(backend, {
      topics: this.#topics,
      offsets: this.#offsets,
      transactions: this.#transactions,
    });
    this.#log.info('embedded broker opened', {
      topics: [...this.#topics.all()].length,
      milliseconds: Math.round(this.#clock.monotonicMs() - startedMs),
    });
  }

  async openConsumer(options: {
    readonly isolation: Isolation;
    readonly clientId: string;
  }): Promise<Consumer> {
    this.#checkOpen();
    return this.#opened(new EmbeddedConsumer(this.#parts(), options.isolation));
  }

  async openProducer(options: {
    readonly clientId: string;
    readonly transactionalId?: string;
    readonly transactionTimeoutMs?: number;
  }): Promise<Producer> {
    this.#checkOpen();
    const timeoutMs = options.transactionTimeoutMs ?? this.#options.transactionTimeoutMs ?? 60_000;
    return this.#opened(new EmbeddedProducer(this.#parts(), options.transactionalId, timeoutMs));
  }

  async joinGroup(options: GroupOptions): Promise<GroupMember> {
    this.#checkOpen();
    return this.#opened(
      this.#groups.join(options, this.#topics.require(options.topic).partitions, this.#forget),
    );
  }

  /** Retention and compaction of every log that is due for it. Call it every minute or so. */
  maintain(): Promise<void> {
    this.#maintaining ??= this.#maintainNow().finally(() => {
      this.#maintaining = undefined;
    });
    return this.#maintaining;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #maintainNow(): Promise<void> {
    this.#checkOpen();
    this.#transactions.expire();
    await this.#storage.flush();
    for (const topic of [...this.#topics.all()]) {
      for (const log of topic.logs) {
        if (this.#closing !== undefined) return;
        if (!log.deleted) await this.#cleaner.clean(log);
      }
    }
  }

  async #closeNow(): Promise<void> {
    // All in this turn, before anything else finds the broker closing.
    await Promise.all([...this.#clients].map((client) => client.close()));
    await this.#maintaining?.catch(() => {});
    await this.#storage.close();
  }

  #createAdmin(): Admin {
    const topics = this.#topics;
    return {
      createTopics: async (specs: readonly TopicSpec[]) => {
        this.#checkOpen();
        await topics.create(specs);
      },
      describeTopics: async (names): Promise<(TopicDescription | undefined)[]> => {
        this.#checkOpen();
        return names.map((name) => topics.describe(name));
      },
      listTopics: async () => {
        this.#checkOpen();
        return Array.from(topics.all(), ({ name }) => name);
      },
      deleteTopics: async (names) => {
        this.#checkOpen();
        await topics.delete(names);
      },
      startOffsets: async (partitions) => {
        this.#checkOpen();
        return topics.logsOf(partitions).map((log) => log.start);
      },
      endOffsets: async (partitions, isolation) => {
        this.#checkOpen();
        this.#transactions.expire();
        return topics.logsOf(partitions).map((log) => log.endFor(isolation));
      },
      offsetsForTimes: async (partitions) => {
        const found: (number | undefined)[] = [];
        for (const at of partitions) found.push(await this.#offsetForTime(at, at.timestampMs));
        return found;
      },
      committedOffsets: (groupId, partitions) => this.#stableOffsets(groupId, partitions),
    };
  }

  /** By reading: there is no index by time. */
  async #offsetForTime(at: TopicPartition, timestampMs: number): Promise<number | undefined> {
    const { start, end } = this.#topics.log(at.topic, at.partition);
    const consumer = await this.openConsumer({ isolation: 'read_uncommitted', clientId: 'offset-for-time' });
    try {
      await consumer.assign([{ ...at, offset: start }]);
      while (consumer.position(at) < end)
        for (const batch of await consumer.poll({ recordsMax: 10_000, waitMs: 0 }))
          for (let index = 0; index < batch.count; index++)
            if (batch.timestamp(index) >= timestampMs) return batch.offset(index);
      return undefined;
    } finally {
      await consumer.close();
    }
  }

  async #stableOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
  ): Promise<(number | undefined)[]> {
    const deadlineMs = this.#clock.nowMs() + (this.#options.stableOffsetsWaitMs ?? 5000);
    for (;;) {
      this.#checkOpen();
      this.#transactions.expire();
      const offsets = this.#offsets.stable(groupId, partitions);
      if (offsets !== 'pending') return offsets;
      const leftMs = deadlineMs - this.#clock.nowMs();
      if (leftMs <= 0) {
        const sentence = `offsets of the group ${groupId} are pending in a transaction`;
        throw new StreamsError('BROKER_UNAVAILABLE', sentence);
      }
      const settled = new AbortController();
      const wake = (): void => settled.abort();
      this.#offsets.addWaiter(wake);
      await this.#clock.sleep(Math.min(leftMs, this.#transactions.nextExpiryMs()), settled.signal);
      this.#offsets.removeWaiter(wake);
    }
  }

  /** Without a transaction: one synced batch, with all that was written without one so far. */
  async #commitOffsets(offsets: readonly GroupOffset[]): Promise<void> {
    this.#checkOpen();
    this.#storage.check();
    for (const { topic, partition } of offsets) this.#topics.log(topic, partition);
    await this.#storage
      .write((writes) => {
        for (const { groupId, topic, partition, offset } of offsets) {
          const number = this.#topics.get(topic)?.number;
          if (number === undefined) continue;
          writes.push({ key: groupOffsetKey(groupId, number, partition), value: numberValue(offset) });
        }
      })
      .catch((error: unknown) => {
        throw asStreamsError(error, 'BROKER_REQUEST_FAILED');
      });
    for (const offset of offsets) if (this.#topics.get(offset.topic) !== undefined) this.#offsets.set(offset);
  }

  #parts() {
    return {
      storage: this.#storage,
      topics: this.#topics,
      transactions: this.#transactions,
      clock: this.#clock,
      recordBytesMax: this.#options.recordBytesMax ?? 1024 * 1024,
      checkOpen: () => this.#checkOpen(),
      closed: this.#forget,
    };
  }

  readonly #forget = (client: { close(): Promise<void> }): void => {
    this.#clients.delete(client);
  };

  #opened<T extends { close(): Promise<void> }>(client: T): T {
    this.#clients.add(client);
    return client;
  }

  #checkOpen(): void {
    if (this.#closing === undefined) return;
    throw new StreamsError('BROKER_REQUEST_FAILED', 'the embedded broker was closed');
  }
}
