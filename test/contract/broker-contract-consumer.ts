/** The broker contract: consumers of partitions assigned by hand, and the record batches they return. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { StreamsError } from '../../src/base/errors.ts';
import type { RecordBatch } from '../../src/broker/broker-port.ts';
import { type BrokerBench, failsWith, poll, record } from './broker-contract-support.ts';

export function consumerContract(bench: () => BrokerBench): void {
  describe('record batches', () => {
    it('give back key, value, timestamp, headers and offset as they were sent', async () => {
      const topic = await bench().topic('parts', 2);
      const producer = await bench().producer();
      const full = {
        topic,
        partition: 1,
        key: Buffer.from([0, 255, 128]),
        value: Buffer.from('value ✓'),
        timestamp: 1_483_228_800_123,
        headers: [
          { key: 'a', value: Buffer.from('1') },
          { key: 'b', value: Buffer.from([0, 255]) },
          { key: 'a', value: Buffer.from('2') },
        ],
      };
      const bare = { ...full, key: null, value: null, headers: [], timestamp: 1 };
      const empty = { ...full, key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] };
      await producer.send([full, bare, empty]);
      await producer.flush();
      await producer.close();
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 1, offset: 0 }]);
      const batches: RecordBatch[] = [];
      await bench().eventually('three records', async () => {
        batches.push(...(await consumer.poll({ recordsMax: 10, waitMs: 10 })));
        return batches.reduce((sum, batch) => sum + batch.count, 0) === 3;
      });
      const found = batches.flatMap((batch) =>
        Array.from({ length: batch.count }, (_, i) => ({
          topic: batch.topic,
          partition: batch.partition,
          offset: batch.offset(i),
          key: batch.key(i),
          value: batch.value(i),
          timestamp: batch.timestamp(i),
          headers: batch.headers(i),
        })),
      );
      assert.deepEqual(found, [
        { ...full, offset: 0 },
        { ...bare, offset: 1 },
        { ...empty, offset: 2 },
      ]);
      await consumer.close();
    });

    it('keep their records when the consumer has moved on and closed', async () => {
      const topic = await bench().topic('kept');
      await bench().write(topic, ['a', 'b']);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      const batch = await bench().eventually('a batch', async () => {
        return (await consumer.poll({ recordsMax: 1, waitMs: 10 }))[0];
      });
      const value = batch.value(0);
      await bench().take(consumer, 1);
      await consumer.close();
      assert.equal(value?.toString(), 'a');
      assert.equal(batch.value(0)?.toString(), 'a');
    });
  });

  describe('a consumer', () => {
    it('reads each partition in order from its offset', async () => {
      const topic = await bench().topic('from', 2);
      await bench().write(topic, ['a', 'b', 'c'], 0);
      await bench().write(topic, ['x', 'y'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([
        { topic, partition: 0, offset: 1 },
        { topic, partition: 1, offset: 0 },
      ]);
      const found = await bench().take(consumer, 4);
      const of = (partition: number) =>
        found.filter((one) => one.partition === partition).map((one) => one.value);
      assert.deepEqual(
        [of(0), of(1)],
        [
          ['b', 'c'],
          ['x', 'y'],
        ],
      );
      await consumer.close();
    });

    it('returns at most recordsMax records and goes on where it stopped', async () => {
      const topic = await bench().topic('max', 3);
      for (const partition of [0, 1, 2]) await bench().write(topic, ['a', 'b', 'c', 'd', 'e'], partition);
      const consumer = await bench().consumer();
      await consumer.assign([0, 1, 2].map((partition) => ({ topic, partition, offset: 0 })));
      const found: string[] = [];
      await bench().eventually('all records', async () => {
        const batch = await poll(consumer, 4);
        assert.ok(batch.length <= 4);
        found.push(...batch.map((one) => `${one.partition}${one.value}`));
        return found.length >= 15;
      });
      assert.deepEqual(
        found.sort(),
        [0, 1, 2].flatMap((p) => ['a', 'b', 'c', 'd', 'e'].map((v) => `${p}${v}`)),
      );
      await consumer.close();
    });

    it('lets no partition starve another', async () => {
      const topic = await bench().topic('fair', 2);
      await bench().write(
        topic,
        Array.from({ length: 2000 }, (_, i) => `${i}`),
        0,
      );
      await bench().write(topic, ['other'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
      let seen = 0;
      await bench().eventually('the other partition', async () => {
        const batch = await poll(consumer, 100);
        seen += batch.length;
        return batch.some((one) => one.partition === 1);
      });
      assert.ok(seen < 2001 || bench().supports.prefetchesInOrder === true);
      await consumer.close();
    });

    it('returns an empty array when nothing came in time', async () => {
      const topic = await bench().topic('empty');
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      assert.deepEqual(await consumer.poll({ recordsMax: 10, waitMs: 0 }), []);
      await consumer.close();
    });

    it('returns an empty array without partitions', async () => {
      const consumer = await bench().consumer();
      assert.deepEqual(await consumer.poll({ recordsMax: 10, waitMs: 0 }), []);
      await consumer.close();
    });

    it('waits for the first record and wakes when it is there', async () => {
      const topic = await bench().topic('wake');
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      const pending = consumer.poll({ recordsMax: 10, waitMs: bench().supports.deadlineMs });
      await bench().write(topic, ['a']);
      const [batch] = await pending;
      assert.equal(batch?.value(0)?.toString(), 'a');
      await consumer.close();
    });

    it('tells the next offset as its position, from the assignment on', async () => {
      const topic = await bench().topic('position');
      await bench().write(topic, ['a', 'b', 'c']);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 1 }]);
      assert.equal(consumer.position({ topic, partition: 0 }), 1);
      await bench().take(consumer, 2);
      assert.equal(consumer.position({ topic, partition: 0 }), 3);
      await consumer.close();
    });

    it('knows whether it has delivered all that is there, markers of transactions apart', async () => {
      const topic = await bench().topic('ends');
      const at = { topic, partition: 0 };
      const producer = await bench().producer(bench().name('ends'));
      const write = async (...values: string[]): Promise<void> => {
        await producer.begin();
        await producer.send(values.map((value) => record(topic, value)));
        await producer.commit();
      };
      await write('a', 'b', 'c');
      const consumer = await bench().consumer();
      await consumer.assign([{ ...at, offset: 0 }]);
      assert.equal(consumer.atEnd(at), false, 'nothing was read yet');
      await bench().eventually('a first record', async () => {
        return (await poll(consumer, 1)).length > 0;
      });
      assert.equal(consumer.atEnd(at), false, 'two are still to come');
      await bench().take(consumer, 2);
      const untilAtEnd = () =>
        bench().eventually('the end', async () => {
          assert.deepEqual(await poll(consumer), []);
          return consumer.atEnd(at);
        });
      await untilAtEnd();
      await write('d');
      await bench().take(consumer, 1);
      await untilAtEnd();
      await consumer.seek({ ...at, offset: 0 });
      assert.equal(consumer.atEnd(at), false, 'there is much ahead again');
      await producer.close();
      await consumer.close();
    });

    it('adds partitions and leaves those it has as they are', async () => {
      const topic = await bench().topic('add', 2);
      await bench().write(topic, ['a', 'b'], 0);
      await bench().write(topic, ['x'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      await bench().take(consumer, 2);
      await consumer.assign([
        { topic, partition: 1, offset: 0 },
        { topic, partition: 0, offset: 0 },
      ]);
      assert.deepEqual(
        (await bench().take(consumer, 1)).map(({ value }) => value),
        ['x'],
      );
      assert.equal(consumer.position({ topic, partition: 0 }), 2);
      await consumer.close();
    });

    it('never delivers records of a partition that was unassigned', async () => {
      const topic = await bench().topic('unassign', 2);
      await bench().write(topic, ['a', 'b', 'c', 'd'], 0);
      await bench().write(topic, ['x', 'y', 'z'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
      const first = await bench().eventually('a record', async () => {
        const found = await poll(consumer, 1);
        return found.length > 0 && found;
      });
      await consumer.unassign([{ topic, partition: 0 }]);
      const rest = await bench().take(consumer, first[0]?.partition === 1 ? 2 : 3);
      assert.ok(rest.every(({ partition }) => partition === 1));
      await consumer.assign([{ topic, partition: 0, offset: 3 }]);
      assert.deepEqual(
        (await bench().take(consumer, 1)).map(({ value }) => value),
        ['d'],
      );
      await consumer.close();
    });

    it('goes on at the offset of a seek, and never delivers what was prefetched before it', async () => {
      const topic = await bench().topic('seek');
      await bench().write(topic, ['a', 'b', 'c', 'd']);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      await bench().eventually('a record', async () => (await poll(consumer, 1)).length === 1);
      await consumer.seek({ topic, partition: 0, offset: 2 });
      assert.equal(consumer.position({ topic, partition: 0 }), 2);
      assert.deepEqual(
        (await bench().take(consumer, 2)).map(({ offset }) => offset),
        [2, 3],
      );
      await consumer.seek({ topic, partition: 0, offset: 0 });
      assert.deepEqual(
        (await bench().take(consumer, 4)).map(({ offset }) => offset),
        [0, 1, 2, 3],
      );
      await consumer.close();
    });

    it('delivers nothing of a paused partition, and all of it when resumed', async () => {
      const topic = await bench().topic('pause', 2);
      await bench().write(topic, ['a', 'b'], 0);
      await bench().write(topic, ['x', 'y'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
      consumer.pause([{ topic, partition: 0 }]);
      const others = await bench().take(consumer, 2);
      assert.ok(others.every(({ partition }) => partition === 1));
      assert.equal(consumer.position({ topic, partition: 0 }), 0);
      consumer.resume([{ topic, partition: 0 }]);
      assert.deepEqual(
        (await bench().take(consumer, 2)).map(({ value }) => value),
        ['a', 'b'],
      );
      await consumer.close();
    });

    it('fails with OFFSET_OUT_OF_RANGE and the place when it reads beyond the end', async () => {
      const topic = await bench().topic('range', 2);
      await bench().write(topic, ['a'], 1);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 1, offset: 7 }]);
      await assert.rejects(
        bench().eventually('an error', () => poll(consumer).then(() => false)),
        (error: StreamsError) => {
          failsWith('OFFSET_OUT_OF_RANGE')(error);
          const { topic: where, partition, offset } = error.context;
          assert.deepEqual({ where, partition, offset }, { where: topic, partition: 1, offset: 7 });
          return true;
        },
      );
      await consumer.seek({ topic, partition: 1, offset: 0 });
      assert.equal((await bench().take(consumer, 1))[0]?.value, 'a');
      await consumer.close();
    });

    it('may stand at the end and reads what comes', async () => {
      const topic = await bench().topic('end');
      await bench().write(topic, ['a']);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 1 }]);
      assert.deepEqual(await poll(consumer), []);
      await bench().write(topic, ['b']);
      assert.deepEqual(
        (await bench().take(consumer, 1)).map(({ offset, value }) => [offset, value]),
        [[1, 'b']],
      );
      await consumer.close();
    });

    it('closes twice', async () => {
      const consumer = await bench().consumer();
      await consumer.close();
      await consumer.close();
    });

    it('reads records while they are written, each once', async () => {
      const topic = await bench().topic('live', 2);
      const producer = await bench().producer();
      const consumer = await bench().consumer();
      await consumer.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
      const found: string[] = [];
      for (let i = 0; i < 50; i++) {
        await producer.send([record(topic, `${i}`, i % 2)]);
        if (i % 7 === 0) await producer.flush();
        found.push(...(await poll(consumer)).map(({ value }) => value as string));
      }
      await producer.flush();
      found.push(...(await bench().take(consumer, 50 - found.length)).map(({ value }) => value as string));
      assert.deepEqual(
        found.map(Number).sort((a, b) => a - b),
        Array.from({ length: 50 }, (_, i) => i),
      );
      await producer.close();
      await consumer.close();
    });
  });
}
