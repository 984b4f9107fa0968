/**
 * Instances that ask a service about each word, on one embedded broker: `words` ▸ ask ▸ `totals`. An instance can
 * be killed; its successor starts on the same disk. The judge compares what is committed with what was produced.
 */
import { StreamsApp, type StreamsSettings } from '../../src/app/streams-app.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import type { AsyncOptions } from '../../src/dsl/async-options.ts';
import { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import { stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { killable } from '../unit/thread/support/killable.ts';
import { eventually } from './eventually.ts';
import type { HeldService } from './held-service.ts';
import { readTopic } from './topic-records.ts';

export interface AskingInstance {
  readonly app: StreamsApp;
  readonly disk: MemoryDisk;
  /** Ends it as `kill -9` would. */
  kill(): void;
}

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

export class AskingHouse {
  readonly broker: Broker;
  readonly #partitions: number;
  readonly #apps: { readonly app: StreamsApp; readonly killed: () => boolean }[] = [];

  private constructor(broker: Broker, partitions: number) {
    this.broker = broker;
    this.#partitions = partitions;
  }

  static async open(partitions = 1): Promise<AskingHouse> {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'words', partitions },
      { name: 'totals', partitions },
    ]);
    return new AskingHouse(broker, partitions);
  }

  async close(): Promise<void> {
    for (const { app, killed } of this.#apps) if (!killed()) await app.stop();
    await this.broker.close();
  }

  async start(
    name: string,
    service: Pick<HeldService, 'ask'>,
    parts: {
      readonly disk?: MemoryDisk;
      readonly broker?: Broker;
      readonly settings?: Partial<StreamsSettings>;
      readonly step?: Partial<AsyncOptions<string>>;
    } = {},
  ): Promise<AskingInstance> {
    const disk = parts.disk ?? new MemoryDisk();
    const builder = new StreamsBuilder();
    builder
      .stream('words', strings)
      .mapValuesAsync(service.ask, { named: 'ask', ...parts.step })
      // Answers stay in the order of their words' partition.
      .to('totals', { ...strings, partitioner: (_topic, key) => Number(String(key).charAt(1)) });
    const process = killable(parts.broker ?? this.broker);
    const app = new StreamsApp({
      topology: builder.build(),
      settings: {
        applicationId: 'app',
        transactionalId: `app-${name}`,
        commitIntervalMs: 5,
        sessionTimeoutMs: 30_000,
        ...parts.settings,
      },
      broker: process.broker,
      openTaskBackend: (taskId) => (process.killed() ? new Promise(() => {}) : disk.open(taskId)),
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
    });
    this.#apps.push({ app, killed: process.killed });
    await app.start();
    return {
      app,
      disk,
      kill: () => {
        process.kill();
        disk.kill();
      },
    };
  }

  async produce(words: readonly string[], partition = 0): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'test' });
    await producer.send(
      words.map((word, n) => ({
        topic: 'words',
        partition,
        key: Buffer.from(`k${partition}-${n}`),
        value: Buffer.from(word),
        timestamp: 1_000,
        headers: [],
      })),
    );
    await producer.flush();
    await producer.close();
  }

  /** Committed answers, in the order of each partition. */
  async answers(): Promise<string[]> {
    const records = await readTopic(this.broker, 'totals', this.#partitions);
    return records.map(({ value }) => String(value));
  }

  /** The offset up to which the group has the words of a partition. */
  async committed(partition = 0): Promise<number> {
    const [offset] = await this.broker.admin.committedOffsets('app', [{ topic: 'words', partition }]);
    return offset ?? 0;
  }

  async untilAnswered(word: string): Promise<void> {
    await eventually(async () => (await this.answers()).includes(word), {
      timeoutMs: 20_000,
      what: `the answer ${word} to be committed`,
    });
  }
}
