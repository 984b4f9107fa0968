/** Goal: a partition that the Kafka library has stopped fetching without a word is read on; see `#watchSilent`. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import type { TopicPartition } from '../../../src/base/record.ts';
import type { PartitionOffset } from '../../../src/broker/broker-port.ts';
import type { NativeMessage } from '../../../src/broker/kafka-client-types.ts';
import { type KafkaConsumerOptions, KafkaPartitionConsumer } from '../../../src/broker/kafka-consumer.ts';
import { LogRecorder } from '../../support/log-recorder.ts';

const input = { topic: 'entries', partition: 0 };

/** A consumer over a library that delivers what the test lays down, and a broker whose log ends where it says. */
class Bench {
  readonly clock = new ManualClock(0);
  readonly log = new LogRecorder();
  readonly assigned: PartitionOffset[] = [];
  readonly deliveries: number[][] = [];
  /** Ends that the library meets with the next poll. */
  readonly eofs: number[] = [];
  /** What the next poll fails with, and loses the ends that it met. */
  failure: Error | undefined;
  /** What it takes for the end; undefined: nothing was fetched yet. */
  high: number | undefined;
  end = 0;
  start = 0;
  /** What asking the broker gives instead, when set. */
  answer: (() => Promise<never>) | undefined;
  asked = 0;
  readonly consumer: KafkaPartitionConsumer;

  constructor() {
    const offsets = () => {
      this.asked++;
      return this.answer === undefined ? Promise.resolve() : this.answer();
    };
    const native = {
      incrementalAssign: (partitions: readonly PartitionOffset[]) => this.assigned.push(...partitions),
      incrementalUnassign: () => {},
      pause: () => {},
      resume: () => {},
      getWatermarkOffsets: () => {
        if (this.high === undefined) throw new Error('Local: Unknown partition');
        return { lowOffset: 0, highOffset: this.high };
      },
      getClient: () => ({
        consume: (
          _wait: number,
          _max: number,
          _only: boolean,
          done: (error: Error | null, messages: NativeMessage[], eofs: unknown[]) => void,
        ) => {
          const eofs = this.eofs.splice(0).map((offset) => ({ ...input, offset }));
          const failure = this.failure;
          this.failure = undefined;
          if (failure !== undefined) return done(failure, [], []);
          done(null, (this.deliveries.shift() ?? []).map(message), eofs);
        },
      }),
    };
    const options = {
      handle: {
        now: (use: (client: unknown) => unknown) => use(native),
        call: (start: (client: unknown, done: (error: unknown, value: unknown) => void) => void) =>
          new Promise((resolve, reject) => {
            start(native, (error, value) => (error ? reject(error) : resolve(value)));
          }),
        close: () => Promise.resolve(),
      },
      wakeup: { count: 0, wait: () => Promise.resolve(), wake: () => {} },
      facts: {
        requireTopics: () => Promise.resolve(),
        offsetRanges: async (partitions: readonly TopicPartition[]) => {
          await offsets();
          return partitions.map(() => ({ start: this.start, end: this.end }));
        },
        stableOffsets: async (partitions: readonly TopicPartition[]) => {
          await offsets();
          return partitions.map(() => this.end);
        },
      },
      clock: this.clock,
      log: this.log.log,
      onClose: () => {},
    };
    this.consumer = new KafkaPartitionConsumer(options as unknown as KafkaConsumerOptions);
  }

  /** Polls once after so much silence, and lets what was asked be answered. */
  async pollAfter(ms: number): Promise<number> {
    this.clock.advance(ms);
    const batches = await this.consumer.poll({ recordsMax: 10, waitMs: 0 });
    for (let i = 0; i < 20; i++) await Promise.resolve();
    return batches.length;
  }

  get warnings(): number {
    return this.log.lines.filter(({ level }) => level === 'warn').length;
  }
}

function message(offset: number): NativeMessage {
  return { ...input, offset, key: null, value: null, size: 0, timestamp: 0 } as unknown as NativeMessage;
}

