/**
 * Reads partitions assigned by hand through the Kafka client. Opened by kafka-broker.ts.
 *
 * It never commits an offset and never joins a group. A seek is an unassign and an assign, because the
 * library's own seek is refused while a partition is only about to be fetched. No thread waits in the
 * library while there is nothing to read: polls are made with no time-out, and the library wakes us.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Consumer, PartitionOffset, RecordBatch } from './broker-port.ts';
import type { NativeConsumer, NativeError, NativeMessage, NativePartition } from './kafka-client-types.ts';
import { asNativeError, kafkaCode, requestError } from './kafka-errors.ts';
import type { KafkaHandle, Wakeup } from './kafka-handle.ts';
import { KafkaRecordBatch } from './kafka-record-batch.ts';

/** How long a partition is silent before the broker is asked about our position, and between askings (`#watchSilent`). */
const silenceMs = 10_000;

/** What a consumer asks of the broker's admin side. */
export interface PartitionFacts {
  /** Errors: TOPIC_UNKNOWN. */
  requireTopics(partitions: readonly TopicPartition[]): Promise<void>;
  offsetRanges(partitions: readonly TopicPartition[]): Promise<readonly { start: number; end: number }[]>;
  /** The last stable offsets: what lies before them can be read at once. */
  stableOffsets(partitions: readonly TopicPartition[]): Promise<readonly number[]>;
}

/** One assigned partition. */
interface Reading {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to be delivered, as far as deliveries and seeks tell. */
  next: number;
  paused: boolean;
  /** When it last delivered, was sought or was found in order. Units: monotonic milliseconds. */
  heardMs: number;
  /** Grows with each assignment and seek: a poll that began before must not deliver. */
  epoch: number;
  /** Where it stood when records were last seen to lie ahead of it in silence. */
  stuckAt?: number;
  /** The offset at which the library has met the end; it says so once. */
  endAt: number;
  /** Records came since the last assignment or seek. */
  delivered: boolean;
}

/** Where a partition stood when the broker was asked about it. */
interface Standing {
  readonly reading: Reading;
  readonly epoch: number;
  readonly next: number;
}

/** What an asking about silent partitions has brought, until the next poll acts on it. */
interface Finding {
  readonly asked: readonly Standing[];
  readonly lost?: StreamsError;
  /** Those ahead of which records lie. */
  readonly ahead: readonly Standing[];
}

interface Polled {
  readonly messages: NativeMessage[];
  readonly eofs: readonly (NativePartition & { readonly offset: number })[];
}

export interface KafkaConsumerOptions {
  readonly handle: KafkaHandle<NativeConsumer>;
  readonly wakeup: Wakeup;
  readonly facts: PartitionFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onClose: () => void;
}

export class KafkaPartitionConsumer implements Consumer {
  readonly #options: KafkaConsumerOptions;
  readonly #readings = new Map<string, Reading>();
  #epochs = 0;
  #polling = false;
  /** The last poll has taken all that the library had. */
  #drained = false;
  /** A poll has failed since the ends were last asked for. */
  #endsLost = false;
  #checkedMs: number;
  #asking = false;
  #finding: Finding | undefined;

  constructor(options: KafkaConsumerOptions) {
    this.#options = options;
    this.#checkedMs = options.clock.monotonicMs();
  }

  async assign(partitions: readonly PartitionOffset[]): Promise<void> {
    const added = partitions.filter(
      ({ topic, partition }) => !this.#readings.has(partitionKey(topic, partition)),
    );
    if (added.length === 0) return;
    await this.#options.facts.requireTopics(added);
    this.#native('cannot assign partitions', (client) => client.incrementalAssign(added.map(nativeOffset)));
    const heardMs = this.#options.clock.monotonicMs();
    for (const { topic, partition, offset } of added) {
      const epoch = ++this.#epochs;
      const reading = {
        topic,
        partition,
        next: offset,
        paused: false,
        heardMs,
        epoch,
        endAt: -1,
        delivered: false,
      };
      this.#readings.set(partitionKey(topic, partition), reading);
    }
  }

