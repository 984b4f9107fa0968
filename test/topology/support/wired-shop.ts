/**
 * The shop and its participants as they are wired, on the real runtime and real Avro, without a broker: two test
 * drivers, and a ferry that carries what one writes to the topics that the other reads. Wall clocks move together.
 */
import { fileURLToPath } from 'node:url';
import {
  bytesSerde,
  createAvroSerdes,
  type Headers,
  jsonSerde,
  lastHeader,
  loadSchemas,
  openEmbeddedRegistry,
  type Processor,
  type Serde,
  stringSerde,
  Topology,
} from '#streams';
import { TopologyTestDriver } from '#streams/testing';
import { orderStore } from '../../../topology/order/order-processor.ts';
import type { OrderState } from '../../../topology/order/state.ts';
import { MailerProcessor } from '../../../topology/participants/mailer.ts';
import {
  ParticipantProcessor,
  participantStore,
} from '../../../topology/participants/participant-processor.ts';
import type { ParticipantOptions, ParticipantState } from '../../../topology/participants/plan.ts';
import type { TopicValues } from '../../../topology/schema-types.ts';
import { createShopTopology } from '../../../topology/shop-topology.ts';
import { type TimerProfileName, timerProfiles } from '../../../topology/timer-profiles.ts';
import {
  openShopSerdes,
  type ShopSerdes,
  type TopicName,
  topics,
  watermarkTopic,
} from '../../../topology/topics.ts';
import { placedMs } from './order-events.ts';

const schemasFolder = fileURLToPath(new URL('../../../../schemas', import.meta.url));

export interface WiredShopOptions {
  readonly profile: TimerProfileName;
  /** Undefined: nobody answers. */
  readonly participants?: ParticipantOptions;
  readonly withWatermark?: boolean;
}

/** A record as it was written. */
export interface Written<T> {
  readonly key: string;
  readonly value: T;
  readonly timestamp: number;
  readonly headers: Headers;
}

interface RawRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: Headers;
}

export class WiredShop {
  readonly #shop: TopologyTestDriver;
  readonly #participants: TopologyTestDriver | undefined;
  readonly #serdes: ShopSerdes;
  readonly #written = new Map<string, RawRecord[]>();

  private constructor(
    shop: TopologyTestDriver,
    participants: TopologyTestDriver | undefined,
    serdes: ShopSerdes,
  ) {
    this.#shop = shop;
    this.#participants = participants;
    this.#serdes = serdes;
  }

