/**
 * The Kafka adapter of the broker port: opens its clients and closes them all. Called by the app's assembly
 * and by tests. Nothing of the Kafka client is loaded before `openKafkaBroker` is called.
 *
 * Few clients per process: each costs the library three to five threads. One plain producer carries all
 * admin requests; consumers, members and producers get a client each, and so does a group whose offsets are read.
 * The client's blocking calls share Node's thread pool with the file system and RocksDB: start the process
 * with UV_THREADPOOL_SIZE=16 or more.
 */
import { hostname } from 'node:os';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger, Metrics } from '../base/telemetry-port.ts';
import type { Broker, Consumer, GroupMember, GroupOptions, Isolation, Producer } from './broker-port.ts';
import { KafkaAdmin } from './kafka-admin.ts';
import { loadKafkaLibrary } from './kafka-client.ts';
import type { KafkaLibrary, NativeConsumer, NativeProducer } from './kafka-client-types.ts';
import { KafkaPartitionConsumer } from './kafka-consumer.ts';
import { KafkaGroupMember } from './kafka-group-member.ts';
import { KafkaHandle, Wakeup } from './kafka-handle.ts';
import { KafkaProducer } from './kafka-producer.ts';
import { RetryWatch } from './kafka-retry-watch.ts';
import {
  adminSettings,
  type ClientBasics,
  consumerSettings,
  type GroupProtocol,
  memberSettings,
  offsetReaderSettings,
  producerSettings,
} from './kafka-settings.ts';

const transactionTimeoutMsDefault = 10_000;
const stuckClientsMax = 3;
/** Measured (docs/performance.md): what stays behind of each offset of a transaction. */
const leakedBytesPerOffset = 100;

/** Shape: `brokers` as `host:port,host:port`; `properties` are further librdkafka settings (SASL, TLS, …). */
export interface KafkaBrokerOptions {
  readonly brokers: string;
  readonly clientId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics;
  readonly properties?: Readonly<Record<string, string>>;
  /** `auto`: the new protocol (KIP-848, where the broker sets the session time-out), classic where it is not offered. */
  readonly groupProtocol?: GroupProtocol | 'auto';
}

/**
 * Connects to Kafka.
 * Errors: BROKER_CLIENT_MISSING, BROKER_UNAVAILABLE (within about ten seconds, naming the address).
 */
export async function openKafkaBroker(options: KafkaBrokerOptions): Promise<Broker> {
  const broker = new KafkaBroker(options, loadKafkaLibrary());
  await broker.connect();
  return broker;
}

interface Closeable {
  close(): Promise<void>;
}

class KafkaBroker implements Broker {
  /** How many members this process has opened, so that each has a client id of its own. */
  static #members = 0;
  readonly kind = 'kafka';
  readonly #options: KafkaBrokerOptions;
  readonly #library: KafkaLibrary;
  readonly #basics: ClientBasics;
  readonly #adminHandle: KafkaHandle<NativeProducer>;
  #admin: KafkaAdmin | undefined;
  /** In the order they were opened. */
  readonly #open = new Set<Closeable>();
  /** By group; opened when the group's offsets are first asked for. */
  readonly #offsetReaders = new Map<string, Promise<KafkaHandle<NativeConsumer>>>();
  #producersSuspected = 0;
  #offsetsSent = 0;
  /** Producers inside which a call has not come back. */
  #clientsStuck = 0;
  #closed = false;

  constructor(options: KafkaBrokerOptions, library: KafkaLibrary) {
    this.#options = options;
    this.#library = library;
    this.#basics = { brokers: options.brokers, properties: options.properties ?? {} };
    const clientId = `${options.clientId}-admin`;
    const producer = library.newProducer(adminSettings(this.#basics, clientId), false);
    this.#adminHandle = this.#producerHandle(producer, clientId);
    this.#describeMetrics();
  }

  get admin(): KafkaAdmin {
    this.#admin ??= new KafkaAdmin({
      library: this.#library,
      handle: this.#adminHandle,
      offsetReader: (groupId) => this.#offsetReader(groupId),
      clock: this.#options.clock,
    });
    return this.#admin;
  }

