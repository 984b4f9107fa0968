/** Goal: what the Kafka library answers to an admin request is believed only where it is an answer. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { KafkaAdmin, type KafkaAdminOptions } from '../../../src/broker/kafka-admin.ts';
import type {
  Done,
  NativePartitionOffset,
  NativeTopicDescription,
} from '../../../src/broker/kafka-client-types.ts';

const input = { topic: 'entries', partition: 0 };
/** librdkafka's RD_KAFKA_OFFSET_INVALID. */
const noOffset = -1001;

/** An admin whose library gives these answers one after the other, the last one for ever. */
function adminAnswering(answers: readonly NativePartitionOffset[]): {
  admin: KafkaAdmin;
  asked: () => number;
} {
  let asked = 0;
  const described = { topic: undefined, name: input.topic, partitions: [{ leader: { id: 1 } }] };
  const native = {
    describeTopics: (_names: unknown, _options: unknown, done: Done<readonly NativeTopicDescription[]>) =>
      done(null, [described as unknown as NativeTopicDescription]),
    listOffsets: (_asked: unknown, _options: unknown, done: Done<readonly NativePartitionOffset[]>) =>
      done(null, [answers[Math.min(asked++, answers.length - 1)] as NativePartitionOffset]),
  };
  const clock = new ManualClock(0);
  const options = {
    library: { adminFrom: () => native, earliest: -2, latest: -1 },
    handle: {
      now: (use: (client: unknown) => unknown) => use({}),
      call: (start: (client: unknown, done: Done<unknown>) => void) =>
        new Promise((resolve, reject) => {
          start({}, (error, value) => (error ? reject(error) : resolve(value)));
        }),
    },
    offsetReader: () => Promise.reject(new Error('not asked')),
    clock: {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: async (ms: number) => clock.advance(ms),
      yield: async () => {},
    },
  };
  return { admin: new KafkaAdmin(options as unknown as KafkaAdminOptions), asked: () => asked };
}

describe('offsets that the Kafka library lists', () => {
  it('are asked for again where it gives a negative one without an error: the leader died over its answer', async () => {
    const { admin, asked } = adminAnswering([
      { ...input, offset: noOffset },
      { ...input, offset: noOffset },
      { ...input, offset: 42 },
    ]);
    assert.deepEqual(await admin.endOffsets([input], 'read_uncommitted'), [42]);
    assert.equal(asked(), 3);
  });

  it('are never given out as -1001: after half a minute the broker counts as away', async () => {
    const { admin } = adminAnswering([{ ...input, offset: noOffset }]);
    await assert.rejects(
      admin.startOffsets([input]),
      (error: unknown) => error instanceof StreamsError && error.code === 'BROKER_UNAVAILABLE',
    );
  });

  it('fail with the broker’s error where it has one', async () => {
    const { admin } = adminAnswering([
      { ...input, offset: noOffset, error: { code: 29, message: 'Topic authorization failed' } },
    ]);
    await assert.rejects(admin.endOffsets([input], 'read_committed'), /Topic authorization failed/);
  });
});
