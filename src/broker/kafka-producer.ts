/**
 * Writes records through the Kafka client, in transactions when it has a transactional id. Opened by
 * kafka-broker.ts.
 *
 * Every transactional call is repeated while the library says that the same call may be made again, up to a
 * deadline. A commit that does not end by then has an unknown outcome. `close` neither flushes nor aborts:
 * what an open transaction holds is left to the successor's `init` or to the time-out.
 * The library cannot write timestamp 0 (it means "now" to it): 0 and below are written as 1.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Header, Headers } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { GroupMember, OutgoingRecord, PartitionOffset, Producer } from './broker-port.ts';
import type { Done, NativeError, NativeProducer } from './kafka-client-types.ts';
import type { PartitionFacts } from './kafka-consumer.ts';
import {
  asNativeError,
  isWorthRepeating,
  kafkaCode,
  requestError,
  transactionError,
} from './kafka-errors.ts';
import { KafkaGroupMember } from './kafka-group-member.ts';
import { type KafkaHandle, within } from './kafka-handle.ts';
import type { RetryWatch } from './kafka-retry-watch.ts';
import { batchOverheadBytes, recordBytesMax } from './kafka-settings.ts';

/** One native call; a transactional call is repeated after it. */
const callTimeoutMs = 5_000;
/** Added to the transaction's own time-out: after that the coordinator has ended it in any case. */
const graceMs = 5_000;
const repeatPauseMs = 50;
/**
 * So long after its own time-out a native call is taken for one that never returns: `sendOffsetsToTransaction` waits for
 * ever where the group's coordinator has left the cluster's metadata meanwhile (librdkafka 2.15, issues 5456 and 5511).
 */
const neverReturnsMs = 10_000;
/** How long `send` waits for space in the library's buffer before it gives up. */
const spaceTimeoutMs = 60_000;
const spacePauseMs = 2;

export interface KafkaProducerOptions {
  readonly handle: KafkaHandle<NativeProducer>;
  readonly transactionalId: string | undefined;
  readonly transactionTimeoutMs: number;
  readonly watch: RetryWatch;
  readonly facts: PartitionFacts & { isKnown(topic: string, partition: number): boolean };
  readonly clock: Clock;
  readonly log: Logger;
  readonly onClose: () => void;
  /** Told of every offset that the library is given, and given again: it does not free them. */
  readonly onOffsetsSent: (count: number) => void;
  /** A call inside the client has not come back; what it gives is called should that happen after all. */
  readonly onStuck: () => () => void;
}

type State = 'new' | 'ready' | 'open' | 'broken';
type Call = (producer: NativeProducer, timeoutMs: number, done: Done<void>) => void;

export class KafkaProducer implements Producer {
  readonly #options: KafkaProducerOptions;
  #state: State = 'new';
  /** The first delivery that failed since the last flush of a producer without transactions. */
  #undelivered: StreamsError | undefined;
  /** Lets go of the member's client, which a call that never returns has used. */
  #releaseMember: (() => void) | undefined;

  constructor(options: KafkaProducerOptions) {
    this.#options = options;
    options.handle.unguarded.on('delivery-report', (error, { topic, partition }) => {
      if (error)
        this.#undelivered ??= requestError(error, 'a record could not be written', { topic, partition });
    });
  }

