/**
 * The transaction coordinator of the embedded broker: epochs of transactional ids, open transactions and
 * their end. Called by embedded-producer.ts; writes through embedded-storage.ts.
 *
 * A transaction's records live in its logs' chunks in memory. A commit is one batch: those chunks, the ends
 * with the markers, the group offsets. An abort writes nothing, and so does a crash: the same outcome.
 * Nothing runs by itself: `expire` is called by whoever would notice that a transaction is too old.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey } from '../base/record.ts';
import type { OutgoingRecord } from './broker-port.ts';
import type { Chunk } from './embedded-chunk.ts';
import { groupOffsetKey, numberValue, transactionalIdKey } from './embedded-keys.ts';
import type { PartitionLog } from './embedded-log.ts';
import type { GroupOffset, OffsetStore } from './embedded-offsets.ts';
import type { EmbeddedStorage } from './embedded-storage.ts';

interface TransactionalId {
  readonly id: string;
  epoch: number;
  open: Transaction | undefined;
  /** The markers of its last commit are still on their way to the logs. */
  landing: Promise<void> | undefined;
}

/** One transaction from begin to its end. */
export class Transaction {
  readonly owner: TransactionalId;
  readonly timeoutMs: number;
  /** Set by its first record or offset, as in Kafka: one that has done nothing holds nothing up. */
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly chunks = new Map<PartitionLog, Chunk[]>();
  readonly offsets = new Map<string, GroupOffset>();
  /** Resolves when a commit under way has ended, either way. */
  ending: Promise<void> | undefined;

  constructor(owner: TransactionalId, timeoutMs: number) {
    this.owner = owner;
    this.timeoutMs = timeoutMs;
  }
}

export class TransactionCoordinator {
  readonly #storage: EmbeddedStorage;
  readonly #offsets: OffsetStore;
  readonly #topicNumber: (topic: string) => number | undefined;
  readonly #clock: Clock;
  readonly #markerDelayMs: (() => number) | undefined;
  readonly #ids = new Map<string, TransactionalId>();
  readonly #open = new Set<Transaction>();

  constructor(options: {
    storage: EmbeddedStorage;
    offsets: OffsetStore;
    topicNumber: (topic: string) => number | undefined;
    clock: Clock;
    markerDelayMs: (() => number) | undefined;
  }) {
    this.#storage = options.storage;
    this.#offsets = options.offsets;
    this.#topicNumber = options.topicNumber;
    this.#clock = options.clock;
    this.#markerDelayMs = options.markerDelayMs;
  }

  /** Puts back an epoch found in the store. */
  restore(id: string, epoch: number): void {
    this.#ids.set(id, { id, epoch, open: undefined, landing: undefined });
  }

