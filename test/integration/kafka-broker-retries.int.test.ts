/**
 * Requests that the Kafka client repeats unseen: a commit that was held up in the network must mark its
 * producer, and must do no harm once the producer has been re-created.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { Broker, Producer } from '../../src/broker/broker-port.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, testKafka, uniqueName } from '../support/kafka.ts';
import { endTransactionRequest, KafkaProxy, sendOffsetsRequest } from '../support/kafka-proxy.ts';

const codeAfterThrottleAt = 4 + 4;

describe('requests that the Kafka client repeats', () => {
  let proxy: KafkaProxy;
  let broker: Broker;
  let topic: string;

  before(async () => {
    proxy = new KafkaProxy(testKafka());
    broker = await openTestKafka({ brokers: await proxy.start() });
    topic = uniqueName('retries');
    await broker.admin.createTopics([{ name: topic, partitions: 1 }]);
  });
  after(async () => {
    await broker?.close();
    await proxy?.close();
  });

  const openProducer = async (transactionalId: string): Promise<Producer> => {
    const producer = await broker.openProducer({ clientId: uniqueName('client'), transactionalId });
    await producer.init();
    return producer;
  };
  const send = (producer: Producer, value: string): Promise<void> =>
    producer.send([{ topic, partition: 0, key: null, value: Buffer.from(value), timestamp: 1, headers: [] }]);

  it('are not suspected in two hundred clean commits and aborts', async () => {
    const producer = await openProducer(uniqueName('tx'));
    for (let i = 0; i < 200; i++) {
      await producer.begin();
      await send(producer, 'clean');
      await (i % 10 === 9 ? producer.abort() : producer.commit());
      assert.equal(producer.mayHaveRetried(), false, `after transaction ${i}`);
    }
    await producer.close();
  });

  for (const end of ['commit', 'abort'] as const) {
    it(`are suspected when a held ${end} returns, and a producer made anew is safe from it`, async () => {
      const transactionalId = uniqueName('tx');
      const first = await openProducer(transactionalId);
      await first.begin();
      await send(first, 'first');
      await first.flush();
      const held = proxy.holdNext(endTransactionRequest);
      await first[end]();
      assert.equal(first.mayHaveRetried(), true);
      const request = await held;
      await first.close();

      // Markers land after the commit has returned: only then does the log stand still.
      const start = await eventually(
        async () => {
          const [end] = await broker.admin.endOffsets([{ topic, partition: 0 }], 'read_uncommitted');
          const [stable] = await broker.admin.endOffsets([{ topic, partition: 0 }], 'read_committed');
          return end === stable ? end : undefined;
        },
        { what: 'the first transaction to have ended in the log', timeoutMs: 20_000 },
      );
      const second = await openProducer(transactionalId);
      await second.begin();
      await send(second, 'second');
      await second.flush();
      const answer = await request.release();
      assert.notEqual(answer.readInt16BE(codeAfterThrottleAt), 0, 'the broker refuses the old request');
      const [stable] = await broker.admin.endOffsets([{ topic, partition: 0 }], 'read_committed');
      assert.equal(stable, start, 'the second transaction is still open');
      await second.abort();
      assert.equal(second.mayHaveRetried(), false);
      await second.close();
    });
  }

  it('are suspected when sending offsets was held up', async () => {
    const tokens = uniqueName('tokens');
    await broker.admin.createTopics([{ name: tokens, partitions: 1 }]);
    const member = await broker.joinGroup({
      groupId: uniqueName('group'),
      topic: tokens,
      sessionTimeoutMs: 10_000,
    });
    await eventually(
      async () => {
        const events = await member.poll(100);
        for (const event of events) await member.acknowledge(event);
        return events.length > 0;
      },
      { what: 'the assignment', timeoutMs: 20_000 },
    );
    const producer = await openProducer(uniqueName('tx'));
    await producer.begin();
    await send(producer, 'held');
    const held = proxy.holdNext(sendOffsetsRequest);
    await producer.sendOffsets([{ topic, partition: 0, offset: 1 }], member);
    await held;
    await producer.commit();
    assert.equal(producer.mayHaveRetried(), true);
    await producer.close();
    await member.close();
  });

  it('are suspected when connections break between transactions', async () => {
    const producer = await openProducer(uniqueName('tx'));
    await producer.begin();
    await send(producer, 'before the cut');
    await producer.commit();
    assert.equal(producer.mayHaveRetried(), false);
    proxy.cutAll();
    await eventually(() => producer.mayHaveRetried(), { what: 'the suspicion' });
    await producer.close();
  });
});