  async connect(): Promise<void> {
    await this.#adminHandle.connect();
    this.#adminHandle.now((producer) => producer.setPollInBackground(true));
  }

  async openConsumer(options: {
    readonly isolation: Isolation;
    readonly clientId: string;
  }): Promise<Consumer> {
    this.#requireOpen();
    const { clock, log } = this.#options;
    const wakeup = new Wakeup(clock);
    const settings = consumerSettings(this.#basics, options.clientId, options.isolation);
    const handle = this.#consumerHandle(
      this.#library.newConsumer(settings, () => wakeup.wake()),
      options.clientId,
    );
    await handle.connect();
    const consumer: KafkaPartitionConsumer = new KafkaPartitionConsumer({
      handle,
      wakeup,
      facts: this.admin,
      clock,
      log,
      onClose: () => this.#open.delete(consumer),
    });
    this.#open.add(consumer);
    return consumer;
  }

  async joinGroup(options: GroupOptions): Promise<GroupMember> {
    this.#requireOpen();
    const { clock, log, clientId } = this.#options;
    await this.admin.requireTopics([{ topic: options.topic, partition: 0 }]);
    const wakeup = new Wakeup(clock);
    const { groupId, topic, instanceId, sessionTimeoutMs } = options;
    // Instances share the client id, and `shareInGroup` has to find this one among the group's members.
    const memberId = `${clientId}-member-${hostname()}-${process.pid}-${++KafkaBroker.#members}`;
    const member: KafkaGroupMember = new KafkaGroupMember({
      groupId,
      topic,
      instanceId,
      protocol: this.#options.groupProtocol ?? 'auto',
      wakeup,
      clock,
      log,
      onClose: () => this.#open.delete(member),
      shareInGroup: () => this.admin.shareInGroup(groupId, memberId),
      connect: async (protocol, onRebalance) => {
        const settings = memberSettings(this.#basics, memberId, {
          groupId,
          instanceId,
          sessionTimeoutMs,
          protocol,
        });
        const handle = this.#consumerHandle(
          this.#library.newConsumer(settings, () => wakeup.wake(), onRebalance),
          memberId,
        );
        await handle.connect();
        return handle;
      },
    });
    await member.join();
    this.#open.add(member);
    return member;
  }

  async openProducer(options: {
    readonly clientId: string;
    readonly transactionalId?: string;
    readonly transactionTimeoutMs?: number;
  }): Promise<Producer> {
    this.#requireOpen();
    this.#requireThreads();
    const { clock, log } = this.#options;
    const { clientId, transactionalId } = options;
    const transactionTimeoutMs = options.transactionTimeoutMs ?? transactionTimeoutMsDefault;
    const settings = producerSettings(this.#basics, clientId, {
      transactionalId,
      transactionTimeoutMs,
      canCompress: this.#library.features.includes('lz4'),
    });
    const native = this.#library.newProducer(settings, transactionalId === undefined);
    const watch = this.#watch(native, transactionalId);
    const handle = this.#producerHandle(native, clientId);
    await handle.connect();
    handle.now((producer) => producer.setPollInBackground(true));
    const producer: KafkaProducer = new KafkaProducer({
      handle,
      transactionalId,
      transactionTimeoutMs,
      watch,
      facts: this.admin,
      clock,
      log,
      onOffsetsSent: (count) => {
        this.#offsetsSent += count;
      },
      onStuck: () => {
        this.#clientsStuck += 1;
        return () => {
          this.#clientsStuck -= 1;
        };
      },
      onClose: () => {
        if (watch.suspicion !== undefined) this.#producersSuspected += 1;
        this.#open.delete(producer);
      },
    });
    this.#open.add(producer);
    return producer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#open];
    // A producer's pending call may need its member's consumer, so producers go first.
    await Promise.all(open.filter((one) => one instanceof KafkaProducer).map((one) => one.close()));
    await Promise.all(open.filter((one) => !(one instanceof KafkaProducer)).map((one) => one.close()));
    const readers = await Promise.allSettled(this.#offsetReaders.values());
    await Promise.all(
      readers.map((reader) => (reader.status === 'fulfilled' ? reader.value.close() : undefined)),
    );
    await this.#adminHandle.close();
  }

  #offsetReader(groupId: string): Promise<KafkaHandle<NativeConsumer>> {
    this.#requireOpen();
    const known = this.#offsetReaders.get(groupId);
    if (known !== undefined) return known;
    const opening = this.#openOffsetReader(groupId);
    this.#offsetReaders.set(groupId, opening);
    // The next question tries again.
    opening.catch(() => this.#offsetReaders.delete(groupId));
    return opening;
  }

  async #openOffsetReader(groupId: string): Promise<KafkaHandle<NativeConsumer>> {
    const clientId = `${this.#options.clientId}-offsets`;
    const settings = offsetReaderSettings(this.#basics, clientId, groupId);
    let handle: KafkaHandle<NativeConsumer> | undefined;
    // What the library reports there is in the log already, and is only taken off the queue.
    const drain = () => {
      if (handle === undefined || handle.isClosing) return;
      handle
        .call<void>((client, done) =>
          client.getClient().consume(0, 100, false, (error) => done(error, undefined)),
        )
        .catch(() => {});
    };
    handle = this.#consumerHandle(this.#library.newConsumer(settings, drain), clientId);
    await handle.connect();
    return handle;
  }

  /** Each stuck client holds one of the threads that all native calls of the process share, four unless set otherwise. */
  #requireThreads(): void {
    if (this.#clientsStuck < stuckClientsMax) return;
    throw new StreamsError('BROKER_CLIENT_STUCK', 'calls inside the Kafka client have not come back', {
      context: { clients: this.#clientsStuck },
      hint: 'start the process again',
    });
  }

  #requireOpen(): void {
    if (this.#closed) throw new StreamsError('BROKER_REQUEST_FAILED', 'this Kafka broker is closed');
  }

  #watch(native: NativeProducer, transactionalId: string | undefined): RetryWatch {
    const watch = new RetryWatch();
    if (transactionalId === undefined) return watch;
    native.on('event.log', (line) => watch.noteLog(line));
    native.on('event.error', (error) => watch.noteError(error.message));
    native.on('event.stats', (stats) => watch.noteStatistics(stats.message));
    return watch;
  }

  #producerHandle(producer: NativeProducer, name: string): KafkaHandle<NativeProducer> {
    // Not `disconnect`: that flushes first, and an open transaction is not to be completed by closing.
    return new KafkaHandle(producer, this.#handleOptions(name), (client, done) => client._disconnect(done));
  }

  #consumerHandle(consumer: NativeConsumer, name: string): KafkaHandle<NativeConsumer> {
    return new KafkaHandle(consumer, this.#handleOptions(name), (client, done) => client.disconnect(done));
  }

  #handleOptions(name: string): { name: string; address: string; clock: Clock; log: Logger } {
    return { name, address: this.#options.brokers, clock: this.#options.clock, log: this.#options.log };
  }

  #describeMetrics(): void {
    const { metrics } = this.#options;
    metrics?.gauge('millrace_kafka_clients', 'Kafka clients that this process has open.', () => [
      { value: this.#open.size + this.#offsetReaders.size + 1 },
    ]);
    metrics?.counter(
      'millrace_kafka_producers_distrusted_total',
      'Transactional producers closed because one of their requests may have been repeated.',
      () => [{ value: this.#producersSuspected }],
    );
    metrics?.gauge(
      'millrace_kafka_clients_stuck',
      'Kafka clients inside which a call has not come back; at three of them the instance ends.',
      () => [{ value: this.#clientsStuck }],
    );
    metrics?.gauge(
      'millrace_client_leak_bytes_estimate',
      'Native memory that the Kafka client has not given back, by the offsets that were committed.',
      () => [{ value: this.#offsetsSent * leakedBytesPerOffset }],
    );
  }
}