  /** A new epoch: older producers of the id are fenced, their open transaction is aborted. */
  async init(id: string): Promise<number> {
    const owner = this.#ids.get(id) ?? { id, epoch: -1, open: undefined, landing: undefined };
    this.#ids.set(id, owner);
    owner.epoch += 1;
    const { epoch } = owner;
    // A commit that is on its way to the disk has its outcome; the successor starts after it.
    while (owner.open !== undefined) {
      if (owner.open.ending !== undefined) await owner.open.ending;
      else this.abort(owner.open);
    }
    await owner.landing;
    await this.#storage.write((writes) =>
      writes.push({ key: transactionalIdKey(id), value: numberValue(owner.epoch) }),
    );
    return epoch;
  }

  /** Errors: PRODUCER_FENCED. */
  checkEpoch(id: string, epoch: number): void {
    this.expire();
    if (this.#ids.get(id)?.epoch === epoch) return;
    const sentence = `another producer took over the transactional id ${id}, or its transaction timed out`;
    throw new StreamsError('PRODUCER_FENCED', sentence, { context: { transactionalId: id } });
  }

  /** To be waited for before `begin`: Kafka opens no transaction while the markers of the last are on their way. */
  landing(id: string): Promise<void> | undefined {
    return this.#ids.get(id)?.landing;
  }

  begin(id: string, timeoutMs: number): Transaction {
    const owner = this.#ids.get(id) as TransactionalId;
    const transaction = new Transaction(owner, timeoutMs);
    owner.open = transaction;
    this.#open.add(transaction);
    return transaction;
  }

  append(transaction: Transaction, log: PartitionLog, record: OutgoingRecord): void {
    this.#started(transaction);
    const chunk = log.append(record, transaction);
    const chunks = transaction.chunks.get(log);
    if (chunks === undefined) transaction.chunks.set(log, [chunk]);
    else if (chunks[chunks.length - 1] !== chunk) chunks.push(chunk);
  }

  addOffset(transaction: Transaction, offset: GroupOffset): void {
    this.#started(transaction);
    const key = `${offset.groupId}\n${partitionKey(offset.topic, offset.partition)}`;
    if (!transaction.offsets.has(key)) this.#offsets.addPending(offset);
    transaction.offsets.set(key, offset);
  }

  /** One synced batch. Errors: TRANSACTION_OUTCOME_UNKNOWN. */
  async commit(transaction: Transaction): Promise<void> {
    const logs = [...transaction.chunks].filter(([log]) => !log.deleted);
    for (const [log, chunks] of logs) {
      for (const chunk of chunks) chunk.seal();
      log.appendMarker();
    }
    try {
      if (logs.length > 0 || transaction.offsets.size > 0) {
        const written = this.#write(transaction, logs);
        transaction.ending = written.catch(() => {});
        await written;
      }
    } catch (cause) {
      throw new StreamsError('TRANSACTION_OUTCOME_UNKNOWN', 'the commit could not be stored', { cause });
    } finally {
      this.#forget(transaction);
    }
    if (this.#markerDelayMs === undefined) {
      this.#applyOffsets(transaction);
      this.#close(transaction, 'committed');
    } else this.#landLater(transaction, this.#markerDelayMs);
  }

  abort(transaction: Transaction): void {
    for (const [log, chunks] of transaction.chunks) {
      for (const chunk of chunks) chunk.seal();
      if (!log.deleted) log.appendMarker();
    }
    this.#forget(transaction);
    this.#close(transaction, 'aborted');
  }

  /** As on Kafka: decided now, but seen in each log, and in the group's offsets, when its marker gets there. */
  #landLater(transaction: Transaction, delayMs: () => number): void {
    const { owner, chunks } = transaction;
    const later = (land: () => void): Promise<void> => this.#clock.sleep(delayMs()).then(land);
    const landing = Promise.all([
      later(() => this.#applyOffsets(transaction)),
      ...[...chunks].map(([log, written]) =>
        later(() => this.#closeLog(transaction, log, written, 'committed')),
      ),
    ]).then(() => {
      if (owner.landing === landing) owner.landing = undefined;
    });
    owner.landing = landing;
  }

  /** Aborts what has run out of time and fences its producers. */
  expire(): void {
    if (this.#open.size === 0) return;
    const nowMs = this.#clock.nowMs();
    for (const transaction of this.#open) {
      if (transaction.deadlineMs > nowMs || transaction.ending !== undefined) continue;
      transaction.owner.epoch += 1;
      this.abort(transaction);
    }
  }

  /** Milliseconds until the next transaction runs out of time; infinite when none can. */
  nextExpiryMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { deadlineMs, ending } of this.#open)
      if (ending === undefined) next = Math.min(next, deadlineMs);
    return Math.max(0, next - this.#clock.nowMs());
  }

  #started(transaction: Transaction): void {
    if (transaction.deadlineMs !== Number.POSITIVE_INFINITY) return;
    transaction.deadlineMs = this.#clock.nowMs() + transaction.timeoutMs;
  }

  #write(transaction: Transaction, logs: readonly [PartitionLog, Chunk[]][]): Promise<void> {
    return this.#storage.write((writes) => {
      for (const [log, chunks] of logs) {
        if (log.deleted) continue;
        for (const chunk of chunks) this.#storage.putChunk(log, chunk, writes);
      }
      for (const { groupId, topic, partition, offset } of transaction.offsets.values()) {
        const topicNumber = this.#topicNumber(topic);
        if (topicNumber === undefined) continue;
        writes.push({ key: groupOffsetKey(groupId, topicNumber, partition), value: numberValue(offset) });
      }
    });
  }

  #forget(transaction: Transaction): void {
    this.#open.delete(transaction);
    if (transaction.owner.open === transaction) transaction.owner.open = undefined;
  }

  #applyOffsets(transaction: Transaction): void {
    for (const offset of transaction.offsets.values()) {
      if (this.#topicNumber(offset.topic) !== undefined) this.#offsets.set(offset);
    }
    this.#offsets.removePending(transaction.offsets.values());
  }

  #close(transaction: Transaction, state: 'committed' | 'aborted'): void {
    if (state === 'aborted') this.#offsets.removePending(transaction.offsets.values());
    for (const [log, chunks] of transaction.chunks) this.#closeLog(transaction, log, chunks, state);
  }

  #closeLog(
    transaction: Transaction,
    log: PartitionLog,
    chunks: readonly Chunk[],
    state: 'committed' | 'aborted',
  ): void {
    if (state === 'committed' && this.#storage.durable) for (const chunk of chunks) chunk.stored = true;
    log.close(transaction, chunks, state);
    for (const chunk of chunks) this.#storage.evictable(chunk);
  }
}
