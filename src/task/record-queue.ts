/**
 * Records of one input partition that were polled and not yet processed, in offset order. Kept as batch and
 * index: a record becomes an object only when its turn comes.
 */
import type { RecordBatch } from '../broker/broker-port.ts';
import type { SourceNode } from '../graph/node.ts';

export interface QueuedRecord {
  readonly batch: RecordBatch;
  readonly index: number;
}

export class RecordQueue {
  readonly topic: string;
  readonly partition: number;
  readonly source: SourceNode;
  #batches: RecordBatch[] = [];
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

  push(batch: RecordBatch): void {
    if (batch.count === 0) return;
    this.#batches.push(batch);
    this.#count += batch.count;
    if (this.#batches.length === 1) this.#lookAtHead();
  }

  head(): QueuedRecord | undefined {
    const batch = this.#batches[0];
    return batch === undefined ? undefined : { batch, index: this.#index };
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
    if (this.#index === head.batch.count) {
      this.#batches.shift();
      this.#index = 0;
    }
    this.#lookAtHead();
    return head;
  }

  clear(): void {
    this.#batches = [];
    this.#index = 0;
    this.#count = 0;
    this.#lookAtHead();
  }

  #lookAtHead(): void {
    this.#headMs = this.#batches[0]?.timestamp(this.#index) ?? Number.POSITIVE_INFINITY;
  }
}
