/** What the tests of the embedded broker share: a broker on a simulated disk, and short ways to write and read. */
import { ManualClock } from '../../../src/base/manual-clock.ts';
import type { Isolation, OutgoingRecord, Producer } from '../../../src/broker/broker-port.ts';
import {
  type EmbeddedBroker,
  type EmbeddedBrokerOptions,
  openEmbeddedBroker,
} from '../../../src/broker/embedded-broker.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';

export const startMs = 1_700_000_000_000;

/** A broker whose folder outlives it. */
export class DiskBroker {
  readonly clock = new ManualClock(startMs);
  readonly disk: MemoryDisk;
  readonly #options: Partial<EmbeddedBrokerOptions>;
  broker!: EmbeddedBroker;

  private constructor(disk: MemoryDisk, options: Partial<EmbeddedBrokerOptions>) {
    this.disk = disk;
    this.#options = options;
  }

  static async open(
    options: Partial<EmbeddedBrokerOptions> = {},
    disk = new MemoryDisk(),
  ): Promise<DiskBroker> {
    const opened = new DiskBroker(disk, options);
    await opened.reopen();
    return opened;
  }

  async reopen(): Promise<void> {
    this.broker = await openEmbeddedBroker({
      clock: this.clock,
      ...this.#options,
      backend: await this.disk.open('broker'),
    });
  }

  /** The process ends without a word; the next one opens the folder. */
  async crash(how: 'kill' | 'powerLoss' = 'kill'): Promise<void> {
    this.disk[how]();
    await this.reopen();
  }

  async topic(name: string, partitions = 1, config: Record<string, string> = {}): Promise<void> {
    await this.broker.admin.createTopics([{ name, partitions, config: { 'retention.ms': '-1', ...config } }]);
  }

  async producer(transactionalId: string, transactionTimeoutMs?: number): Promise<Producer> {
    const producer = await this.broker.openProducer({
      clientId: 'test',
      transactionalId,
      ...(transactionTimeoutMs === undefined ? {} : { transactionTimeoutMs }),
    });
    await producer.init();
    return producer;
  }

  async commit(producer: Producer, records: readonly OutgoingRecord[]): Promise<void> {
    await producer.begin();
    await producer.send(records);
    await producer.commit();
  }

  /** `key=value@offset` of every record, from the start of the log. */
  async read(topic: string, partition = 0, isolation: Isolation = 'read_committed'): Promise<string[]> {
    return readAll(this.broker, topic, partition, isolation);
  }

  async ends(topic: string, partition = 0): Promise<{ start: number; stable: number; end: number }> {
    const at = [{ topic, partition }];
    const { admin } = this.broker;
    const [start] = await admin.startOffsets(at);
    const [stable] = await admin.endOffsets(at, 'read_committed');
    const [end] = await admin.endOffsets(at, 'read_uncommitted');
    return { start: start as number, stable: stable as number, end: end as number };
  }
}

export async function readAll(
  broker: EmbeddedBroker,
  topic: string,
  partition = 0,
  isolation: Isolation = 'read_committed',
): Promise<string[]> {
  const at = { topic, partition };
  const [start] = await broker.admin.startOffsets([at]);
  const consumer = await broker.openConsumer({ isolation, clientId: 'reader' });
  await consumer.assign([{ ...at, offset: start as number }]);
  const found: string[] = [];
  for (;;) {
    const batches = await consumer.poll({ recordsMax: 7, waitMs: 0 });
    if (batches.length === 0) break;
    for (const batch of batches) {
      for (let i = 0; i < batch.count; i++) {
        found.push(`${batch.key(i) ?? ''}=${batch.value(i) ?? ''}@${batch.offset(i)}`);
      }
    }
  }
  await consumer.close();
  return found;
}

export function keyed(
  topic: string,
  key: string,
  value: string | null,
  partition = 0,
  ageMs = 0,
): OutgoingRecord {
  return {
    topic,
    partition,
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: startMs - ageMs,
    headers: [],
  };
}