  unassign(partitions: readonly TopicPartition[]): Promise<void> {
    const removed = this.#assigned(partitions);
    if (removed.length === 0) return Promise.resolve();
    for (const { topic, partition } of removed) this.#readings.delete(partitionKey(topic, partition));
    // A pause outlives an unassignment in the library and would silence the next assignment.
    const paused = removed.filter((reading) => reading.paused).map(nativePartition);
    this.#native('cannot unassign partitions', (client) => {
      if (paused.length > 0) client.resume(paused);
      client.incrementalUnassign(removed.map(nativePartition));
    });
    return Promise.resolve();
  }

  async poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<RecordBatch[]> {
    const { clock, wakeup } = this.#options;
    const deadlineMs = clock.monotonicMs() + options.waitMs;
    for (;;) {
      // Before records are taken, which an error would lose.
      this.#watchSilent();
      this.#askEndsAgain();
      const seen = wakeup.count;
      const startedEpoch = this.#epochs;
      const polled = await this.#consume(options.recordsMax);
      this.#drained = polled.messages.length < options.recordsMax;
      const batches = this.#batches(polled, startedEpoch);
      if (batches.length > 0) return batches;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return [];
      if (polled.messages.length === 0) await wakeup.wait(seen, leftMs);
    }
  }

  position(partition: TopicPartition): number {
    const reading = this.#reading(partition);
    // While a poll is in flight the library is ahead of what has been delivered.
    if (this.#polling) return reading.next;
    const [native] = this.#native('cannot read a position', (client) =>
      client.position([nativePartition(reading)]),
    );
    const offset = native?.offset ?? -1;
    if (offset > reading.next) reading.next = offset;
    return reading.next;
  }

  atEnd(partition: TopicPartition): boolean {
    const reading = this.#reading(partition);
    const high = this.#highOffset(reading);
    // What the library has fetched since lies in its queue, unless the last poll has emptied that.
    if (reading.endAt >= reading.next) return this.#drained || high === reading.endAt;
    // It tells of the end only when another fetch has come back empty. Till then: behind the last record of a
    // transaction lies its marker, which is never delivered.
    return this.#drained && reading.delivered && high !== undefined && reading.next >= high - 1;
  }

  #highOffset({ topic, partition }: Reading): number | undefined {
    try {
      const { highOffset } = this.#options.handle.now((client) =>
        client.getWatermarkOffsets(topic, partition),
      );
      return highOffset < 0 ? undefined : highOffset;
    } catch {
      // Nothing was fetched of it yet.
      return undefined;
    }
  }

  seek(target: PartitionOffset): Promise<void> {
    const reading = this.#reading(target);
    reading.next = target.offset;
    reading.epoch = ++this.#epochs;
    reading.heardMs = this.#options.clock.monotonicMs();
    this.#reposition([reading]);
    return Promise.resolve();
  }

  pause(partitions: readonly TopicPartition[]): void {
    const changed = this.#assigned(partitions).filter((reading) => !reading.paused);
    if (changed.length === 0) return;
    for (const reading of changed) reading.paused = true;
    this.#native('cannot pause partitions', (client) => client.pause(changed.map(nativePartition)));
  }

  resume(partitions: readonly TopicPartition[]): void {
    const changed = this.#assigned(partitions).filter((reading) => reading.paused);
    if (changed.length === 0) return;
    const heardMs = this.#options.clock.monotonicMs();
    for (const reading of changed) {
      reading.paused = false;
      reading.heardMs = heardMs;
    }
    this.#native('cannot resume partitions', (client) => client.resume(changed.map(nativePartition)));
  }

  async close(): Promise<void> {
    this.#options.wakeup.wake();
    await this.#options.handle.close();
    this.#options.onClose();
  }

  async #consume(recordsMax: number): Promise<Polled> {
    this.#polling = true;
    try {
      return await this.#options.handle.call<Polled>((client, done) =>
        client.getClient().consume(0, recordsMax, false, (error, messages, eofs) => {
          if (error) done(error, { messages: [], eofs: [] });
          else done(null, { messages, eofs });
        }),
      );
    } catch (error) {
      this.#endsLost = true;
      throw await this.#pollError(error);
    } finally {
      this.#polling = false;
    }
  }

  /** Groups by partition, in the order of first appearance, and drops what must not be delivered. */
  #batches(polled: Polled, startedEpoch: number): RecordBatch[] {
    const groups = new Map<string, NativeMessage[]>();
    let group: NativeMessage[] | undefined;
    let first: NativeMessage | undefined;
    for (const message of polled.messages) {
      if (first?.partition !== message.partition || first.topic !== message.topic) {
        const key = partitionKey(message.topic, message.partition);
        group = groups.get(key);
        if (group === undefined) {
          group = [];
          groups.set(key, group);
        }
        first = message;
      }
      group?.push(message);
    }
    const batches: RecordBatch[] = [];
    for (const [key, messages] of groups) {
      const reading = this.#readings.get(key);
      if (reading === undefined || reading.epoch > startedEpoch) continue;
      if (reading.paused) this.#reposition([reading]);
      else batches.push(this.#deliver(reading, messages));
    }
    for (const eof of polled.eofs) {
      const reading = this.#readings.get(partitionKey(eof.topic, eof.partition));
      if (reading === undefined || reading.epoch > startedEpoch) continue;
      reading.endAt = eof.offset;
      if (reading.paused) continue;
      reading.next = Math.max(reading.next, eof.offset);
    }
    return batches;
  }

  #deliver(reading: Reading, messages: readonly NativeMessage[]): RecordBatch {
    const last = messages[messages.length - 1] as NativeMessage;
    reading.next = last.offset + 1;
    reading.delivered = true;
    reading.heardMs = this.#options.clock.monotonicMs();
    return new KafkaRecordBatch(reading.topic, reading.partition, messages);
  }

  /** Makes the library read on at `next`; what it prefetched is dropped. */
  #reposition(readings: readonly Reading[]): void {
    for (const reading of readings) {
      reading.endAt = -1;
      reading.delivered = false;
    }
    this.#native('cannot seek', (client) => {
      client.incrementalUnassign(readings.map(nativePartition));
      client.incrementalAssign(
        readings.map((reading) => ({ ...nativePartition(reading), offset: reading.next })),
      );
      const paused = readings.filter((reading) => reading.paused).map(nativePartition);
      if (paused.length > 0) client.pause(paused);
    });
  }

  /**
   * With the error of a failed poll goes what that poll had met of ends, and the library tells of an end once. Not
   * asked again, `atEnd` stays false and a task with several inputs waits for records that there are not.
   */
  #askEndsAgain(): void {
    if (!this.#endsLost) return;
    this.#endsLost = false;
    const unsure = [...this.#readings.values()].filter(({ paused, endAt, next }) => !paused && endAt < next);
    if (unsure.length > 0) this.#reposition(unsure);
  }

  /**
   * The library drops an error that comes behind a record of the same poll: a position that retention has
   * overtaken, or a topic that was deleted, would be waited for in vain. And after a change of leader it can stop
   * fetching a partition without a word. So silent partitions are asked about, beside the polls, for a broker
   * that does not answer must not hold up those of others.
   */
  #watchSilent(): void {
    const { clock, log } = this.#options;
    const finding = this.#finding;
    this.#finding = undefined;
    // What moved meanwhile is not what was asked about; it is asked about again if it stays silent.
    if (finding?.lost !== undefined && finding.asked.every(this.#standsStill)) throw finding.lost;
    if (finding !== undefined) this.#wake(finding.ahead.filter(this.#standsStill));
    const nowMs = clock.monotonicMs();
    if (this.#asking || nowMs - this.#checkedMs < silenceMs) return;
    this.#checkedMs = nowMs;
    const silent = [...this.#readings.values()].filter(
      (reading) => !reading.paused && nowMs - reading.heardMs >= silenceMs,
    );
    if (silent.length === 0) return;
    this.#asking = true;
    this.#askAbout(silent)
      .then(
        (found) => {
          this.#finding = found;
        },
        (error: unknown) =>
          log.debug('positions cannot be checked', { reason: asNativeError(error).message }),
      )
      .finally(() => {
        this.#asking = false;
      });
  }

  async #askAbout(silent: readonly Reading[]): Promise<Finding> {
    const asked = silent.map((reading) => ({ reading, epoch: reading.epoch, next: reading.next }));
    let lost: StreamsError | undefined;
    try {
      lost = await this.#outOfRange(
        silent,
        asked.map(({ next }) => next),
      );
    } catch (error) {
      if (!(error instanceof StreamsError && error.code === 'TOPIC_UNKNOWN')) throw error;
      lost = error;
    }
    if (lost !== undefined) return { asked, lost, ahead: [] };
    const ends = await this.#options.facts.stableOffsets(silent.map(nativePartition));
    return { asked, ahead: asked.filter(({ next }, i) => next < (ends[i] ?? 0)) };
  }

  readonly #standsStill = ({ reading, epoch, next }: Standing): boolean =>
    this.#readings.get(partitionKey(reading.topic, reading.partition)) === reading &&
    !reading.paused &&
    reading.epoch === epoch &&
    reading.next === next;

  /** Reads anew what stands still though records lie ahead; once may be a poll that was late, twice is not. */
  #wake(ahead: readonly Standing[]): void {
    const stuck: Reading[] = [];
    for (const { reading, next } of ahead) {
      if (reading.stuckAt === next) stuck.push(reading);
      else reading.stuckAt = next;
    }
    if (stuck.length === 0) return;
    for (const reading of stuck) {
      delete reading.stuckAt;
      reading.epoch = ++this.#epochs;
      const { topic, partition, next } = reading;
      this.#options.log.warn('a partition brought nothing though records lie ahead: it is read anew', {
        topic,
        partition,
        offset: next,
      });
    }
    this.#reposition(stuck);
  }

  async #pollError(thrown: unknown): Promise<StreamsError> {
    if (thrown instanceof StreamsError) return thrown;
    const error: NativeError = asNativeError(thrown);
    if (error.code === kafkaCode.autoOffsetReset) {
      const readings = [...this.#readings.values()];
      const lost = await this.#outOfRange(
        readings,
        readings.map(({ next }) => next),
      ).catch(() => undefined);
      if (lost !== undefined) return lost;
    }
    return requestError(error, 'cannot read');
  }

  /** The first of them whose position (`nexts`, by index) the log does not have. */
  async #outOfRange(
    readings: readonly Reading[],
    nexts: readonly number[],
  ): Promise<StreamsError | undefined> {
    const ranges = await this.#options.facts.offsetRanges(readings.map(nativePartition));
    const at = ranges.findIndex(({ start, end }, i) => {
      const next = nexts[i] ?? start;
      return next < start || next > end;
    });
    const reading = readings[at];
    if (reading === undefined) return undefined;
    return new StreamsError(
      'OFFSET_OUT_OF_RANGE',
      'the log does not have the offset that is to be read next',
      {
        context: {
          topic: reading.topic,
          partition: reading.partition,
          offset: nexts[at] ?? reading.next,
          logStart: ranges[at]?.start,
          logEnd: ranges[at]?.end,
        },
      },
    );
  }

  #assigned(partitions: readonly TopicPartition[]): Reading[] {
    const found: Reading[] = [];
    for (const { topic, partition } of partitions) {
      const reading = this.#readings.get(partitionKey(topic, partition));
      if (reading !== undefined && !found.includes(reading)) found.push(reading);
    }
    return found;
  }

  #reading({ topic, partition }: TopicPartition): Reading {
    const reading = this.#readings.get(partitionKey(topic, partition));
    if (reading !== undefined) return reading;
    throw new StreamsError('INVARIANT_BROKEN', 'the partition is not assigned to this consumer', {
      context: { topic, partition },
    });
  }

  #native<T>(doing: string, use: (client: NativeConsumer) => T): T {
    try {
      return this.#options.handle.now(use);
    } catch (error) {
      if (error instanceof StreamsError) throw error;
      throw requestError(asNativeError(error), doing);
    }
  }
}

function nativePartition({ topic, partition }: TopicPartition): NativePartition {
  return { topic, partition };
}

function nativeOffset({ topic, partition, offset }: PartitionOffset): PartitionOffset {
  return { topic, partition, offset };
}
