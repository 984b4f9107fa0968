/**
 * The summary of a replay, made by an independent reader of the topics: what commands went out (and whether
 * any went out twice), and what each order's last snapshot says. Read-committed; nothing is asked of the engine.
 */
import { type Broker, StreamsError, textHeader } from '#streams';
import { headerKeys } from '../headers.ts';
import type { OrderSnapshot } from '../schema-types.ts';
import { type ShopSerdes, type TopicName, topics } from '../topics.ts';
import { type Comparison, sorted } from './compare.ts';
import type { Reached } from './expected-outcome.ts';
import { readTopics, type TopicRecord } from './topic-reader.ts';

export interface ReplaySummary extends Comparison {
  readonly input: 'olist';
  readonly broker: 'embedded' | 'kafka';
  /** Events sent, repeats and opening stock included. */
  readonly events: number;
  /** Counts by record name. */
  readonly commands: Readonly<Record<string, number>>;
  /** Commands whose id and attempt were there before. */
  readonly duplicateCommands: number;
  /** Orders that were refused for stock. Order: by id. */
  readonly refusedForStock: readonly string[];
  readonly deadLetters: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
}

/** What the topics say. */
export interface Observed {
  readonly commands: Readonly<Record<string, number>>;
  readonly duplicateCommands: number;
  readonly reached: ReadonlyMap<string, Reached>;
  readonly refusedForStock: readonly string[];
  readonly deadLetters: number;
}

export async function observe(broker: Broker, serdes: ShopSerdes): Promise<Observed> {
  const { commands, duplicateCommands } = await readCommands(broker, serdes);
  const snapshots = await readSnapshots(broker, serdes);
  const reached = new Map<string, Reached>();
  const refused: string[] = [];
  for (const [orderId, { phase, shipments, reasonCode }] of snapshots) {
    reached.set(orderId, { phase, dispatched: shipments.some(({ dispatchedAt }) => dispatchedAt !== null) });
    if (phase === 'REJECTED' && reasonCode === 'out_of_stock') refused.push(orderId);
  }
  return {
    commands: sorted(commands),
    duplicateCommands,
    reached,
    refusedForStock: refused.sort(),
    deadLetters: await countDeadLetters(broker),
  };
}

function decode<T extends TopicName>(serdes: ShopSerdes, topic: T, record: TopicRecord) {
  const value = serdes[topic].deserialize(record.value, topic);
  if (value !== null) return value;
  throw new StreamsError('RECORD_UNREADABLE', 'a record without a value', { context: { topic } });
}

async function prepareAll(serdes: ShopSerdes, topic: TopicName, values: readonly Buffer[]): Promise<void> {
  await Promise.all(values.flatMap((value) => serdes[topic].prepare?.(value) ?? []));
}

async function readCommands(
  broker: Broker,
  serdes: ShopSerdes,
): Promise<{ commands: Record<string, number>; duplicateCommands: number }> {
  const commands: Record<string, number> = {};
  const seen = new Set<string>();
  let duplicateCommands = 0;
  for (const { name } of topics.filter(({ isCommand }) => isCommand)) {
    await readTopics({
      broker,
      topics: [name],
      clientId: 'replay-summary',
      prepare: (values) => prepareAll(serdes, name, values),
      onRecord: (record) => {
        const { type, commandId } = decode(serdes, name, record) as { type: string; commandId: string };
        commands[type] = (commands[type] ?? 0) + 1;
        const id = `${commandId}/${textHeader(record.headers, headerKeys.attempt) ?? ''}`;
        if (seen.has(id)) duplicateCommands++;
        seen.add(id);
      },
    });
  }
  return { commands, duplicateCommands };
}

/** The last snapshot of every order. */
async function readSnapshots(broker: Broker, serdes: ShopSerdes): Promise<Map<string, OrderSnapshot>> {
  const topic = 'orchestration.state';
  // Only the last one of a key is decoded: an order has a dozen.
  const last = new Map<string, TopicRecord>();
  await readTopics({
    broker,
    topics: [topic],
    clientId: 'replay-summary',
    prepare: (values) => prepareAll(serdes, topic, values),
    onRecord: (record) => {
      const key = record.key?.toString('utf8') ?? '';
      if (record.value === null) last.delete(key);
      else last.set(key, record);
    },
  });
  return new Map([...last].map(([key, record]) => [key, decode(serdes, topic, record)]));
}

async function countDeadLetters(broker: Broker): Promise<number> {
  let count = 0;
  await readTopics({
    broker,
    topics: topics.map(({ name }) => `${name}.dlq`),
    clientId: 'replay-summary',
    onRecord: () => {
      count++;
    },
  });
  return count;
}
