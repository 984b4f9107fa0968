/**
 * Places a demo's orders at a steady rate until it is told to stop or has placed as many as it should. How far it
 * is lies in the topic `demo.progress`, written in one transaction with the orders: stopped or killed and
 * started again it goes on with the next order.
 */
import {
  type Broker,
  type Clock,
  type OutgoingRecord,
  type Producer,
  partitionForKey,
  StreamsError,
} from '#streams';
import { headersOf, traceparentOf } from '../headers.ts';
import type { FaultSwitches } from '../participants/faults.ts';
import type { TopicValues } from '../schema-types.ts';
import { readTopics } from '../topic-reader.ts';
import { demoProgressTopic, type ShopSerdes, type TopicName } from '../topics.ts';
import { demoOrder, demoTenant, openingStock } from './order-generator.ts';

export interface DemoDriverOptions {
  readonly broker: Broker;
  readonly serdes: ShopSerdes;
  readonly clock: Clock;
  readonly seed: number;
  /** Orders per second. */
  readonly rate: number;
  /** Undefined: until stopped. */
  readonly orders: number | undefined;
  readonly faults: FaultSwitches;
  readonly signal: AbortSignal;
}

interface DemoProgress {
  readonly seed: number;
  readonly placed: number;
}

/** Between two transactions: orders of the meantime go out together. */
const tickMs = 100;

export class DemoDriver {
  readonly #options: DemoDriverOptions;
  #producer: Producer | undefined;
  #partitions = 1;
  #placed = 0;

  constructor(options: DemoDriverOptions) {
    this.#options = options;
  }

  /** Orders placed so far, those of earlier starts included. */
  get placed(): number {
    return this.#placed;
  }

  /** Errors: SETTING_INVALID when the data directory holds a demo of another seed. */
  async open(): Promise<void> {
    const { broker, seed, clock, faults } = this.#options;
    this.#producer = await broker.openProducer({ clientId: 'demo', transactionalId: 'millrace-demo-driver' });
    await this.#producer.init();
    const [purchases] = await broker.admin.describeTopics(['purchase.events']);
    this.#partitions = purchases?.partitions ?? 1;
    const stored = await readDemoProgress(broker);
    if (stored === undefined) {
      const stock = openingStock(seed, faults, clock.nowMs());
      await this.#commit(stock.map((event) => this.#record('inventory.events', event.sku, event.sku, event)));
      return;
    }
    if (stored.seed !== seed) {
      throw new StreamsError('SETTING_INVALID', `the data directory holds a demo of seed ${stored.seed}`, {
        hint: `start it with --seed ${stored.seed} to go on, or with another --data-dir`,
      });
    }
    this.#placed = stored.placed;
  }

  /** Order: after `open`. Resolves when all orders are placed or the signal came. */
  async run(): Promise<void> {
    const { clock, rate, orders = Number.POSITIVE_INFINITY, signal } = this.#options;
    const startMs = clock.monotonicMs();
    const before = this.#placed;
    while (!signal.aborted && this.#placed < orders) {
      const due = before + Math.floor(((clock.monotonicMs() - startMs) / 1000) * rate) + 1;
      const to = Math.min(orders, due, this.#placed + 1_000);
      if (to > this.#placed) await this.#place(to);
      await clock.sleep(tickMs, signal);
    }
  }

  async close(): Promise<void> {
    await this.#producer?.close();
  }

  async #place(to: number): Promise<void> {
    const { seed, faults, clock } = this.#options;
    const records: OutgoingRecord[] = [];
    const nowMs = clock.nowMs();
    for (let number = this.#placed + 1; number <= to; number++) {
      const { placed, cancel, restock } = demoOrder(seed, number, faults, nowMs);
      const { orderId } = placed;
      records.push(this.#record('purchase.events', orderId, orderId, placed));
      if (cancel !== undefined) records.push(this.#record('purchase.events', orderId, orderId, cancel));
      if (restock !== undefined) {
        records.push(this.#record('inventory.events', restock.sku, restock.sku, restock));
      }
    }
    this.#placed = to;
    await this.#commit(records);
  }

  async #commit(records: readonly OutgoingRecord[]): Promise<void> {
    const producer = this.#producer as Producer;
    const { seed, clock } = this.#options;
    const progress: DemoProgress = { seed, placed: this.#placed };
    await producer.begin();
    await producer.send([
      ...records,
      {
        topic: demoProgressTopic,
        partition: 0,
        key: Buffer.from('progress'),
        value: Buffer.from(JSON.stringify(progress)),
        timestamp: clock.nowMs(),
        headers: [],
      },
    ]);
    await producer.commit();
  }

  #record<T extends TopicName>(
    topic: T,
    key: string,
    subject: string,
    value: TopicValues[T] & { readonly eventId: string; readonly occurredAt: number },
  ): OutgoingRecord {
    const keyBytes = Buffer.from(key, 'utf8');
    return {
      topic,
      // All topics of a demo have as many partitions.
      partition: partitionForKey(keyBytes, this.#partitions),
      key: keyBytes,
      value: this.#options.serdes[topic].serialize(value, topic),
      timestamp: value.occurredAt,
      headers: headersOf({
        id: value.eventId,
        source: '/demo',
        type: value.type,
        timeMs: value.occurredAt,
        subject,
        traceparent: traceparentOf([], subject),
        causationId: value.eventId,
        tenantId: demoTenant,
      }),
    };
  }
}

async function readDemoProgress(broker: Broker): Promise<DemoProgress | undefined> {
  let last: DemoProgress | undefined;
  await readTopics({
    broker,
    topics: [demoProgressTopic],
    clientId: 'demo-progress',
    onRecord: ({ value }) => {
      if (value !== null) last = JSON.parse(value.toString('utf8')) as DemoProgress;
    },
  });
  return last;
}
