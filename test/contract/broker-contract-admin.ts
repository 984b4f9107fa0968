/** The broker contract: topics, offsets, and producers without transactions. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { StreamsError } from '../../src/base/errors.ts';
import { type BrokerBench, type BrokerSupports, failsWith, record } from './broker-contract-support.ts';

export function adminContract(bench: () => BrokerBench, supports: BrokerSupports): void {
  describe('topics', () => {
    it('are there to be written when createTopics resolves', async () => {
      const { broker, name } = bench();
      const topic = name('fresh');
      await broker.admin.createTopics([{ name: topic, partitions: 3 }]);
      await bench().write(topic, ['a'], 2);
      assert.deepEqual(await bench().values(topic, 'read_committed', 2), ['a']);
    });

    it('are described in the order of the names, repeated ones too, undefined where there is none', async () => {
      const one = await bench().topic('one', 1);
      const four = await bench().topic('four', 4);
      const described = await bench().broker.admin.describeTopics([four, bench().name('none'), one, four]);
      assert.deepEqual(
        described.map((topic) => topic && [topic.name, topic.partitions]),
        [[four, 4], undefined, [one, 1], [four, 4]],
      );
    });

    it('are listed by their names', async () => {
      const one = await bench().topic('listed-one', 1);
      const two = await bench().topic('listed-two', 2);
      const listed = await bench().broker.admin.listTopics();
      for (const topic of [one, two]) assert.ok(listed.includes(topic), topic);
      assert.ok(!listed.includes(bench().name('none')));
    });

    it('exist once: TOPIC_EXISTS names the first that was there', async () => {
      const there = await bench().topic('there');
      const fresh = bench().name('fresh');
      await assert.rejects(
        bench().broker.admin.createTopics([
          { name: fresh, partitions: 1 },
          { name: there, partitions: 1 },
        ]),
        (error: StreamsError) => failsWith('TOPIC_EXISTS')(error) && error.message.includes(there),
      );
    });

    it('are deleted with their records and may be created again', async () => {
      const { broker } = bench();
      const topic = await bench().topic('gone');
      await bench().write(topic, ['old']);
      await broker.admin.deleteTopics([topic]);
      await bench().eventually('the topic is gone', async () => {
        return (await broker.admin.describeTopics([topic]))[0] === undefined;
      });
      await bench().eventually('the name is free', async () => {
        return broker.admin.createTopics([{ name: topic, partitions: 2 }]).then(
          () => true,
          (error: StreamsError) => {
            failsWith('TOPIC_EXISTS', 'BROKER_UNAVAILABLE')(error);
            return false;
          },
        );
      });
      assert.deepEqual(await bench().values(topic), []);
    });

    it('get more partitions and keep what is in them; fewer is no change', async () => {
      const { broker } = bench();
      const topic = await bench().topic('grown', 2);
      await bench().write(topic, ['a'], 1);
      await broker.admin.growTopic(topic, 4);
      await broker.admin.growTopic(topic, 3);
      const [described] = await broker.admin.describeTopics([topic]);
      assert.equal(described?.partitions, 4);
      await bench().write(topic, ['b'], 3);
      assert.deepEqual(await bench().values(topic, 'read_committed', 1), ['a']);
      assert.deepEqual(await bench().values(topic, 'read_committed', 3), ['b']);
    });

    it('are deleted idempotently', async () => {
      const topic = await bench().topic('gone');
      await bench().broker.admin.deleteTopics([topic, bench().name('never')]);
      await bench().broker.admin.deleteTopics([topic]);
    });

    if (supports.topicIds) {
      it('have an id that stays, and another one when they are created again', async () => {
        const { broker } = bench();
        const topic = await bench().topic('id');
        const idNow = async () => (await broker.admin.describeTopics([topic]))[0]?.topicId;
        const first = await idNow();
        assert.ok(first !== undefined && first.length > 0);
        assert.equal(await idNow(), first);
        await broker.admin.deleteTopics([topic]);
        await bench().eventually('created again', () =>
          broker.admin.createTopics([{ name: topic, partitions: 1 }]).then(
            () => true,
            () => false,
          ),
        );
        const second = await bench().eventually('described', idNow);
        assert.notEqual(second, first);
      });
    }
  });

  describe('offsets of a log', () => {
    it('start at zero and end where the next record goes', async () => {
      const { admin } = bench().broker;
      const topic = await bench().topic('offsets', 2);
      await bench().write(topic, ['a', 'b', 'c'], 1);
      const partitions = [
        { topic, partition: 1 },
        { topic, partition: 0 },
      ];
      assert.deepEqual(await admin.startOffsets(partitions), [0, 0]);
      assert.deepEqual(await admin.endOffsets(partitions, 'read_uncommitted'), [3, 0]);
      assert.deepEqual(await admin.endOffsets(partitions, 'read_committed'), [3, 0]);
    });

    it('are found by time: the first record of that time or later, undefined where there is none', async () => {
      const { broker, name } = bench();
      const topic = name('times');
      await broker.admin.createTopics([{ name: topic, partitions: 2 }]);
      const producer = await broker.openProducer({ clientId: 'times' });
      const base = 1_700_000_000_000;
      for (const timestamp of [base, base + 20, base + 10, base + 30])
        await producer.send([{ ...record(topic, 'v'), timestamp }]);
      await producer.flush();
      await producer.close();
      const at = (offsetMs: number, partition = 0) => ({ topic, partition, timestampMs: base + offsetMs });
      const find = async (one: ReturnType<typeof at>) => (await broker.admin.offsetsForTimes([one]))[0];
      assert.equal(await find(at(-5)), 0);
      assert.equal(await find(at(0)), 0);
      assert.equal(await find(at(5)), 1);
      assert.equal(await find(at(25)), 3);
      assert.equal(await find(at(31)), undefined);
      assert.deepEqual(await broker.admin.offsetsForTimes([at(0, 1), at(30)]), [undefined, 3]);
    });

    it('of a topic that does not exist are refused by name', async () => {
      const topic = bench().name('none');
      const at = [{ topic, partition: 0 }];
      const names = (error: StreamsError) =>
        failsWith('TOPIC_UNKNOWN')(error) && error.message.includes(topic);
      await assert.rejects(bench().broker.admin.startOffsets(at), names);
      await assert.rejects(bench().broker.admin.endOffsets(at, 'read_committed'), names);
    });
  });

  describe('a producer without a transactional id', () => {
    it('has every record acknowledged when flush resolves', async () => {
      const topic = await bench().topic('flush');
      const producer = await bench().producer();
      await producer.send([record(topic, 'a'), record(topic, 'b')]);
      await producer.send([record(topic, 'c')]);
      await producer.flush();
      assert.deepEqual(await bench().values(topic), ['a', 'b', 'c']);
      await producer.close();
    });

    it('keeps the order of a partition over many sends', async () => {
      const topic = await bench().topic('order', 2);
      const producer = await bench().producer();
      for (let i = 0; i < 200; i++) await producer.send([record(topic, `${i}`, i % 2)]);
      await producer.flush();
      await producer.close();
      const even = Array.from({ length: 100 }, (_, i) => `${i * 2}`);
      assert.deepEqual(await bench().values(topic, 'read_committed', 0), even);
    });

    it('cannot begin a transaction', async () => {
      const producer = await bench().producer();
      await assert.rejects(producer.begin(), failsWith('TRANSACTION_STATE_INVALID'));
      await producer.close();
    });

    it('takes nothing for a topic that does not exist and says which', async () => {
      const producer = await bench().producer();
      const topic = bench().name('none');
      await assert.rejects(
        producer.send([record(topic, 'a')]).then(() => producer.flush()),
        (error: StreamsError) => failsWith('TOPIC_UNKNOWN')(error) && error.message.includes(topic),
      );
      await producer.close();
    });

    it('refuses a record that is too large and takes the next one', async () => {
      const topic = await bench().topic('large');
      const producer = await bench().producer();
      const large = { ...record(topic, null), value: Buffer.alloc(2 * 1024 * 1024) };
      await assert.rejects(
        producer.send([large]).then(() => producer.flush()),
        failsWith('RECORD_TOO_LARGE'),
      );
      await producer.send([record(topic, 'small')]);
      await producer.flush();
      await producer.close();
      assert.deepEqual(await bench().values(topic), ['small']);
    });

    it('closes twice', async () => {
      const producer = await bench().producer();
      await producer.close();
      await producer.close();
    });
  });
}
