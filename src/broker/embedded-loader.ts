/** Reads what an embedded broker left in its store, when it is opened. Called by embedded-broker.ts once. */
import type { Entry, KeyValueBackend, Write } from '../base/backend-port.ts';
import { prefixEnd, readSortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import { Chunk } from './embedded-chunk.ts';
import {
  type KeySpace,
  layoutVersion,
  readGroupOffsetKey,
  readNumbers,
  readPartitionKey,
} from './embedded-keys.ts';
import type { PartitionLog } from './embedded-log.ts';
import type { OffsetStore } from './embedded-offsets.ts';
import type { StoredTopic, Topic, TopicRegistry } from './embedded-topics.ts';
import type { TransactionCoordinator } from './embedded-transactions.ts';

const pageEntries = 5000;

export interface LoadInto {
  readonly topics: TopicRegistry;
  readonly offsets: OffsetStore;
  readonly transactions: TransactionCoordinator;
}

/** Errors: STORE_CORRUPTED (also a layout of another version). */
export async function loadBroker(backend: KeyValueBackend, into: LoadInto): Promise<void> {
  const byNumber = await loadTopics(backend, into.topics);
  const orphans: Write[] = [];
  for await (const { key, value } of entries(backend, 'i')) {
    const { topicNumber, partition } = readPartitionKey(key);
    const log = byNumber.get(topicNumber)?.logs[partition];
    if (log === undefined) orphans.push(...deletesOf(key));
    else log.chunks.push(readChunk(log, key, value));
  }
  // What a crash in the middle of deleting a topic left behind.
  if (orphans.length > 0) await backend.write(orphans);
  for await (const { key, value } of entries(backend, 'g')) {
    const { groupId, topicNumber, partition } = readGroupOffsetKey(key);
    const topic = byNumber.get(topicNumber)?.name;
    if (topic !== undefined) into.offsets.set({ groupId, topic, partition, offset: numberAt(value, 0) });
  }
  for await (const { key, value } of entries(backend, 'x')) {
    into.transactions.restore(key.toString('utf8', 1), numberAt(value, 0));
  }
}

async function loadTopics(backend: KeyValueBackend, topics: TopicRegistry): Promise<Map<number, Topic>> {
  const ends = new Map<string, { start: number; end: number }>();
  for await (const { key, value } of entries(backend, 'p')) {
    const { topicNumber, partition } = readPartitionKey(key);
    ends.set(`${topicNumber}/${partition}`, { start: numberAt(value, 0), end: numberAt(value, 1) });
  }
  const byNumber = new Map<number, Topic>();
  for await (const { value } of entries(backend, 'b')) {
    const { version, nextTopicNumber } = JSON.parse(value.toString()) as {
      version: number;
      nextTopicNumber: number;
    };
    if (version !== layoutVersion) {
      throw new StreamsError(
        'STORE_CORRUPTED',
        `the broker’s store has layout ${version}, not ${layoutVersion}`,
      );
    }
    topics.restoreNextNumber(nextTopicNumber);
  }
  for await (const { value } of entries(backend, 't')) {
    const stored = JSON.parse(value.toString()) as StoredTopic;
    const topic = topics.restore(stored, (partition) => ends.get(`${stored.number}/${partition}`));
    byNumber.set(stored.number, topic);
  }
  return byNumber;
}

function readChunk(log: PartitionLog, key: Buffer, value: Buffer): Chunk {
  const chunk = new Chunk(readSortableInteger(key, 9), 'committed', undefined, undefined);
  chunk.last = numberAt(value, 0);
  chunk.count = numberAt(value, 1);
  chunk.bytes = numberAt(value, 2);
  chunk.timestampMax = numberAt(value, 3);
  chunk.tombstonesUntilMs = numberAt(value, 4);
  chunk.sealed = true;
  chunk.stored = true;
  if (chunk.last < log.end) return chunk;
  throw new StreamsError('STORE_CORRUPTED', 'the broker’s store holds records beyond the end of their log', {
    context: { topic: log.topic, partition: log.partition, offset: chunk.last },
  });
}

/** An index entry and the records it names. */
function deletesOf(indexKey: Buffer): Write[] {
  const records = Buffer.from(indexKey);
  records.write('r');
  return [
    { key: indexKey, value: null },
    { key: records, value: null },
  ];
}

function numberAt(value: Buffer, index: number): number {
  const number = readNumbers(value)[index];
  if (number === undefined)
    throw new StreamsError('STORE_CORRUPTED', 'an entry of the broker’s store is too short');
  return number;
}

async function* entries(backend: KeyValueBackend, space: KeySpace): AsyncGenerator<Entry> {
  const from = Buffer.from(space);
  for await (const page of backend.scan({ from, to: prefixEnd(from) as Buffer }, pageEntries)) yield* page;
}
