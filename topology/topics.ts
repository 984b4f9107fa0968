/**
 * Every topic of the shop in one object: its records, whose key it has, its settings. Read by the wiring
 * (shop-topology.ts), by the commands that create topics, and by readers of the replay. Keys are plain UTF-8
 * strings without a schema id, which would change partitions.
 *
 * Topics of one key share a partition count, so that whatever belongs to an order (or a sku, or a tracking
 * number) meets in one task.
 */
import type { AvroSerdes, Serde, TopicSpec } from '#streams';
import { type TopicValues, topicRecords } from './schema-types.ts';

export type TopicName = keyof TopicValues;

/** What the key of a topic names; topics of one kind are co-partitioned. */
export type KeyKind = 'order' | 'sku' | 'trackingNumber';

export interface TopicDefinition {
  readonly name: TopicName;
  readonly key: KeyKind;
  /** Commands are what the shop asks others to do; counted by the independent reader of a replay. */
  readonly isCommand: boolean;
  /** Kafka's names. */
  readonly config: Readonly<Record<string, string>>;
}

const day = 24 * 3600 * 1000;
const kept = (days: number): Readonly<Record<string, string>> => ({
  'cleanup.policy': 'delete',
  'retention.ms': String(days * day),
});

function define(
  name: TopicName,
  key: KeyKind,
  config: Readonly<Record<string, string>> = kept(30),
): TopicDefinition {
  return { name, key, isCommand: name.endsWith('.commands'), config };
}

/** Order: as an order meets them. */
export const topics: readonly TopicDefinition[] = [
  define('purchase.events', 'order'),
  define('inventory.commands', 'sku'),
  define('inventory.events', 'sku'),
  define('inventory.replies', 'order'),
  define('payment.commands', 'order'),
  define('payment.events', 'order'),
  define('shipment.commands', 'order'),
  define('shipment.events', 'order'),
  define('tracking.scans', 'trackingNumber'),
  define('tracking.updates', 'order'),
  define('notification.commands', 'order'),
  define('orchestration.timeline', 'order', kept(365)),
  define('orchestration.incidents', 'order', kept(365)),
  // The last state of every order: what a new reader needs, however late it comes.
  define('orchestration.state', 'order', { 'cleanup.policy': 'compact' }),
];

/** Of a replay: the driver's promise that nothing older will come, one record per partition. */
export const watermarkTopic = 'replay.watermark';
/** Of a replay: how far its driver is, written with what it sent. */
export const progressTopic = 'replay.progress';
/** Of a demo: how many orders its driver has placed. */
export const demoProgressTopic = 'demo.progress';

export interface TopicCounts {
  readonly order: number;
  readonly sku: number;
  readonly trackingNumber: number;
}

export const defaultPartitions: TopicCounts = { order: 4, sku: 4, trackingNumber: 4 };

/** `keepForEver`: `retention.ms=-1`, for a replay, whose events are older than any retention. */
export function topicSpecs(partitions: TopicCounts, keepForEver: boolean): TopicSpec[] {
  return topics.map(({ name, key, config }) => ({
    name,
    partitions: partitions[key],
    config:
      keepForEver && config['cleanup.policy'] === 'delete' ? { ...config, 'retention.ms': '-1' } : config,
  }));
}

/** The two topics that only a replay has. */
export function replayTopicSpecs(partitions: TopicCounts): TopicSpec[] {
  return [
    {
      name: watermarkTopic,
      partitions: partitions.order,
      config: { 'cleanup.policy': 'delete', 'retention.ms': '-1' },
    },
    { name: progressTopic, partitions: 1, config: { 'cleanup.policy': 'compact' } },
  ];
}

/** The value serdes of all topics. */
export type ShopSerdes = { readonly [T in TopicName]: Serde<TopicValues[T]> };

/** Errors: those of AvroSerdes. */
export async function openShopSerdes(avro: AvroSerdes): Promise<ShopSerdes> {
  const entries = await Promise.all(
    topics.map(async ({ name }) => [name, await avro.forTopic(name, topicRecords[name])] as const),
  );
  return Object.fromEntries(entries) as unknown as ShopSerdes;
}
