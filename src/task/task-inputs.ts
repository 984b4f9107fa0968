/**
 * What a task has read and not yet processed: a queue for each input, the choice of the next record, and its
 * decoding. Used by stream-task.ts alone; processes nothing and knows neither state nor outputs.
 */
import { must } from '../base/assert.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { RecordBatch } from '../broker/broker-port.ts';
import type { SourceNode } from '../graph/node.ts';
import type { Record } from '../graph/processor.ts';
import { resolveTopic } from '../graph/subtopology.ts';
import type { Serde } from '../serde/serde.ts';
import { type QueuedRecord, RecordQueue } from './record-queue.ts';
import type { TaskPlan } from './task-plan.ts';

export interface DecodedRecord {
  readonly queued: QueuedRecord;
  readonly source: SourceNode;
  readonly record: Record<unknown, unknown> | undefined;
  readonly error: StreamsError | undefined;
}

/** Where a record came from, as errors and log lines say it. A type, so that it is an error's context too. */
export type RecordOrigin = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly taskId: string;
};

export class TaskInputs {
  readonly #taskId: string;
  readonly #queues = new Map<string, RecordQueue>();
  readonly #streamTimeMs: () => number;
  /** True when records are queued and wait for one of an input that has none. */
  waiting = false;

  /** `streamTimeMs`: for timestamp extractors. */
  constructor(plan: TaskPlan, applicationId: string, streamTimeMs: () => number) {
    this.#taskId = plan.taskId;
    this.#streamTimeMs = streamTimeMs;
    for (const input of plan.inputs) {
      const source = must(
        plan.subtopology.sources.find((node) =>
          node.topics.some((topic) => resolveTopic(topic, applicationId) === input.topic),
        ),
        `topic ${input.topic} has no source`,
      );
      this.#queues.set(input.topic, new RecordQueue(input.topic, input.partition, source));
    }
  }

  get queued(): number {
    let count = 0;
    for (const queue of this.#queues.values()) count += queue.count;
    return count;
  }

  /** Roughly the bytes of what is queued. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const queue of this.#queues.values()) bytes += queue.bytes;
    return bytes;
  }

  get queues(): Iterable<RecordQueue> {
    return this.#queues.values();
  }

  enqueue(batch: RecordBatch): void {
    this.#queue(batch.topic).push(batch);
  }

  clear(): void {
    this.waiting = false;
    for (const queue of this.#queues.values()) queue.clear();
  }

  /** The offset up to which the input is processed: the queue's head, else where the consumer stands. */
  nextOffset(input: TopicPartition, position: (input: TopicPartition) => number): number {
    return this.#queue(input.topic).headOffset() ?? position(input);
  }

  /** Schemas and the like that the queued records need; undefined when all is at hand. */
  prepare(batches: readonly RecordBatch[]): Promise<unknown> | undefined {
    const waits: Promise<void>[] = [];
    // What is wrong with one record shows when it is decoded, and goes the way of its failure policy.
    const unlessPoison = (error: unknown): void => {
      if (!(error instanceof StreamsError) || error.kind !== 'poison') throw error;
    };
    const prepareOne = (serde: Serde<unknown>, bytes: Buffer | null): void => {
      if (bytes === null || serde.prepare === undefined) return;
      try {
        const wait = serde.prepare(bytes);
        if (wait !== undefined) waits.push(wait.catch(unlessPoison));
      } catch (error) {
        unlessPoison(error);
      }
    };
    for (const batch of batches) {
      const { keySerde, valueSerde } = this.#queue(batch.topic).source;
      if (keySerde.prepare === undefined && valueSerde.prepare === undefined) continue;
      for (let index = 0; index < batch.count; index++) {
        prepareOne(keySerde, batch.key(index));
        prepareOne(valueSerde, batch.value(index));
      }
    }
    return waits.length === 0 ? undefined : Promise.all(waits);
  }

  /**
   * Up to `recordsMax` records, always from the queue whose head has the smallest timestamp. Records of other
   * inputs wait with one that `take` does not give: what a record meets does not depend on how long calls take.
   * They wait too while an input without a record may not be passed over: its next one may be the earliest.
   */
  choose(
    recordsMax: number,
    take: (queue: RecordQueue) => DecodedRecord | undefined,
    mayPass: (input: TopicPartition) => boolean,
  ): DecodedRecord[] {
    const round: DecodedRecord[] = [];
    /** Found out once a round: nothing is polled meanwhile. */
    const passed = new Set<RecordQueue>();
    this.waiting = false;
    while (round.length < recordsMax) {
      let chosen: RecordQueue | undefined;
      let earliestMs = Number.POSITIVE_INFINITY;
      for (const queue of this.#queues.values()) {
        if (queue.count === 0) {
          if (passed.has(queue)) continue;
          // A task with one input has nobody to wait for.
          if (this.queued > 0 && !mayPass(queue)) {
            this.waiting = true;
            return round;
          }
          passed.add(queue);
          continue;
        }
        const headMs = queue.headTimestamp();
        if (chosen !== undefined && headMs >= earliestMs) continue;
        chosen = queue;
        earliestMs = headMs;
      }
      const decoded = chosen === undefined ? undefined : take(chosen);
      if (decoded === undefined) break;
      round.push(decoded);
    }
    return round;
  }

  /** Order: the caller has taken `queued` off its queue, or looks ahead. Never throws: an error is part of the result. */
  decode(source: SourceNode, queued: QueuedRecord): DecodedRecord {
    const { batch, index } = queued;
    try {
      const key = source.keySerde.deserialize(batch.key(index), batch.topic);
      const value = source.valueSerde.deserialize(batch.value(index), batch.topic);
      const raw = { key, value, timestamp: batch.timestamp(index), headers: batch.headers(index) };
      const timestamp = source.timestampExtractor?.(raw, this.#streamTimeMs()) ?? raw.timestamp;
      if (!Number.isSafeInteger(timestamp))
        throw new StreamsError('TIMESTAMP_INVALID', `${timestamp} is no time of a record`);
      return {
        queued,
        source,
        record: timestamp === raw.timestamp ? raw : { ...raw, timestamp },
        error: undefined,
      };
    } catch (error) {
      return {
        queued,
        source,
        record: undefined,
        error: asStreamsError(error, 'RECORD_UNREADABLE', this.originOf(queued)),
      };
    }
  }

  originOf({ batch, index }: QueuedRecord): RecordOrigin {
    return {
      topic: batch.topic,
      partition: batch.partition,
      offset: batch.offset(index),
      taskId: this.#taskId,
    };
  }

  #queue(topic: string): RecordQueue {
    return must(this.#queues.get(topic), `task ${this.#taskId} does not read topic ${topic}`);
  }
}