  async init(): Promise<void> {
    this.#demand('init', 'new');
    await this.#transactional('init', (producer, timeoutMs, done) =>
      producer.initTransactions(timeoutMs, done),
    );
    this.#state = 'ready';
    this.#options.watch.start();
  }

  async begin(): Promise<void> {
    this.#demand('begin', 'ready');
    await this.#transactional('begin', (producer, _timeoutMs, done) => producer.beginTransaction(done));
    this.#state = 'open';
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    if (this.#options.transactionalId !== undefined) this.#demand('send', 'open');
    for (const record of records) requireSize(record);
    const { facts } = this.#options;
    if (!records.every(({ topic, partition }) => facts.isKnown(topic, partition)))
      await facts.requireTopics(records);
    let deadlineMs: number | undefined;
    let producer = this.#options.handle.now((client) => client);
    for (let i = 0; i < records.length; ) {
      if (this.#produce(producer, records[i] as OutgoingRecord)) {
        deadlineMs = undefined;
        i += 1;
        continue;
      }
      const nowMs = this.#options.clock.monotonicMs();
      deadlineMs ??= nowMs + spaceTimeoutMs;
      if (nowMs > deadlineMs) throw this.#bufferFull(i);
      await this.#options.clock.sleep(spacePauseMs);
      // It may have been closed meanwhile.
      producer = this.#options.handle.now((client) => client);
    }
  }

  async flush(): Promise<void> {
    const { clock, handle, transactionTimeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + transactionTimeoutMs + graceMs;
    for (;;) {
      try {
        await handle.call<void>((producer, done) => producer.flush(callTimeoutMs, done));
        break;
      } catch (thrown) {
        if (thrown instanceof StreamsError) throw thrown;
        const error = asNativeError(thrown);
        if (error.code !== kafkaCode.timedOut || clock.monotonicMs() > deadlineMs) {
          throw requestError(error, 'records cannot be flushed');
        }
      }
    }
    // The reports of failed deliveries are on their way from the library's thread.
    await clock.yield();
    await clock.yield();
    const undelivered = this.#undelivered;
    this.#undelivered = undefined;
    if (undelivered !== undefined) throw undelivered;
  }

  async sendOffsets(offsets: readonly PartitionOffset[], member: GroupMember): Promise<void> {
    this.#demand('sendOffsets', 'open');
    if (offsets.length === 0) return;
    if (!(member instanceof KafkaGroupMember)) {
      throw new StreamsError('INVARIANT_BROKEN', 'offsets can only be sent under a member of this broker');
    }
    const list = offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    await this.#transactional('sendOffsets', (producer, timeoutMs, done) => {
      this.#options.onOffsetsSent(list.length);
      member
        .throughConsumer(
          (consumer) =>
            new Promise((release) => {
              this.#releaseMember = release;
              producer.sendOffsetsToTransaction(list, consumer, timeoutMs, (error) => {
                release();
                done(error, undefined);
              });
            }),
        )
        .catch((error: NativeError) => done(error, undefined));
    });
  }

  async commit(): Promise<void> {
    this.#demand('commit', 'open');
    await this.#transactional('commit', (producer, timeoutMs, done) =>
      producer.commitTransaction(timeoutMs, done),
    );
    this.#state = 'ready';
    // A connection lost during the commit is reported from another thread: let the report in.
    await this.#options.clock.yield();
  }

  async abort(): Promise<void> {
    this.#demand('abort', 'open');
    await this.#transactional('abort', (producer, timeoutMs, done) =>
      producer.abortTransaction(timeoutMs, done),
    );
    this.#state = 'ready';
    await this.#options.clock.yield();
  }

  mayHaveRetried(): boolean {
    return this.#options.watch.suspicion !== undefined;
  }

  async close(): Promise<void> {
    this.#state = 'broken';
    await this.#options.handle.close();
    this.#options.onClose();
  }

  /** Retriable means the same call again, which inside a transaction would write the first `taken` twice. */
  #bufferFull(taken: number): StreamsError {
    const again = taken === 0 || this.#options.transactionalId === undefined;
    return new StreamsError(
      again ? 'BROKER_UNAVAILABLE' : 'TRANSACTION_ABORT_REQUIRED',
      'records are not being taken off the full producer buffer',
      { context: { waitedMs: spaceTimeoutMs } },
    );
  }

  /** Whether the library took the record; false when its buffer is full. */
  #produce(producer: NativeProducer, record: OutgoingRecord): boolean {
    const { topic, partition, value, key, timestamp, headers } = record;
    try {
      producer.produce(
        topic,
        partition,
        solid(value),
        solid(key),
        Math.max(1, Math.trunc(timestamp)),
        // Anything but undefined is never freed by the library.
        undefined,
        headers.length === 0 ? undefined : nativeHeaders(headers),
      );
      return true;
    } catch (thrown) {
      if (thrown instanceof StreamsError) throw thrown;
      const error = asNativeError(thrown);
      if (error.code === kafkaCode.queueFull) return false;
      throw this.#produceError(error, record);
    }
  }

  /** Inside a transaction the library refuses records once an earlier one could not be delivered. */
  #produceError(error: NativeError, { topic, partition }: OutgoingRecord): StreamsError {
    if (this.#state === 'open' && error.code === kafkaCode.state) {
      return new StreamsError('TRANSACTION_ABORT_REQUIRED', 'an earlier record of this transaction failed', {
        context: { topic, partition },
        cause: error,
      });
    }
    if (error.code === kafkaCode.fatal) this.#state = 'broken';
    return this.#options.transactionalId === undefined
      ? requestError(error, 'a record cannot be sent', { topic, partition })
      : transactionError(error, 'a record cannot be sent', { topic, partition });
  }

  /** One transactional call, repeated while that helps. */
  async #transactional(name: string, call: Call): Promise<void> {
    const { clock, transactionTimeoutMs, watch } = this.#options;
    const startedMs = clock.monotonicMs();
    const deadlineMs = startedMs + transactionTimeoutMs + graceMs;
    for (;;) {
      const leftMs = Math.max(100, Math.min(callTimeoutMs, Math.ceil(deadlineMs - clock.monotonicMs())));
      try {
        const called = this.#options.handle.call<void>((producer, done) => call(producer, leftMs, done));
        await this.#returning(name, called, leftMs + neverReturnsMs);
        watch.noteCall(name, clock.monotonicMs() - startedMs);
        return;
      } catch (thrown) {
        if (thrown instanceof StreamsError) throw thrown;
        const error = asNativeError(thrown);
        watch.noteFailure(name, error.message);
        const isWorth = isWorthRepeating(error);
        if (!isWorth || clock.monotonicMs() >= deadlineMs) throw this.#callError(name, error, isWorth);
        this.#options.log.debug('repeating a transactional call', { call: name, reason: error.message });
        await clock.sleep(repeatPauseMs);
      }
    }
  }

  /** Errors: those of the call; TRANSACTION_OUTCOME_UNKNOWN when it does not come back, and the producer is lost. */
  async #returning(name: string, called: Promise<void>, waitMs: number): Promise<void> {
    const { clock, handle, onStuck, transactionalId } = this.#options;
    if (await within(clock, called, waitMs)) return called;
    this.#state = 'broken';
    this.#releaseMember?.();
    handle.abandon(onStuck());
    throw new StreamsError('TRANSACTION_OUTCOME_UNKNOWN', `the Kafka client does not return from ${name}`, {
      context: { transactionalId, waitedMs: waitMs },
    });
  }

  #callError(name: string, error: NativeError, isTimeOut: boolean): StreamsError {
    const context = { transactionalId: this.#options.transactionalId };
    if (name === 'commit' && isTimeOut) {
      this.#state = 'broken';
      return new StreamsError('TRANSACTION_OUTCOME_UNKNOWN', 'the broker did not answer a commit in time', {
        context,
        cause: error,
      });
    }
    const wrapped = transactionError(error, `${name} failed`, context);
    if (wrapped.kind === 'fenced' || wrapped.kind === 'fatal') {
      if (wrapped.code !== 'MEMBER_FENCED') this.#state = 'broken';
    }
    return wrapped;
  }

  #demand(call: string, wanted: State): void {
    if (this.#options.transactionalId === undefined) {
      throw new StreamsError('TRANSACTION_STATE_INVALID', `${call} needs a producer with a transactional id`);
    }
    if (this.#state !== wanted) {
      throw new StreamsError('TRANSACTION_STATE_INVALID', `${call} cannot be called now`, {
        context: { state: this.#state, transactionalId: this.#options.transactionalId },
      });
    }
  }
}

/** Errors: RECORD_TOO_LARGE. A topic may have a lower bound of its own: that shows as a failed transaction. */
function requireSize({ topic, partition, key, value, headers }: OutgoingRecord): void {
  let bytes = batchOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.value.length + header.key.length * 3 + 10;
  if (bytes <= recordBytesMax) return;
  throw new StreamsError('RECORD_TOO_LARGE', `a record must not exceed ${recordBytesMax} bytes`, {
    context: { topic, partition, bytes },
  });
}

/** A buffer of no bytes that has an address: the library takes an empty buffer without one for null. */
const emptyBuffer = Buffer.alloc(1).subarray(0, 0);

function solid<T extends Buffer | null>(bytes: T): T | Buffer {
  return bytes !== null && bytes.length === 0 ? emptyBuffer : bytes;
}

function nativeHeaders(headers: Headers): Readonly<Record<string, Buffer>>[] {
  return headers.map(({ key, value }: Header) => ({ [key]: solid(value) }));
}
