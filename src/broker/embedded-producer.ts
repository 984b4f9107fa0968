/** The embedded broker's producer: checks states and limits, and hands on to the coordinator or the log. */
import { StreamsError } from '../base/errors.ts';
import type { GroupMember, OutgoingRecord, PartitionOffset, Producer } from './broker-port.ts';
import { recordBytes } from './embedded-chunk.ts';
import { EmbeddedGroupMember } from './embedded-groups.ts';
import type { PartitionLog } from './embedded-log.ts';
import type { EmbeddedStorage } from './embedded-storage.ts';
import type { TopicRegistry } from './embedded-topics.ts';
import type { Transaction, TransactionCoordinator } from './embedded-transactions.ts';

/** Without a transaction, records beyond this wait for the disk before `send` resolves. */
const unflushedBytesMax = 8 * 1024 * 1024;

export interface ProducerParts {
  readonly storage: EmbeddedStorage;
  readonly topics: TopicRegistry;
  readonly transactions: TransactionCoordinator;
  readonly recordBytesMax: number;
  readonly checkOpen: () => void;
  readonly closed: (producer: EmbeddedProducer) => void;
}

export class EmbeddedProducer implements Producer {
  readonly #parts: ProducerParts;
  readonly #transactionalId: string | undefined;
  readonly #timeoutMs: number;
  #epoch: number | undefined;
  #transaction: Transaction | undefined;
  /** A call that ends the transaction is under way. */
  #ending = false;
  #closed = false;

  constructor(parts: ProducerParts, transactionalId: string | undefined, timeoutMs: number) {
    this.#parts = parts;
    this.#transactionalId = transactionalId;
    this.#timeoutMs = timeoutMs;
  }

  async init(): Promise<void> {
    this.#checkOpen();
    if (this.#epoch !== undefined) throw invalid('init was called before');
    this.#epoch = await this.#parts.transactions.init(this.#requireId());
  }

  async begin(): Promise<void> {
    const id = this.#checkTransactional();
    if (this.#transaction !== undefined) throw invalid('a transaction is open');
    const landing = this.#parts.transactions.landing(id);
    if (landing !== undefined) {
      await landing;
      this.#checkTransactional();
    }
    this.#transaction = this.#parts.transactions.begin(id, this.#timeoutMs);
  }

  /** Takes all of the records or none. */
  async send(records: readonly OutgoingRecord[]): Promise<void> {
    if (this.#transactionalId === undefined) return this.#sendPlain(records);
    const transaction = this.#requireTransaction();
    const logs = this.#logsFor(records);
    for (const [i, record] of records.entries()) {
      this.#parts.transactions.append(transaction, logs[i] as PartitionLog, record);
    }
  }

  async flush(): Promise<void> {
    if (this.#transactionalId !== undefined) {
      this.#checkTransactional();
      return;
    }
    this.#checkOpen();
    await this.#parts.storage.flush();
  }

  async sendOffsets(offsets: readonly PartitionOffset[], member: GroupMember): Promise<void> {
    const transaction = this.#requireTransaction();
    if (!(member instanceof EmbeddedGroupMember)) {
      throw new StreamsError('INVARIANT_BROKEN', 'the group member belongs to another broker');
    }
    member.checkMembership();
    for (const { topic, partition } of offsets) this.#parts.topics.log(topic, partition);
    for (const offset of offsets) {
      this.#parts.transactions.addOffset(transaction, { ...offset, groupId: member.groupId });
    }
  }

  async commit(): Promise<void> {
    const transaction = this.#requireTransaction();
    this.#ending = true;
    try {
      await this.#parts.transactions.commit(transaction);
    } finally {
      this.#ending = false;
      this.#transaction = undefined;
    }
  }

  async abort(): Promise<void> {
    const transaction = this.#requireTransaction();
    this.#parts.transactions.abort(transaction);
    this.#transaction = undefined;
  }

  /** Nothing is ever sent twice inside a process. */
  mayHaveRetried(): boolean {
    return false;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.closed(this);
  }

  async #sendPlain(records: readonly OutgoingRecord[]): Promise<void> {
    this.#checkOpen();
    const logs = this.#logsFor(records);
    const { storage } = this.#parts;
    for (const [i, record] of records.entries()) {
      const log = logs[i] as PartitionLog;
      const chunk = log.append(record, undefined);
      if (chunk.count === 1) storage.addPending(log, chunk);
    }
    if (storage.pendingBytes() > unflushedBytesMax) await storage.flush();
  }

  /** Errors: TOPIC_UNKNOWN, RECORD_TOO_LARGE. */
  #logsFor(records: readonly OutgoingRecord[]): PartitionLog[] {
    const { topics, recordBytesMax } = this.#parts;
    let last: PartitionLog | undefined;
    return records.map((record) => {
      if (last?.topic !== record.topic || last.partition !== record.partition || last.deleted) {
        last = topics.log(record.topic, record.partition);
      }
      const bytesMax = Number(last.config['max.message.bytes'] ?? recordBytesMax);
      const context = { topic: record.topic, partition: record.partition };
      if (recordBytes(record) > bytesMax) {
        const sentence = `the record has ${recordBytes(record)} bytes, more than the ${bytesMax} that are allowed`;
        throw new StreamsError('RECORD_TOO_LARGE', sentence, { context });
      }
      if (record.key === null && last.config['cleanup.policy']?.includes('compact') === true) {
        throw new StreamsError('BROKER_REQUEST_FAILED', 'a compacted topic takes no record without a key', {
          context,
        });
      }
      return last;
    });
  }

  #requireId(): string {
    if (this.#transactionalId === undefined) throw invalid('the producer has no transactional id');
    return this.#transactionalId;
  }

  /** Errors: PRODUCER_FENCED, TRANSACTION_STATE_INVALID. */
  #checkTransactional(): string {
    this.#checkOpen();
    const id = this.#requireId();
    if (this.#epoch === undefined) throw invalid('init was not called');
    this.#parts.transactions.checkEpoch(id, this.#epoch);
    if (this.#ending) throw invalid('the transaction is ending');
    return id;
  }

  #requireTransaction(): Transaction {
    this.#checkTransactional();
    if (this.#transaction === undefined) throw invalid('no transaction is open');
    return this.#transaction;
  }

  #checkOpen(): void {
    if (this.#closed) throw invalid('the producer was closed');
    this.#parts.checkOpen();
    this.#parts.storage.check();
  }
}

function invalid(why: string): StreamsError {
  return new StreamsError('TRANSACTION_STATE_INVALID', `the producer cannot do this now: ${why}`);
}
