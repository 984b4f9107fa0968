/**
 * Records of one input partition that were polled and not yet processed, in offset order. Kept as batch and
 * index: a record becomes an object only when its turn comes.
 */
import type { RecordBatch } from '../broker/broker-port.ts';
import type { SourceNode } from '../graph/node.ts';

/** Records of a batch that are looked at to tell its size: the rest is taken for alike. */
const sampledRecords = 4;

/** Bytes of a batch's average record, key and value. An estimate, because to look at every record costs. */
function averageBytes(batch: RecordBatch): number {
  const count = Math.min(sampledRecords, batch.count);
  let bytes = 0;
  for (let sample = 0; sample < count; sample++) {
    const index = Math.floor((sample * batch.count) / count);
    bytes += (batch.key(index)?.length ?? 0) + (batch.value(index)?.length ?? 0);
  }
  return bytes / count;
}

export interface QueuedRecord {
  readonly batch: RecordBatch;
  readonly index: number;
}

export class RecordQueue {
  readonly topic: string;
  readonly partition: number;
  readonly source: SourceNode;
  #batches: RecordBatch[] = [];
  /** Average record of each batch. */
  #sizes: number[] = [];
  #bytes = 0;
  #index = 0;
  #count = 0;
  /** Of the head; read for every choice of a record, so it is not asked of the batch each time. */
  #headMs = Number.POSITIVE_INFINITY;

  constructor(topic: string, partition: number, source: SourceNode) {
    this.topic = topic;
    this.partition = partition;
    this.source = source;
  }

  get count(): number {
    return this.#count;
  }

  /** Roughly the bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  push(batch: RecordBatch): void {
    if (batch.count === 0) return;
    const size = averageBytes(batch);
    this.#batches.push(batch);
    this.#sizes.push(size);
    this.#bytes += size * batch.count;
    this.#count += batch.count;
    if (this.#batches.length === 1) this.#lookAtHead();
  }

  head(): QueuedRecord | undefined {
    const batch = this.#batches[0];
    return batch === undefined ? undefined : { batch, index: this.#index };
  }

  /** The record that lies `ahead` places behind the head. */
  at(ahead: number): QueuedRecord | undefined {
    let index = this.#index + ahead;
    for (const batch of this.#batches) {
      if (index < batch.count) return { batch, index };
      index -= batch.count;
    }
    return undefined;
  }

  /** Milliseconds; +Infinity when nothing is queued. */
  headTimestamp(): number {
    return this.#headMs;
  }

  headOffset(): number | undefined {
    return this.#batches[0]?.offset(this.#index);
  }

  /** Takes the head. */
  shift(): QueuedRecord | undefined {
    const head = this.head();
    if (head === undefined) return undefined;
    this.#count--;
    this.#index++;
    this.#bytes = this.#count === 0 ? 0 : this.#bytes - (this.#sizes[0] ?? 0);
    if (this.#index === head.batch.count) {
      this.#batches.shift();
      this.#sizes.shift();
      this.#index = 0;
    }
    this.#lookAtHead();
    return head;
  }

  clear(): void {
    this.#batches = [];
    this.#sizes = [];
    this.#bytes = 0;
    this.#index = 0;
    this.#count = 0;
    this.#lookAtHead();
  }

  #lookAtHead(): void {
    this.#headMs = this.#batches[0]?.timestamp(this.#index) ?? Number.POSITIVE_INFINITY;
  }
}
