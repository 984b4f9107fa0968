/**
 * A process that reads, transforms and writes exactly once, started and killed by
 * kafka-broker-processes.int.test.ts. It stands directly on the broker port: no store, no topology.
 *
 * At `holdAt` records it stops inside a transaction, with records and (if `holdsOffsets`) offsets sent, tells
 * its parent, and goes on when told to. It ends with exit code 3 when it finds itself fenced.
 */
import { StreamsError } from '../../src/base/errors.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type {
  Broker,
  Consumer,
  GroupMember,
  OutgoingRecord,
  Producer,
} from '../../src/broker/broker-port.ts';
import { openTestKafka } from '../support/kafka.ts';

export interface WorkerPlan {
  readonly input: string;
  readonly output: string;
  readonly tokens: string;
  readonly groupId: string;
  readonly instanceId: string | undefined;
  readonly transactionalId: string;
  readonly holdAt: number;
  readonly holdsOffsets: boolean;
  readonly groupProtocol: 'classic' | 'consumer';
}

export type WorkerNews = { joined: number } | { done: number } | { holding: true } | { failed: string };

const tell = (news: WorkerNews): void => {
  process.send?.(news);
};

class Worker {
  readonly #plan: WorkerPlan;
  readonly #broker: Broker;
  readonly #member: GroupMember;
  readonly #consumer: Consumer;
  #producer: Producer | undefined;
  #done = 0;
  #hasHeld = false;

  constructor(plan: WorkerPlan, broker: Broker, member: GroupMember, consumer: Consumer) {
    this.#plan = plan;
    this.#broker = broker;
    this.#member = member;
    this.#consumer = consumer;
  }

  async run(): Promise<never> {
    for (;;) {
      await this.#follow();
      const batches = await this.#consumer.poll({ recordsMax: 500, waitMs: 50 });
      if (batches.length === 0) continue;
      const records: OutgoingRecord[] = [];
      for (const batch of batches) {
        for (let i = 0; i < batch.count; i++) {
          const value = Buffer.from(`${batch.value(i)}!`);
          const { topic: _, ...out } = { topic: '', partition: batch.partition, key: batch.key(i), value };
          records.push({ topic: this.#plan.output, ...out, timestamp: batch.timestamp(i), headers: [] });
        }
      }
      await this.#commit(records, [...new Set(batches.map(({ partition }) => partition))]);
    }
  }

  async #commit(records: readonly OutgoingRecord[], partitions: readonly number[]): Promise<void> {
    const { input, transactionalId, holdAt, holdsOffsets } = this.#plan;
    if (this.#producer?.mayHaveRetried() === true) {
      await this.#producer.close();
      this.#producer = undefined;
    }
    if (this.#producer === undefined) {
      this.#producer = await this.#broker.openProducer({
        clientId: transactionalId,
        transactionalId,
        transactionTimeoutMs: 6_000,
      });
      await this.#producer.init();
    }
    await this.#producer.begin();
    await this.#producer.send(records);
    const holdsNow = !this.#hasHeld && this.#done + records.length >= holdAt;
    if (holdsNow && !holdsOffsets) await this.#hold(this.#producer);
    const offsets = partitions.map((partition) => {
      const at = { topic: input, partition };
      return { ...at, offset: this.#consumer.position(at) };
    });
    await this.#producer.sendOffsets(offsets, this.#member);
    if (holdsNow && holdsOffsets) await this.#hold(this.#producer);
    await this.#producer.commit();
    this.#done += records.length;
    tell({ done: this.#done });
  }

  async #hold(producer: Producer): Promise<void> {
    this.#hasHeld = true;
    await producer.flush();
    const go = new Promise((resolve) => process.once('message', resolve));
    tell({ holding: true });
    await go;
  }

  async #follow(): Promise<void> {
    for (const event of await this.#member.poll(0)) {
      const partitions = event.partitions.map((partition) => ({ topic: this.#plan.input, partition }));
      if (event.type === 'assigned') {
        await this.#member.acknowledge(event);
        const committed = await this.#broker.admin.committedOffsets(this.#plan.groupId, partitions);
        await this.#consumer.assign(partitions.map((at, i) => ({ ...at, offset: committed[i] ?? 0 })));
        tell({ joined: partitions.length });
      } else {
        await this.#consumer.unassign(partitions);
        await this.#member.acknowledge(event);
      }
    }
  }
}

async function main(plan: WorkerPlan): Promise<void> {
  const broker = await openTestKafka({ groupProtocol: plan.groupProtocol });
  try {
    const member = await broker.joinGroup({
      groupId: plan.groupId,
      topic: plan.tokens,
      sessionTimeoutMs: 6_000,
      ...(plan.instanceId === undefined ? {} : { instanceId: plan.instanceId }),
    });
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: plan.transactionalId,
    });
    await new Worker(plan, broker, member, consumer).run();
  } catch (error) {
    tell({ failed: error instanceof StreamsError ? error.code : String(error) });
    await broker.close();
    await wallClock.yield();
    process.exit(error instanceof StreamsError && error.kind === 'fenced' ? 3 : 1);
  }
}

const plan = process.argv[2];
if (plan !== undefined) void main(JSON.parse(plan) as WorkerPlan);
