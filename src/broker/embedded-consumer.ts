/**
 * The embedded broker's consumer: positions in logs, and a poll that wakes as soon as there is something
 * to read. Evicted records are read back from the store; nothing is prefetched, so nothing stale can be
 * delivered after a seek, a pause or an unassignment.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Consumer, Isolation, PartitionOffset, RecordBatch } from './broker-port.ts';
import type { ChunkData } from './embedded-chunk.ts';
import { type PartitionLog, type ReadPlan, takeBatch } from './embedded-log.ts';
import type { EmbeddedStorage } from './embedded-storage.ts';
import type { TopicRegistry } from './embedded-topics.ts';
import type { TransactionCoordinator } from './embedded-transactions.ts';

/** A reader that never waits lets the event loop run at least this often. */
const turnMs = 10;

export interface ConsumerParts {
  readonly storage: EmbeddedStorage;
  readonly topics: TopicRegistry;
  readonly transactions: TransactionCoordinator;
  readonly clock: Clock;
  readonly checkOpen: () => void;
  readonly closed: (consumer: EmbeddedConsumer) => void;
}

interface Assigned {
  readonly log: PartitionLog;
  position: number;
  paused: boolean;
  /** Grows with each seek: what was planned before is void. */
  seeks: number;
}

interface Planned {
  readonly assigned: Assigned;
  readonly plan: ReadPlan;
  readonly seeks: number;
}

export class EmbeddedConsumer implements Consumer {
  readonly #parts: ConsumerParts;
  readonly #isolation: Isolation;
  readonly #assigned = new Map<string, Assigned>();
  /** Where the next poll begins, so that no partition starves another. */
  #turn = 0;
  #yieldedMs: number;
  #waiting: AbortController | undefined;
  #closed = false;

  constructor(parts: ConsumerParts, isolation: Isolation) {
    this.#parts = parts;
    this.#isolation = isolation;
    this.#yieldedMs = parts.clock.monotonicMs();
  }

  async assign(partitions: readonly PartitionOffset[]): Promise<void> {
    this.#checkOpen();
    const logs = this.#parts.topics.logsOf(partitions);
    for (const [i, { topic, partition, offset }] of partitions.entries()) {
      const key = partitionKey(topic, partition);
      if (this.#assigned.has(key)) continue;
      this.#assigned.set(key, { log: logs[i] as PartitionLog, position: offset, paused: false, seeks: 0 });
    }
    this.#waiting?.abort();
  }

  async unassign(partitions: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) this.#assigned.delete(partitionKey(topic, partition));
    this.#waiting?.abort();
  }

  async poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<RecordBatch[]> {
    const { clock, transactions } = this.#parts;
    const deadlineMs = clock.nowMs() + options.waitMs;
    await this.#yieldSometimes();
    for (;;) {
      if (this.#closed) return [];
      this.#checkOpen();
      transactions.expire();
      const planned = this.#plan(options.recordsMax);
      if (planned.length > 0) {
        const batches = await this.#take(planned, options.recordsMax);
        if (batches.length > 0) return batches;
        // Everything planned was sought away, paused or cleaned meanwhile: look again.
        continue;
      }
      const leftMs = deadlineMs - clock.nowMs();
      if (leftMs <= 0) return [];
      await this.#wait(Math.min(leftMs, transactions.nextExpiryMs()));
    }
  }

  position(partition: TopicPartition): number {
    return this.#require(partition).position;
  }

  atEnd(partition: TopicPartition): boolean {
    const { log, position } = this.#require(partition);
    return position >= log.endFor(this.#isolation);
  }

  async seek({ topic, partition, offset }: PartitionOffset): Promise<void> {
    const assigned = this.#require({ topic, partition });
    assigned.position = offset;
    assigned.seeks += 1;
    this.#waiting?.abort();
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#require(partition).paused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#require(partition).paused = false;
    this.#waiting?.abort();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#assigned.clear();
    this.#waiting?.abort();
    this.#parts.closed(this);
  }

  /** What to read now; positions with nothing before them but markers move on. */
  #plan(recordsMax: number): Planned[] {
    const partitions = [...this.#assigned.values()];
    const planned: Planned[] = [];
    let records = 0;
    this.#turn = partitions.length === 0 ? 0 : (this.#turn + 1) % partitions.length;
    for (let i = 0; i < partitions.length && records < recordsMax; i++) {
      const assigned = partitions[(this.#turn + i) % partitions.length] as Assigned;
      if (assigned.paused) continue;
      const { log, position, seeks } = assigned;
      const plan = log.plan(position, this.#isolation, recordsMax - records);
      if (plan.chunks.length === 0) {
        assigned.position = Math.max(position, plan.bound);
        continue;
      }
      planned.push({ assigned, plan, seeks });
      for (const chunk of plan.chunks) {
        records += chunk.contiguous ? chunk.last - Math.max(position, chunk.base) + 1 : 1;
      }
    }
    return planned;
  }

  /** Loads first, then takes without a pause: an error leaves every position where it was. */
  async #take(planned: readonly Planned[], recordsMax: number): Promise<RecordBatch[]> {
    const loads: (ChunkData | undefined)[][] = [];
    for (const { assigned, plan } of planned) {
      loads.push(await this.#parts.storage.load(assigned.log, plan.chunks, true));
    }
    const batches: RecordBatch[] = [];
    let left = recordsMax;
    for (const [i, { assigned, plan, seeks }] of planned.entries()) {
      const { log } = assigned;
      const loaded = loads[i] as (ChunkData | undefined)[];
      const current = this.#assigned.get(partitionKey(log.topic, log.partition));
      if (left <= 0 || current !== assigned || assigned.paused || assigned.seeks !== seeks) continue;
      if (loaded.includes(undefined)) continue;
      const taken = takeBatch(log, plan, loaded as ChunkData[], assigned.position, left);
      assigned.position = taken.position;
      if (taken.batch === undefined) continue;
      batches.push(taken.batch);
      left -= taken.batch.count;
    }
    return batches;
  }

  /** Registered in the turn that found nothing, so that no record slips in between. */
  async #wait(waitMs: number): Promise<void> {
    const controller = new AbortController();
    const wake = (): void => controller.abort();
    const logs = [...this.#assigned.values()].filter(({ paused }) => !paused).map(({ log }) => log);
    for (const log of logs) log.addWaiter(wake, this.#isolation);
    this.#waiting = controller;
    try {
      await this.#parts.clock.sleep(waitMs, controller.signal);
    } finally {
      this.#waiting = undefined;
      for (const log of logs) log.removeWaiter(wake, this.#isolation);
      this.#yieldedMs = this.#parts.clock.monotonicMs();
    }
  }

  async #yieldSometimes(): Promise<void> {
    const { clock } = this.#parts;
    if (clock.monotonicMs() - this.#yieldedMs < turnMs) return;
    await clock.yield();
    this.#yieldedMs = clock.monotonicMs();
  }

  #require({ topic, partition }: TopicPartition): Assigned {
    const assigned = this.#assigned.get(partitionKey(topic, partition));
    if (assigned !== undefined) return assigned;
    throw new StreamsError('INVARIANT_BROKEN', 'the partition is not assigned to the consumer', {
      context: { topic, partition },
    });
  }

  #checkOpen(): void {
    this.#parts.checkOpen();
    this.#parts.storage.check();
  }
}
