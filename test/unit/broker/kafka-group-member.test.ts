/**
 * Goal: a member whose client library is silent learns all the same what the group has for it, and one that the library has
 * stopped joining joins again. Method: a library that never calls back, and a broker that says what the test wants.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import type { NativeConsumer } from '../../../src/broker/kafka-client-types.ts';
import { KafkaGroupMember } from '../../../src/broker/kafka-group-member.ts';
import { KafkaHandle, Wakeup } from '../../../src/broker/kafka-handle.ts';
import { LogRecorder } from '../../support/log-recorder.ts';

type Ended = (error: unknown) => void;

class Bench {
  readonly clock = new ManualClock(0);
  readonly log = new LogRecorder();
  /** What the broker says when it is asked. */
  share: 'some' | 'none' | 'not a member' = 'some';
  asked = 0;
  connected = 0;
  disconnected = 0;
  readonly member: KafkaGroupMember;

  constructor(protocol: 'consumer' | 'classic') {
    const { clock } = this;
    this.member = new KafkaGroupMember({
      groupId: 'g',
      topic: 'tokens',
      instanceId: undefined,
      protocol,
      wakeup: new Wakeup(clock),
      clock,
      log: this.log.log,
      onClose: () => {},
      shareInGroup: () => {
        this.asked++;
        return Promise.resolve(this.share);
      },
      connect: async () => {
        this.connected++;
        const native = {
          on: () => {},
          connect: (_options: unknown, ended: Ended) => ended(null),
          subscribe: () => {},
          getClient: () => ({ consume: (...args: unknown[]) => (args.at(-1) as Ended)(null) }),
        } as unknown as NativeConsumer;
        const options = { name: 'm', address: 'somewhere', clock, log: this.log.log };
        const handle = new KafkaHandle(native, options, (_client, done) => {
          this.disconnected++;
          done();
        });
        await handle.connect();
        return handle;
      },
    });
  }

  /** One poll a second. */
  async poll(seconds: number): Promise<string[]> {
    const told: string[] = [];
    for (let second = 0; second < seconds; second++) {
      this.clock.advance(1_000);
      for (const event of await this.member.poll(0)) {
        told.push(`${event.type} ${event.partitions.length}`);
        await this.member.acknowledge(event);
      }
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    return told;
  }
}

describe('a group member whose library is silent', () => {
  it('is told once that the group has nothing for it', async () => {
    const bench = new Bench('consumer');
    await bench.member.join();
    assert.deepEqual(await bench.poll(3), []);
    bench.share = 'none';
    assert.deepEqual(await bench.poll(10), ['assigned 0']);
    const { asked } = bench;
    await bench.poll(60);
    assert.equal(bench.asked, asked, 'from then on the library tells');
    assert.equal(bench.connected, 1);
  });

  it('joins anew when the broker has not known of it for 30 s', async () => {
    const bench = new Bench('consumer');
    await bench.member.join();
    bench.share = 'not a member';
    await bench.poll(25);
    bench.share = 'some';
    await bench.poll(1);
    bench.share = 'not a member';
    await bench.poll(25);
    assert.equal(bench.connected, 1, 'it was known in between');
    await bench.poll(10);
    assert.deepEqual([bench.connected, bench.disconnected], [2, 1]);
    assert.equal(bench.log.lines.filter(({ level }) => level === 'warn').length, 1);
    bench.share = 'none';
    assert.deepEqual(await bench.poll(10), ['assigned 0']);
  });

  it('asks nobody under the classic protocol, whose library is not', async () => {
    const bench = new Bench('classic');
    await bench.member.join();
    await bench.poll(60);
    assert.equal(bench.asked, 0);
  });
});
