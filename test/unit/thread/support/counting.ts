/**
 * An application that counts words per key, for tests of the thread: every output carries its key's count, so
 * a lost or doubled effect shows as a gap or a repeat. Instances share a broker and each has a disk of its own.
 */
import assert from 'node:assert/strict';
import { StreamsApp, type StreamsSettings } from '../../../../src/app/streams-app.ts';
import { partitionForKey } from '../../../../src/base/murmur2.ts';
import type { Telemetry } from '../../../../src/base/telemetry-port.ts';
import { wallClock } from '../../../../src/base/wall-clock.ts';
import type { Broker } from '../../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../../src/broker/embedded-broker.ts';
import { longSerde } from '../../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../../src/store/memory-backend.ts';
import { countingTopology } from '../../../support/counting-topology.ts';
import { eventually } from '../../../support/eventually.ts';
import { killable } from './killable.ts';

/** One process on one machine. */
export interface Instance {
  readonly name: string;
  /** Ends it as `kill -9` would: nothing it still does reaches the broker or its disk. */
  kill(): void;
  killed(): boolean;
  readonly app: StreamsApp;
  readonly disk: MemoryDisk;
  readonly destroyed: string[];
  readonly lines: string[];
}

export class CountingCluster {
  readonly broker: Broker;
  readonly partitions: number;
  readonly instances: Instance[] = [];
  #produced = 0;

  constructor(broker: Broker, partitions: number) {
    this.broker = broker;
    this.partitions = partitions;
  }

  static async open(partitions: number): Promise<CountingCluster> {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'words', partitions },
      { name: 'totals', partitions },
    ]);
    return new CountingCluster(broker, partitions);
  }

  /** After a failed test too, or its clients would keep the process alive. */
  async close(): Promise<void> {
    for (const { app, killed } of this.instances) if (!killed()) await app.stop();
    await this.broker.close();
  }

  /** A process; give it the disk of an earlier one to start again on its machine. */
  newInstance(
    name: string,
    parts: {
      readonly settings?: Partial<StreamsSettings>;
      readonly disk?: MemoryDisk;
      readonly broker?: Broker;
    } = {},
  ): Instance {
    const disk = parts.disk ?? new MemoryDisk();
    const destroyed: string[] = [];
    const lines: string[] = [];
    const process = killable(parts.broker ?? this.broker);
    const app = new StreamsApp({
      topology: countingTopology(),
      settings: {
        applicationId: 'app',
        transactionalId: `app-${name}`,
        commitIntervalMs: 5,
        ...parts.settings,
      },
      broker: process.broker,
      // A dead process opens nothing any more: the folder is its successor's.
      openTaskBackend: (taskId) => (process.killed() ? new Promise(() => {}) : disk.open(taskId)),
      destroyTaskBackend: async (taskId) => {
        destroyed.push(taskId);
        disk.remove(taskId);
      },
      clock: wallClock,
      telemetry: recordingTelemetry(lines),
    });
    const kill = (): void => {
      process.kill();
      disk.kill();
    };
    const instance = { name, app, disk, destroyed, lines, kill, killed: process.killed };
    this.instances.push(instance);
    return instance;
  }

  /** `count` more words over `keys` keys, each key in turn. */
  async produce(count: number, keys = 20): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'test' });
    await producer.send(
      Array.from({ length: count }, () => {
        const key = Buffer.from(`k${this.#produced++ % keys}`);
        return {
          topic: 'words',
          partition: partitionForKey(key, this.partitions),
          key,
          value: Buffer.from('x'),
          timestamp: 1_000 + this.#produced,
          headers: [],
        };
      }),
    );
    await producer.flush();
    await producer.close();
  }

  /** Waits until everything produced is committed, then looks for gaps and repeats. */
  async expectExactlyOnce(keys = 20): Promise<void> {
    const inputs = this.#all('words');
    await eventually(
      async () => {
        const committed = await this.broker.admin.committedOffsets('app', inputs).catch(() => undefined);
        if (committed === undefined) return false;
        const ends = await this.broker.admin.endOffsets(inputs, 'read_uncommitted');
        return ends.every((end, index) => (committed[index] ?? 0) === end);
      },
      { timeoutMs: 20_000, what: 'everything produced to be committed' },
    );
    const counts = await this.#readTotals();
    assert.equal(counts.size, keys);
    for (const [key, list] of counts)
      assert.deepEqual(
        list,
        Array.from({ length: this.#produced / keys }, (_, index) => index + 1),
        `counts of ${key}`,
      );
  }

  async #readTotals(): Promise<Map<string, number[]>> {
    const totals = this.#all('totals');
    const ends = await this.broker.admin.endOffsets(totals, 'read_uncommitted');
    const consumer = await this.broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign(totals.map((each) => ({ ...each, offset: 0 })));
    const counts = new Map<string, number[]>();
    while (totals.some((each, index) => consumer.position(each) < (ends[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 })) {
        for (let index = 0; index < batch.count; index++) {
          const key = String(batch.key(index));
          const list = counts.get(key) ?? [];
          list.push(longSerde.deserialize(batch.value(index), '') as number);
          counts.set(key, list);
        }
      }
    }
    await consumer.close();
    return counts;
  }

  /** All offsets that changelogs of the counts hold. */
  async changelogRecords(): Promise<number> {
    const ends = await this.broker.admin.endOffsets(this.#all('app-counts-changelog'), 'read_committed');
    return ends.reduce((sum, end) => sum + end, 0);
  }

  #all(topic: string): { topic: string; partition: number }[] {
    return Array.from({ length: this.partitions }, (_, partition) => ({ topic, partition }));
  }
}

function recordingTelemetry(lines: string[]): Telemetry {
  const write =
    (level: string) =>
    (message: string, fields = {}) => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  const log = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    child: () => log,
  };
  return {
    log,
    metrics: { gauge: () => {}, counter: () => {}, histogram: () => ({ observe: () => {} }) },
  };
}
