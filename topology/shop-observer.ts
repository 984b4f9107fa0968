/**
 * What the shop's topics say, by an independent reader: which commands went out (and whether any went out
 * twice), and the last snapshot of each order. Read-committed; nothing is asked of the engine. Called at the end
 * of a replay or demo.
 */
import { type Broker, StreamsError, textHeader } from '#streams';
import { headerKeys } from './headers.ts';
import type { OrderSnapshot } from './schema-types.ts';
import { readTopics, type TopicRecord } from './topic-reader.ts';
import { type ShopSerdes, type TopicName, topics } from './topics.ts';

/** What the topics say. */
export interface Observed {
  /** Counts by record name. */
  readonly commands: Readonly<Record<string, number>>;
  /** Commands whose id and attempt were there before. */
  readonly duplicateCommands: number;
  /** The last one of each order. */
  readonly snapshots: ReadonlyMap<string, OrderSnapshot>;
  readonly deadLetters: number;
}

export async function observe(broker: Broker, serdes: ShopSerdes): Promise<Observed> {
  const { commands, duplicateCommands } = await readCommands(broker, serdes);
  return {
    commands: byCount(commands),
    duplicateCommands,
    snapshots: await readSnapshots(broker, serdes),
    deadLetters: await countDeadLetters(broker),
  };
}

/** The largest count first, so that a printed summary is read from the top. */
export function byCount(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)));
}

/** How many there are of each phase. */
export function phaseCounts(snapshots: Iterable<OrderSnapshot>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { phase } of snapshots) counts[phase] = (counts[phase] ?? 0) + 1;
  return byCount(counts);
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
      clientId: 'observer',
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
    clientId: 'observer',
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
    clientId: 'observer',
    onRecord: () => {
      count++;
    },
  });
  return count;
}
