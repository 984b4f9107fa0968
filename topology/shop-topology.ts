/**
 * The shop's two topologies, wired: processors to topics and stores. Called by shop-runtime.ts and by
 * `millrace topology`. What it draws:
 *
 *   purchase, payment, shipment events, inventory.replies, tracking.updates ▸ order (orders) ▸ commands, state, …
 *   inventory.commands, inventory.events ▸ stock (stock) ▸ inventory.replies
 *   shipment.events ▸ by tracking number ▸ tracking (tracking) ◂ tracking.scans;  tracking ▸ tracking.updates
 *
 * Participants are a topology, and an application, of their own: services that the shop only knows by topics.
 */
import {
  type AvroSerdes,
  deadLetterTopic,
  type Processor,
  type ProcessorContext,
  type Record,
  type Serde,
  type StoreSpec,
  StreamsError,
  stringSerde,
  Topology,
} from '#streams';
import { topicOfRecord } from './headers.ts';
import { inventoryRepliesOutput, StockProcessor, stockStore } from './inventory/stock-processor.ts';
import { fromStoredStock, toStoredStock } from './inventory/stock-state.ts';
import { OrderProcessor, orderOutputs, orderStore } from './order/order-processor.ts';
import { fromStored, toStored } from './order/state.ts';
import { envelopeSerde } from './order/state-serde.ts';
import { WatermarkProcessor } from './order/watermark-processor.ts';
import type { OrderState, ShipmentEvent, StockState, TrackingState } from './schema-types.ts';
import type { TimerProfile } from './timer-profiles.ts';
import { type ShopSerdes, type TopicName, watermarkTopic } from './topics.ts';
import { fromStoredTracking, toStoredTracking } from './tracking/decide-tracking.ts';
import {
  TrackingProcessor,
  trackingNumberOf,
  trackingStore,
  trackingUpdatesOutput,
} from './tracking/tracking-processor.ts';

export interface ShopTopologyOptions {
  /** Names the subjects of the stores. */
  readonly applicationId: string;
  readonly avro: AvroSerdes;
  readonly serdes: ShopSerdes;
  readonly profile: TimerProfile;
  /** Reads `replay.watermark`, which event-time timers follow. */
  readonly withWatermark: boolean;
}

/** Keyed by tracking number: dispatches on their way from the order's task to the parcel's. */
const dispatches = 'dispatches-by-tracking-number';

/** Milliseconds since the epoch as decimal text. */
const epochTextSerde: Serde<number> = {
  name: 'epoch text',
  serialize: (value) => (value === null ? null : Buffer.from(String(value))),
  deserialize: (bytes) => {
    if (bytes === null) return null;
    const value = Number(bytes.toString('utf8'));
    if (Number.isSafeInteger(value)) return value;
    throw new StreamsError(
      'RECORD_UNREADABLE',
      'a watermark is milliseconds since the epoch in decimal digits',
    );
  },
};

/** Errors: those of AvroSerdes, for the schemas of the stores. */
export async function createShopTopology(options: ShopTopologyOptions): Promise<Topology> {
  const topology = new Topology();
  const stores = await storeSpecs(options);
  for (const store of [stores.orders, stores.stock, stores.tracking]) topology.addStateStore(store);
  addOrder(topology, options);
  addStock(topology, options.serdes);
  addTracking(topology, options.serdes);
  return topology;
}

/** The value serde of the store `orders`, for readers of its committed values. */
async function storeSpecs({ applicationId, avro }: ShopTopologyOptions) {
  const subject = (store: string) => `${applicationId}-${store}-changelog-value`;
  const spec = (name: string, valueSerde: Serde<unknown>): StoreSpec => ({
    name,
    kind: 'key-value',
    keySerde: stringSerde as Serde<unknown>,
    valueSerde,
    changelog: true,
    // Orders, skus and tracking numbers are what the records are keyed by.
    placement: 'record-key',
  });
  const [orders, stock, tracking] = await Promise.all([
    avro.forStore<OrderState>(subject(orderStore), 'shop.orchestration.OrderState'),
    avro.forStore<StockState>(subject(stockStore), 'shop.inventory.StockState'),
    avro.forStore<TrackingState>(subject(trackingStore), 'shop.tracking.TrackingState'),
  ]);
  return {
    orders: spec(orderStore, envelopeSerde(orders, toStored, fromStored) as Serde<unknown>),
    stock: spec(stockStore, envelopeSerde(stock, toStoredStock, fromStoredStock) as Serde<unknown>),
    tracking: spec(
      trackingStore,
      envelopeSerde(tracking, toStoredTracking, fromStoredTracking) as Serde<unknown>,
    ),
  };
}

function addTopicSource(topology: Topology, serdes: ShopSerdes, topic: TopicName): string {
  topology.addSource({
    name: topic,
    topics: [topic],
    keySerde: stringSerde,
    valueSerde: serdes[topic] as Serde<unknown>,
  });
  return topic;
}

function addTopicSink(
  topology: Topology,
  serdes: ShopSerdes,
  options: { readonly name: string; readonly topic: TopicName; readonly parent: string },
): void {
  topology.addSink({
    name: options.name,
    topic: options.topic,
    keySerde: stringSerde,
    valueSerde: serdes[options.topic] as Serde<unknown>,
    parents: [options.parent],
  });
}

const orderInputs: readonly TopicName[] = [
  'purchase.events',
  'payment.events',
  'inventory.replies',
  'shipment.events',
  'tracking.updates',
];