  static async open(options: WiredShopOptions): Promise<WiredShop> {
    const schemas = await loadSchemas(schemasFolder);
    const registry = await openEmbeddedRegistry({ schemas });
    const shopDriver = { startMs: placedMs, applicationId: 'shop' };
    const clock = {
      nowMs: () => placedMs,
      monotonicMs: () => 0,
      sleep: async () => {},
      yield: async () => {},
    };
    const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock });
    const serdes = await openShopSerdes(avro);
    const { profile, withWatermark = false } = options;
    const topology = await createShopTopology({
      applicationId: 'shop',
      avro,
      serdes,
      profile: timerProfiles[profile],
      withWatermark,
    });
    const shop = new TopologyTestDriver(topology, shopDriver);
    await shop.open();
    let participants: TopologyTestDriver | undefined;
    if (options.participants !== undefined) {
      const others = participantsTopology(serdes, options.participants);
      participants = new TopologyTestDriver(others, { ...shopDriver, applicationId: 'participants' });
      await participants.open();
    }
    return new WiredShop(shop, participants, serdes);
  }

  /** One record and everything that follows from it at once. */
  async send<T extends TopicName>(
    topic: T,
    key: string,
    value: TopicValues[T],
    timestamp = placedMs,
  ): Promise<void> {
    await this.#shop.createInputTopic(topic, stringSerde, this.#serdes[topic]).pipe(key, value, timestamp);
    await this.#ferry();
  }

  async watermark(toMs: number): Promise<void> {
    const text = Buffer.from(String(toMs));
    await this.#shop.createInputTopic(watermarkTopic, stringSerde, bytesSerde).pipe('0', text, placedMs);
    await this.#ferry();
  }

  async advance(byMs: number): Promise<void> {
    await this.#shop.advanceWallClock(byMs);
    await this.#participants?.advanceWallClock(byMs);
    await this.#ferry();
  }

  /** What was written to a topic since the last call; `<topic>.dlq` too, read with the topic's own records. */
  read<T extends TopicName>(topic: T, name: string = topic): Written<TopicValues[T]>[] {
    this.#collect(name);
    const records = this.#written.get(name) ?? [];
    this.#written.delete(name);
    return records.map(({ key, value, timestamp, headers }) => ({
      key: key?.toString('utf8') ?? '',
      value: this.#serdes[topic].deserialize(value, topic) as TopicValues[T],
      timestamp,
      headers,
    }));
  }

  async order(orderId: string): Promise<OrderState | undefined> {
    return this.#shop.store<string, OrderState>(orderStore, orderId);
  }

  async stored<T>(store: string, key: string): Promise<T | undefined> {
    return this.#shop.store<string, T>(store, key);
  }

  async close(): Promise<void> {
    await this.#shop.close();
    await this.#participants?.close();
  }

  #collect(topic: string): RawRecord[] {
    const read = (driver: TopologyTestDriver | undefined) =>
      driver?.createOutputTopic(topic, bytesSerde, bytesSerde).readAll() ?? [];
    const fresh = [...read(this.#shop), ...read(this.#participants)] as RawRecord[];
    if (fresh.length > 0) this.#written.set(topic, [...(this.#written.get(topic) ?? []), ...fresh]);
    return fresh;
  }

  /** Carries records between the two applications until neither has written anything new. */
  async #ferry(): Promise<void> {
    const participants = this.#participants;
    if (participants === undefined) return;
    for (let moved = true; moved; ) {
      moved = false;
      for (const { name, isCommand } of topics) {
        const fromShop = this.#shop.createOutputTopic(name, bytesSerde, bytesSerde).readAll() as RawRecord[];
        const fromOthers = participants
          .createOutputTopic(name, bytesSerde, bytesSerde)
          .readAll() as RawRecord[];
        this.#keep(name, [...fromShop, ...fromOthers]);
        if (isCommand) moved = (await this.#carry(participants, name, fromShop)) || moved;
        else moved = (await this.#carry(this.#shop, name, fromOthers)) || moved;
      }
    }
  }

  #keep(topic: string, records: readonly RawRecord[]): void {
    if (records.length > 0) this.#written.set(topic, [...(this.#written.get(topic) ?? []), ...records]);
  }

  async #carry(to: TopologyTestDriver, topic: string, records: readonly RawRecord[]): Promise<boolean> {
    // Inventory commands are answered inside the shop.
    if (topic.startsWith('inventory.')) return false;
    const input = to.createInputTopic(topic, bytesSerde, bytesSerde);
    for (const { key, value, timestamp, headers } of records)
      await input.pipe(key, value, timestamp, headers);
    return records.length > 0;
  }
}

/** Payment provider, warehouse, carrier and mailer, each between its commands and its events. */
function participantsTopology(serdes: ShopSerdes, options: ParticipantOptions): Topology {
  const topology = new Topology();
  const mails = serdes['notification.commands'] as Serde<unknown>;
  topology.addSource({
    name: 'mailer-in',
    topics: ['notification.commands'],
    keySerde: stringSerde,
    valueSerde: mails,
  });
  topology.addProcessor({
    name: 'mailer',
    supplier: () => new MailerProcessor() as Processor<unknown, unknown>,
    parents: ['mailer-in'],
  });
  const wirings = [
    ['payment', 'payment.commands', 'payment.events'],
    ['warehouse', 'shipment.commands', 'shipment.events'],
    ['carrier', 'shipment.events', 'tracking.scans'],
  ] as const;
  for (const [role, input, output] of wirings) {
    const valueSerde = (topic: TopicName) => serdes[topic] as Serde<unknown>;
    topology.addSource({
      name: `${role}-in`,
      topics: [input],
      keySerde: stringSerde,
      valueSerde: valueSerde(input),
    });
    topology.addProcessor({
      name: role,
      supplier: () => new ParticipantProcessor(role, options) as Processor<unknown, unknown>,
      parents: [`${role}-in`],
    });
    topology.addStateStore(
      {
        name: participantStore(role),
        kind: 'key-value',
        keySerde: stringSerde as Serde<unknown>,
        valueSerde: jsonSerde<ParticipantState>() as Serde<unknown>,
        changelog: true,
      },
      [role],
    );
    topology.addSink({
      name: `${role}-out`,
      topic: output,
      keySerde: stringSerde,
      valueSerde: valueSerde(output),
      parents: [role],
    });
  }
  return topology;
}

/** A header as text; undefined when it is not there. */
export function headerOf(record: { readonly headers: Headers }, key: string): string | undefined {
  return lastHeader(record.headers, key)?.toString('utf8');
}
