/**
 * Goal: a call that the Kafka library never returns from does not hold up its instance: it is given up, the client is left
 * to itself, and who owns the transactional id next settles the transaction.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import type { NativeProducer } from '../../../src/broker/kafka-client-types.ts';
import { KafkaGroupMember } from '../../../src/broker/kafka-group-member.ts';
import { KafkaHandle } from '../../../src/broker/kafka-handle.ts';
import { KafkaProducer, type KafkaProducerOptions } from '../../../src/broker/kafka-producer.ts';
import { RetryWatch } from '../../../src/broker/kafka-retry-watch.ts';
import { LogRecorder } from '../../support/log-recorder.ts';

type Ended = (error: unknown) => void;

/** A producer over a library whose named call does not return until the test says so. */
class Bench {
  readonly clock = new ManualClock(0);
  readonly log = new LogRecorder();
  disconnected = 0;
  stuck = 0;
  /** The member's client is free again. */
  memberFree = false;
  #held: Ended | undefined;
  readonly producer: KafkaProducer;
  readonly #holds: 'sendOffsets' | 'commit';

  constructor(holds: 'sendOffsets' | 'commit') {
    this.#holds = holds;
    const call =
      (name: string) =>
      (...args: unknown[]) => {
        const ended = args.at(-1) as Ended;
        if (name === this.#holds) this.#held = ended;
        else ended(null);
      };
    const native = {
      on: () => {},
      connect: (_options: unknown, ended: Ended) => ended(null),
      initTransactions: call('init'),
      beginTransaction: call('begin'),
      sendOffsetsToTransaction: call('sendOffsets'),
      commitTransaction: call('commit'),
    } as unknown as NativeProducer;
    const handle = new KafkaHandle(
      native,
      { name: 'p', address: 'somewhere', clock: this.clock, log: this.log.log },
      (_client, done) => {
        this.disconnected++;
        done();
      },
    );
    this.producer = new KafkaProducer({
      handle,
      transactionalId: 'id',
      transactionTimeoutMs: 10_000,
      watch: new RetryWatch(),
      facts: {} as KafkaProducerOptions['facts'],
      clock: this.clock,
      log: this.log.log,
      onClose: () => {},
      onOffsetsSent: () => {},
      onStuck: () => {
        this.stuck++;
        return () => {
          this.stuck--;
        };
      },
    });
  }

  readonly member = Object.create(KafkaGroupMember.prototype, {
    throughConsumer: {
      value: async (use: (consumer: unknown) => Promise<void>) => {
        await use({});
        this.memberFree = true;
      },
    },
  }) as KafkaGroupMember;

  /** The call comes back after all. */
  comeBack(): void {
    this.#held?.(null);
  }

  async begin(): Promise<void> {
    await this.producer.init();
    await this.producer.begin();
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

const isUnknown = (error: unknown) =>
  error instanceof StreamsError &&
  error.code === 'TRANSACTION_OUTCOME_UNKNOWN' &&
  /does not return/.test(error.message);

describe('a transactional call that does not return', () => {
  let bench: Bench;
  let failure: unknown;
  const held = (call: Promise<void>): void => {
    failure = undefined;
    call.catch((error: unknown) => {
      failure = error;
    });
  };
  beforeEach(async () => {
    bench = new Bench('sendOffsets');
    await bench.begin();
    held(bench.producer.sendOffsets([{ topic: 't', partition: 0, offset: 1 }], bench.member));
  });

  it('is waited for well beyond its own time-out, then given up', async () => {
    await bench.pass(14_999);
    assert.equal(failure, undefined);
    await bench.pass(1);
    assert.ok(isUnknown(failure), String(failure));
    assert.equal(bench.stuck, 1);
    assert.ok(bench.memberFree, 'nothing waits for the client of the member');
  });

  it('leaves a producer that closes at once and makes no further call', async () => {
    await bench.pass(15_000);
    await bench.producer.close();
    assert.equal(bench.disconnected, 0, 'the library would wait for the call');
    await assert.rejects(bench.producer.begin(), { code: 'TRANSACTION_STATE_INVALID' });
  });

  it('frees the client should it return after all', async () => {
    await bench.pass(15_000);
    bench.comeBack();
    assert.deepEqual([bench.disconnected, bench.stuck], [1, 0]);
  });

  it('is nothing to one that returns in time', async () => {
    await bench.pass(14_000);
    bench.comeBack();
    await bench.pass(60_000);
    assert.deepEqual([failure, bench.stuck, bench.disconnected], [undefined, 0, 0]);
  });

  it('has an unknown outcome, too, when it is the commit', async () => {
    const committing = new Bench('commit');
    await committing.begin();
    held(committing.producer.commit());
    await committing.pass(15_000);
    assert.ok(isUnknown(failure), String(failure));
  });
});