function addOrder(topology: Topology, { serdes, profile, withWatermark }: ShopTopologyOptions): void {
  const parents = orderInputs.map((topic) => addTopicSource(topology, serdes, topic));
  topology.addProcessor({
    name: 'order',
    supplier: () => new OrderProcessor({ profile }) as Processor<unknown, unknown>,
    parents,
    stores: [orderStore],
  });
  const outputs: readonly (readonly [string, TopicName])[] = [
    [orderOutputs.inventory, 'inventory.commands'],
    [orderOutputs.payment, 'payment.commands'],
    [orderOutputs.shipment, 'shipment.commands'],
    [orderOutputs.notification, 'notification.commands'],
    [orderOutputs.timeline, 'orchestration.timeline'],
    [orderOutputs.incident, 'orchestration.incidents'],
    [orderOutputs.state, 'orchestration.state'],
  ];
  for (const [name, topic] of outputs) addTopicSink(topology, serdes, { name, topic, parent: 'order' });
  topology.addSink({
    name: orderOutputs.deadLetter,
    topic: (record: Record<string, { readonly type: string }>) => deadLetterTopic(inputOf(record.value.type)),
    keySerde: stringSerde,
    valueSerde: anyInputSerde(serdes) as Serde<{ readonly type: string }>,
    parents: ['order'],
  });
  if (withWatermark) {
    topology.addSource({
      name: watermarkTopic,
      topics: [watermarkTopic],
      keySerde: stringSerde,
      valueSerde: epochTextSerde,
    });
    // The store makes it one task with the order processor, whose timers follow the watermark.
    topology.addProcessor({
      name: 'watermark',
      supplier: () => new NoReads(new WatermarkProcessor() as Processor<unknown, unknown>),
      parents: [watermarkTopic],
      stores: [orderStore],
    });
  }
  topology.copartition(withWatermark ? [...orderInputs, watermarkTopic] : [...orderInputs]);
}

function inputOf(type: string): TopicName {
  return (topicOfRecord(type) ?? 'purchase.events') as TopicName;
}

/** Events that the machine refuses are written as they came, with the schema of their own topic. */
function anyInputSerde(serdes: ShopSerdes): Serde<unknown> {
  return {
    name: 'refused event',
    serialize: (value, topic) => {
      if (value === null) return null;
      const input = inputOf((value as { readonly type: string }).type);
      return (serdes[input] as Serde<unknown>).serialize(value, topic);
    },
    deserialize: () => {
      throw new StreamsError('RECORD_UNREADABLE', 'dead letters are written here and never read');
    },
  };
}

/** A processor connected to a store that it never reads. */
class NoReads implements Processor<unknown, unknown> {
  readonly #inner: Processor<unknown, unknown>;

  constructor(inner: Processor<unknown, unknown>) {
    this.#inner = inner;
  }

  init(context: ProcessorContext<unknown, unknown>): void {
    this.#inner.init?.(context);
  }

  prefetch(): Iterable<never> {
    return [];
  }

  process(record: Record<unknown, unknown>): void {
    this.#inner.process(record);
  }
}

function addStock(topology: Topology, serdes: ShopSerdes): void {
  const parents = (['inventory.commands', 'inventory.events'] as const).map((topic) =>
    addTopicSource(topology, serdes, topic),
  );
  topology.addProcessor({
    name: 'stock',
    supplier: () => new StockProcessor() as Processor<unknown, unknown>,
    parents,
    stores: [stockStore],
  });
  addTopicSink(topology, serdes, {
    name: inventoryRepliesOutput,
    topic: 'inventory.replies',
    parent: 'stock',
  });
  topology.copartition(['inventory.commands', 'inventory.events']);
}

/** Gives dispatches the key of their parcel; other shipment events have no tracking number yet. */
class RekeyDispatches implements Processor<string, ShipmentEvent, string, ShipmentEvent> {
  #context: ProcessorContext<string, ShipmentEvent> | undefined;

  init(context: ProcessorContext<string, ShipmentEvent>): void {
    this.#context = context;
  }

  prefetch(): Iterable<never> {
    return [];
  }

  process(record: Record<string, ShipmentEvent>): void {
    if (record.value === null || record.value.type !== 'ShipmentDispatched') return;
    const trackingNumber = trackingNumberOf(record.value);
    if (trackingNumber !== undefined) this.#context?.forward({ ...record, key: trackingNumber });
  }
}

function addTracking(topology: Topology, serdes: ShopSerdes): void {
  topology.addRepartition({ name: dispatches, partitions: undefined });
  topology.addProcessor({
    name: 'rekey-dispatches',
    supplier: () => new RekeyDispatches() as Processor<unknown, unknown>,
    parents: ['shipment.events'],
  });
  const valueSerde = serdes['shipment.events'] as Serde<unknown>;
  topology.addSink({
    name: 'dispatches-out',
    topic: dispatches,
    keySerde: stringSerde,
    valueSerde,
    parents: ['rekey-dispatches'],
    internal: true,
  });
  topology.addSource({
    name: dispatches,
    topics: [dispatches],
    keySerde: stringSerde,
    valueSerde,
    internal: true,
  });
  addTopicSource(topology, serdes, 'tracking.scans');
  topology.addProcessor({
    name: 'tracking',
    supplier: () => new TrackingProcessor() as Processor<unknown, unknown>,
    parents: ['tracking.scans', dispatches],
    stores: [trackingStore],
  });
  addTopicSink(topology, serdes, {
    name: trackingUpdatesOutput,
    topic: 'tracking.updates',
    parent: 'tracking',
  });
  topology.copartition(['tracking.scans', { name: dispatches, internal: true }]);
}