describe('a partition that brings nothing', () => {
  it('though records lie ahead of it is read anew from where it stands, once it was seen so twice', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.end = 9;
    await bench.pollAfter(10_000);
    await bench.pollAfter(10_000);
    assert.equal(bench.assigned.length, 1, 'one sight may be a poll that came late');
    await bench.pollAfter(1);
    assert.deepEqual(bench.assigned, [
      { ...input, offset: 5 },
      { ...input, offset: 5 },
    ]);
    assert.equal(bench.warnings, 1);
  });

  it('because there is nothing, or because it moves, is left alone', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.end = 5;
    for (let i = 0; i < 5; i++) await bench.pollAfter(10_000);
    bench.end = 100;
    for (let offset = 5; offset < 10; offset++) {
      bench.deliveries.push([offset]);
      assert.equal(await bench.pollAfter(10_000), 1);
      assert.equal(await bench.pollAfter(10_000), 0);
    }
    assert.equal(bench.assigned.length, 1);
    assert.equal(bench.warnings, 0);
  });

  it('does not hold up the polls while the broker is asked and does not answer', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.answer = () => new Promise(() => {});
    await bench.pollAfter(10_000);
    bench.deliveries.push([5]);
    assert.equal(await bench.pollAfter(10_000), 1);
    assert.equal(bench.asked, 1, 'nor is it asked again meanwhile');
  });

  it('because its log no longer has the position is an error that says so', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.start = 7;
    bench.end = 9;
    await bench.pollAfter(10_000);
    await assert.rejects(
      bench.pollAfter(1),
      (error: unknown) =>
        error instanceof StreamsError &&
        error.code === 'OFFSET_OUT_OF_RANGE' &&
        error.context.offset === 5 &&
        error.context.logStart === 7,
    );
  });

  it('is not blamed for what was so before a seek', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.start = 7;
    bench.end = 9;
    await bench.pollAfter(10_000);
    await bench.consumer.seek({ ...input, offset: 7 });
    assert.equal(await bench.pollAfter(1), 0);
  });
});

describe('a partition is read to its end', () => {
  async function polled(bench: Bench, recordsMax: number): Promise<boolean> {
    await bench.consumer.poll({ recordsMax, waitMs: 0 });
    return bench.consumer.atEnd(input);
  }

  it('not before anything was fetched, and not on the strength of what another assignment had seen', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 50 }]);
    assert.equal(await polled(bench, 10), false);
    bench.high = 10;
    assert.equal(await polled(bench, 10), false);
  });

  it('when the library has met the end there, and has fetched nothing since', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.high = 5;
    bench.eofs.push(5);
    assert.equal(await polled(bench, 10), true);
    // More was fetched, behind records of another partition that fill the poll.
    bench.high = 9;
    assert.equal(await polled(bench, 0), false, 'the poll brought all that it may');
    bench.deliveries[0] = [5, 6, 7];
    assert.equal(await polled(bench, 3), false, 'one may still lie in the queue');
    assert.equal(await polled(bench, 3), true, 'what is left is the marker of a transaction');
  });

  it('no more after a seek', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.high = 5;
    bench.eofs.push(5);
    assert.equal(await polled(bench, 10), true);
    await bench.consumer.seek({ ...input, offset: 2 });
    assert.equal(await polled(bench, 10), false);
  });

  it('also when a failed poll took along what the library had to say of it', async () => {
    const bench = new Bench();
    await bench.consumer.assign([{ ...input, offset: 5 }]);
    bench.deliveries.push([5, 6]);
    await polled(bench, 10);
    bench.high = 7;
    bench.eofs.push(7);
    bench.failure = new Error('Local: Broker transport failure');
    await assert.rejects(polled(bench, 10));
    await polled(bench, 10);
    assert.deepEqual(
      bench.assigned.slice(1),
      [{ ...input, offset: 7 }],
      'read anew, so that it is told again',
    );
    bench.eofs.push(7);
    assert.equal(await polled(bench, 10), true);
    bench.failure = new Error('Local: Broker transport failure');
    await assert.rejects(polled(bench, 10));
    assert.equal(await polled(bench, 10), true);
    assert.equal(bench.assigned.length, 2, 'an end that is known is not asked for again');
  });
});
