/**
 * What a task wants to write: records of the open generation, in order. They wait here in memory until the
 * generation is sealed, so a transaction only ever holds whole, sealed generations, and a rolled-back
 * record leaves no output behind.
 */

import { StreamsError } from '../base/errors.ts';
import { partitionForKey } from '../base/murmur2.ts';
import type { OutgoingRecord } from '../broker/broker-port.ts';
import type { SinkNode } from '../graph/node.ts';
import type { Record } from '../graph/processor.ts';
import { resolveTopic } from '../graph/subtopology.ts';
import { requireRecordFits } from './record-size.ts';

export class Collector {
  readonly #applicationId: string;
  readonly #partitionsOf: ReadonlyMap<string, number>;
  #open: OutgoingRecord[] = [];
  /** Spreads records without a key; their order across partitions means nothing. */
  #roundRobin = 0;

  constructor(applicationId: string, partitionsOf: ReadonlyMap<string, number>) {
    this.#applicationId = applicationId;
    this.#partitionsOf = partitionsOf;
  }

  /** Serializes at once: a value that cannot be written fails its own record, not the commit. */
  send(sink: SinkNode, record: Record<unknown, unknown>): void {
    const topic =
      typeof sink.topic === 'function' ? sink.topic(record) : resolveTopic(sink.topic, this.#applicationId);
    const partitions = this.#partitionsOf.get(topic);
    if (partitions === undefined) {
      throw new StreamsError(
        'TOPIC_UNKNOWN',
        `sink ${sink.name} writes to topic ${topic}, which was not there at the start`,
        { context: { topic, node: sink.name } },
      );
    }
    if (!Number.isSafeInteger(record.timestamp) || record.timestamp < 0) {
      throw new StreamsError('TIMESTAMP_INVALID', `${record.timestamp} is no time of a record`, {
        context: { topic, node: sink.name },
      });
    }
    const key = sink.keySerde.serialize(record.key, topic);
    const value = sink.valueSerde.serialize(record.value, topic);
    const chosen = sink.partitioner?.(topic, record.key, record.value, partitions);
    requireRecordFits({ topic }, key, value, record.headers);
    const { timestamp, headers } = record;
    if (typeof chosen === 'object') {
      // A set, as in Kafka Streams: a partition that is named twice gets one copy.
      for (const partition of new Set(chosen)) {
        requirePartition(sink, topic, partition, partitions);
        this.#open.push({ topic, partition, key, value, timestamp, headers });
      }
      return;
    }
    const partition =
      chosen ?? (key === null ? this.#roundRobin++ % partitions : partitionForKey(key, partitions));
    requirePartition(sink, topic, partition, partitions);
    this.#open.push({ topic, partition, key, value, timestamp, headers });
  }

  sendRaw(record: OutgoingRecord): void {
    this.#open.push(record);
  }

  get openCount(): number {
    return this.#open.length;
  }

  savepoint(): number {
    return this.#open.length;
  }

  rollback(savepoint: number): void {
    this.#open.length = savepoint;
  }

  seal(): OutgoingRecord[] {
    const sealed = this.#open;
    this.#open = [];
    return sealed;
  }

  discard(): void {
    this.#open = [];
  }
}

function requirePartition(sink: SinkNode, topic: string, partition: number, partitions: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return;
  throw new StreamsError(
    'PROCESSING_FAILED',
    `the partitioner of ${sink.name} chose partition ${partition} of ${partitions}`,
    { context: { topic, node: sink.name } },
  );
}
