/** What only the embedded broker promises: time by the clock, bounded memory, whole writes, one process. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Write } from '../../../src/base/backend-port.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { MemoryDisk, openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { DiskBroker, keyed, readAll, startMs } from './embedded-support.ts';

describe('embedded broker: time', () => {
  it('starts the clock of a transaction with its first record, not with begin', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const producer = await at.producer('p', 1000);
    await producer.begin();
    at.clock.advance(60_000);
    await producer.send([keyed('t', 'k', '1')]);
    at.clock.advance(999);
    await producer.commit();
    assert.deepEqual(await at.read('t'), ['k=1@0']);
  });

  it('fences every call of a producer whose transaction timed out, until it is initialised anew', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const producer = await at.producer('p', 1000);
    await producer.begin();
    await producer.send([keyed('t', 'k', 'late')]);
    at.clock.advance(1000);
    assert.deepEqual(await at.ends('t'), { start: 0, stable: 2, end: 2 });
    const fenced = { code: 'PRODUCER_FENCED', kind: 'fenced' };
    await assert.rejects(producer.send([keyed('t', 'k', 'more')]), fenced);
    await assert.rejects(producer.flush(), fenced);
    await assert.rejects(producer.commit(), fenced);
    await assert.rejects(producer.abort(), fenced);
    await assert.rejects(producer.begin(), fenced);
    await at.commit(await at.producer('p'), [keyed('t', 'k', 'next')]);
    assert.deepEqual(await at.read('t'), ['k=next@2']);
  });

  it('fails retriably when offsets stay unstable for too long, and answers when they are settled', async () => {
    const at = await DiskBroker.open({ stableOffsetsWaitMs: 500 });
    await at.topic('t');
    const member = await at.broker.joinGroup({ groupId: 'g', topic: 't', sessionTimeoutMs: 60_000 });
    const producer = await at.producer('p', 10_000);
    await producer.begin();
    await producer.sendOffsets([{ topic: 't', partition: 0, offset: 3 }], member);
    const asked = at.broker.admin.committedOffsets('g', [{ topic: 't', partition: 0 }]);
    at.clock.advance(500);
    await assert.rejects(asked, { code: 'BROKER_UNAVAILABLE', kind: 'retriable' });
    at.clock.advance(9500);
    assert.deepEqual(await at.broker.admin.committedOffsets('g', [{ topic: 't', partition: 0 }]), [
      undefined,
    ]);
  });

  it('sleeps in a poll that waits, and returns nothing when its time is over', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign([{ topic: 't', partition: 0, offset: 0 }]);
    let polled: unknown;
    const pending = consumer.poll({ recordsMax: 10, waitMs: 1000 }).then((batches) => {
      polled = batches;
    });
    const producer = await at.producer('p');
    await producer.begin();
    await producer.send([keyed('t', 'k', 'open')]);
    at.clock.advance(999);
    await at.ends('t');
    assert.equal(polled, undefined);
    at.clock.advance(1);
    await pending;
    assert.deepEqual(polled, []);
  });

  for (const wake of ['close', 'seek', 'resume', 'assign'] as const) {
    it(`wakes a waiting poll for ${wake}`, async () => {
      const at = await DiskBroker.open();
      await at.topic('t', 2);
      await at.commit(await at.producer('p'), [keyed('t', 'k', '0'), keyed('t', 'k', '1', 1)]);
      const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
      await consumer.assign([{ topic: 't', partition: 0, offset: 2 }]);
      consumer.pause(wake === 'resume' ? [{ topic: 't', partition: 0 }] : []);
      if (wake === 'resume') await consumer.seek({ topic: 't', partition: 0, offset: 0 });
      const pending = consumer.poll({ recordsMax: 10, waitMs: 1e9 });
      if (wake === 'close') await consumer.close();
      else if (wake === 'seek') await consumer.seek({ topic: 't', partition: 0, offset: 0 });
      else if (wake === 'resume') consumer.resume([{ topic: 't', partition: 0 }]);
      else await consumer.assign([{ topic: 't', partition: 1, offset: 0 }]);
      assert.equal((await pending).length, wake === 'close' ? 0 : 1);
    });
  }

  it('tells a reader that waits that its topic was deleted', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign([{ topic: 't', partition: 0, offset: 0 }]);
    const pending = assert.rejects(consumer.poll({ recordsMax: 1, waitMs: 1e9 }), { code: 'TOPIC_UNKNOWN' });
    await at.broker.admin.deleteTopics(['t']);
    await pending;
  });
});

describe('embedded broker: groups by the clock', () => {
  it('keeps a member that waits in a poll, however long', async () => {
    const at = await DiskBroker.open();
    await at.topic('t', 2);
    const options = { groupId: 'g', topic: 't', sessionTimeoutMs: 1000 };
    const member = await at.broker.joinGroup(options);
    const [assigned] = await member.poll(0);
    await member.acknowledge(assigned as never);
    const pending = member.poll(5000);
    at.clock.advance(4000);
    const other = await at.broker.joinGroup(options);
    const [revoked] = await pending;
    assert.equal(revoked?.type, 'revoked');
    await member.acknowledge(revoked as never);
    assert.deepEqual(await other.poll(0), [{ type: 'assigned', partitions: revoked?.partitions }]);
  });

  it('forgets the answers that a removed member still owed, and takes it back when it knows', async () => {
    const at = await DiskBroker.open();
    await at.topic('t', 2);
    const options = { groupId: 'g', topic: 't', sessionTimeoutMs: 1000 };
    const first = await at.broker.joinGroup(options);
    const [assigned] = await first.poll(0);
    await first.acknowledge(assigned as never);
    const second = await at.broker.joinGroup(options);
    const [revoked] = await first.poll(0);
    at.clock.advance(600);
    const [none] = await second.poll(0);
    assert.deepEqual(none, { type: 'assigned', partitions: [] });
    await second.acknowledge(none as never);
    at.clock.advance(600);
    assert.deepEqual(await second.poll(0), [{ type: 'assigned', partitions: [0, 1] }]);
    await first.acknowledge(revoked as never);
    const [lost] = await first.poll(0);
    assert.equal(lost?.type, 'lost');
    assert.equal(lost?.partitions.length, 1);
    assert.deepEqual(await first.poll(0), []);
    await first.acknowledge(lost as never);
    assert.deepEqual(await first.poll(0), [{ type: 'assigned', partitions: [] }]);
    const [again] = await second.poll(0);
    assert.equal(again?.type, 'revoked');
  });

  it('does not let a removed static member push out the one that took its place', async () => {
    const at = await DiskBroker.open();
    await at.topic('t', 1);
    const options = { groupId: 'g', topic: 't', sessionTimeoutMs: 1000, instanceId: 'i' };
    const older = await at.broker.joinGroup(options);
    await older.acknowledge((await older.poll(0))[0] as never);
    at.clock.advance(2000);
    const newer = await at.broker.joinGroup(options);
    await newer.acknowledge((await newer.poll(0))[0] as never);
    const [lost] = await older.poll(0);
    assert.deepEqual(lost, { type: 'lost', partitions: [0] });
    await older.acknowledge(lost as never);
    await assert.rejects(older.poll(0), { code: 'MEMBER_FENCED' });
    assert.deepEqual(await newer.poll(0), []);
  });

  it('refuses an answer that is given twice', async () => {
    const at = await DiskBroker.open();
    await at.topic('t', 1);
    const member = await at.broker.joinGroup({ groupId: 'g', topic: 't', sessionTimeoutMs: 1000 });
    const [assigned] = await member.poll(0);
    await member.acknowledge(assigned as never);
    await assert.rejects(member.acknowledge(assigned as never), { code: 'INVARIANT_BROKEN' });
  });
});

describe('embedded broker: memory and disk', () => {
  it('reads back what its cache has let go, record by record the same', async () => {
    let largestGet = 0;
    const backend = await openMemoryBackend();
    const getMany = backend.getMany.bind(backend);
    backend.getMany = (keys) => {
      largestGet = Math.max(largestGet, keys.length);
      return getMany(keys);
    };
    const broker = await openEmbeddedBroker({
      backend,
      clock: wallClock,
      cacheBytesMax: 64 * 1024,
      chunkBytesMax: 8192,
    });
    await broker.admin.createTopics([{ name: 't', partitions: 1 }]);
    const producer = await broker.openProducer({ clientId: 'p', transactionalId: 'p' });
    await producer.init();
    const expected: string[] = [];
    for (let i = 0; i < 100; i++) {
      await producer.begin();
      const records = Array.from({ length: 100 }, (_, j) => keyed('t', `${i}`, `${j}`.padStart(60, 'v')));
      await producer.send(records);
      await producer.commit();
      expected.push(...records.map(({ key, value }, j) => `${key}=${value}@${i * 101 + j}`));
    }
    assert.deepEqual(await readAll(broker, 't'), expected);
    assert.deepEqual(await readAll(broker, 't'), expected);
    assert.ok(largestGet >= 1, 'nothing was read back');
    await broker.close();
  });

  for (const change of ['seek', 'pause', 'unassign'] as const) {
    it(`delivers nothing that was on its way from the store before a ${change}`, async () => {
      const backend = await openMemoryBackend();
      const broker = await openEmbeddedBroker({
        backend,
        clock: wallClock,
        cacheBytesMax: 1,
        chunkBytesMax: 1,
      });
      await broker.admin.createTopics([{ name: 't', partitions: 1 }]);
      const producer = await broker.openProducer({ clientId: 'p' });
      await producer.send(['0', '1', '2'].map((value) => keyed('t', 'k', value)));
      await producer.flush();
      const getMany = backend.getMany.bind(backend);
      let release: () => void = () => {};
      let asked: () => void = () => {};
      const loading = new Promise<void>((resolve) => (asked = resolve));
      backend.getMany = async (keys) => {
        asked();
        await new Promise<void>((resolve) => (release = resolve));
        return getMany(keys);
      };
      const at = { topic: 't', partition: 0 };
      const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
      await consumer.assign([{ ...at, offset: 1 }]);
      const pending = consumer.poll({ recordsMax: 2, waitMs: 0 });
      await loading;
      backend.getMany = getMany;
      if (change === 'seek') await consumer.seek({ ...at, offset: 0 });
      else if (change === 'pause') consumer.pause([at]);
      else await consumer.unassign([at]);
      release();
      const values = (await pending).flatMap((batch) =>
        Array.from({ length: batch.count }, (_, i) => `${batch.value(i)}`),
      );
      assert.deepEqual(values, change === 'seek' ? ['0', '1'] : []);
      if (change === 'pause') assert.equal(consumer.position(at), 1);
      await broker.close();
    });
  }

  it('takes the commits of one turn to the disk together, and each whole', async () => {
    const batches: (readonly Write[])[] = [];
    const at = await DiskBroker.open(
      {},
      new MemoryDisk({
        beforeWrite: (writes, sync) => {
          assert.ok(sync, 'a write that a power loss would take');
          batches.push(writes);
        },
      }),
    );
    await at.topic('t', 4);
    const producers = await Promise.all(['a', 'b', 'c', 'd'].map((id) => at.producer(id)));
    batches.length = 0;
    for (const [i, producer] of producers.entries()) {
      await producer.begin();
      await producer.send([keyed('t', 'k', `${i}`, i), keyed('t', 'k', `${i}`, (i + 1) % 4)]);
    }
    await Promise.all(producers.map((producer) => producer.commit()));
    assert.equal(batches.length, 1);
    for (let partition = 0; partition < 4; partition++)
      assert.equal((await at.read('t', partition)).length, 2);
  });

  it('shows a commit only when it is on the disk, and a successor waits for it', async () => {
    let release: () => void = () => {};
    let held = false;
    const at = await DiskBroker.open(
      {},
      new MemoryDisk({
        beforeWrite: () => {
          if (held) return new Promise<void>((resolve) => (release = resolve));
          return undefined;
        },
      }),
    );
    await at.topic('t');
    const producer = await at.producer('p');
    await producer.begin();
    await producer.send([keyed('t', 'k', '1')]);
    held = true;
    const commit = producer.commit();
    await at.clock.yield();
    assert.deepEqual(await at.read('t'), []);
    const successor = at.producer('p');
    await wallClock.yield();
    held = false;
    release();
    await commit;
    assert.deepEqual(await at.read('t'), ['k=1@0']);
    await at.commit(await successor, [keyed('t', 'k', '2')]);
    assert.deepEqual(await at.read('t'), ['k=1@0', 'k=2@2']);
  });

  it('opens its folder in one process only', async () => {
    const at = await DiskBroker.open();
    await assert.rejects(at.disk.open('broker'), { code: 'STORE_LOCKED' });
    await at.broker.close();
    await at.broker.close();
    await at.reopen();
  });

  it('restores topics with their ids and settings, and never gives a number twice', async () => {
    const at = await DiskBroker.open();
    await at.topic('a', 2, { 'cleanup.policy': 'compact' });
    await at.topic('b');
    const before = await at.broker.admin.describeTopics(['a', 'b']);
    await at.broker.admin.deleteTopics(['b']);
    await at.crash();
    assert.deepEqual(await at.broker.admin.describeTopics(['a', 'b']), [before[0], undefined]);
    await at.topic('b');
    const [again] = await at.broker.admin.describeTopics(['b']);
    assert.notEqual(again?.topicId, before[1]?.topicId);
    const producer = await at.producer('p');
    await producer.begin();
    await assert.rejects(producer.send([{ ...keyed('a', 'k', 'v'), key: null }]), {
      code: 'BROKER_REQUEST_FAILED',
    });
  });

  it('removes what a crash in the middle of deleting a topic left behind', async () => {
    let failAfter = Number.POSITIVE_INFINITY;
    const at = await DiskBroker.open(
      { chunkBytesMax: 10 },
      new MemoryDisk({
        beforeWrite: () => {
          failAfter -= 1;
          if (failAfter < 0) throw new Error('crash');
        },
      }),
    );
    await at.topic('t');
    const producer = await at.producer('p');
    for (let i = 0; i < 20; i++) await at.commit(producer, [keyed('t', 'k', 'v')]);
    failAfter = 1;
    await assert.rejects(at.broker.admin.deleteTopics(['t']));
    failAfter = Number.POSITIVE_INFINITY;
    await at.crash();
    assert.deepEqual(await at.broker.admin.describeTopics(['t']), [undefined]);
    await at.broker.close();
    const backend = await at.disk.open('broker');
    const spaces = new Set((await backend.range({})).map(({ key }) => key.toString('latin1', 0, 1)));
    assert.deepEqual([...spaces], ['b', 'x']);
    await backend.close();
  });

  it('refuses calls after close, and closes what was open', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const producer = await at.producer('p');
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign([{ topic: 't', partition: 0, offset: 0 }]);
    const pending = consumer.poll({ recordsMax: 1, waitMs: 1e9 });
    await at.broker.close();
    assert.deepEqual(await pending, []);
    await assert.rejects(producer.begin());
    await assert.rejects(at.broker.admin.describeTopics(['t']), { code: 'BROKER_REQUEST_FAILED' });
  });

  it('stores what was sent without a transaction when it is closed', async () => {
    const at = await DiskBroker.open();
    await at.topic('t');
    const producer = await at.broker.openProducer({ clientId: 'plain' });
    await producer.send([keyed('t', 'k', '1')]);
    await at.broker.close();
    await at.reopen();
    assert.deepEqual(await at.read('t'), ['k=1@0']);
  });

  it('lets readers, writers and maintenance run at once', async () => {
    const backend = await openMemoryBackend({ beforeWrite: () => wallClock.yield() });
    const clock = new ManualClock(startMs);
    const broker = await openEmbeddedBroker({ backend, clock, cacheBytesMax: 2000, chunkBytesMax: 300 });
    const config = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0' };
    await broker.admin.createTopics([{ name: 't', partitions: 1, config }]);
    const producer = await broker.openProducer({ clientId: 'p', transactionalId: 'p' });
    await producer.init();
    let writing = true;
    const write = async (): Promise<void> => {
      for (let i = 0; i < 300; i++) {
        await producer.begin();
        await producer.send([keyed('t', `k${i % 20}`, `${i}`), keyed('t', `j${i % 7}`, `${i}`)]);
        await (i % 5 === 0 ? producer.abort() : producer.commit());
      }
      writing = false;
    };
    const maintain = async (): Promise<void> => {
      while (writing) {
        await broker.maintain();
        await wallClock.yield();
      }
    };
    const follow = async (): Promise<void> => {
      let last = -1;
      const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
      await consumer.assign([{ topic: 't', partition: 0, offset: 0 }]);
      while (writing) {
        for (const batch of await consumer.poll({ recordsMax: 3, waitMs: 0 })) {
          for (let i = 0; i < batch.count; i++) {
            assert.ok(batch.offset(i) > last);
            assert.notEqual(Number(batch.value(i)) % 5, 0);
            last = batch.offset(i);
          }
        }
        await wallClock.yield();
      }
    };
    await Promise.all([write(), maintain(), follow(), follow()]);
    await broker.maintain();
    const table = new Map(
      (await readAll(broker, 't')).map((one) => one.split('@')[0]?.split('=') as [string, string]),
    );
    assert.equal((await readAll(broker, 't')).length, 27 - 4);
    for (const [key, value] of table) {
      const every = key.startsWith('k') ? 20 : 7;
      assert.equal(Number(value) % every, Number(key.slice(1)));
      const next = Number(value) + every;
      assert.ok(next >= 300 || next % 5 === 0, `${key}=${value} was not the last`);
    }
    await broker.close();
  });
});

describe('embedded broker: many records', () => {
  it('carries 100,000 records through transactions, in order and each once', async () => {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([{ name: 't', partitions: 12 }]);
    const producer = await broker.openProducer({ clientId: 'p', transactionalId: 'p' });
    await producer.init();
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign(
      Array.from({ length: 12 }, (_, partition) => ({ topic: 't', partition, offset: 0 })),
    );
    const last = new Array<number>(12).fill(-1);
    let count = 0;
    const read = async (): Promise<void> => {
      for (const batch of await consumer.poll({ recordsMax: 5000, waitMs: 0 })) {
        for (let i = 0; i < batch.count; i++) {
          const value = Number(batch.value(i));
          assert.equal(value % 12, batch.partition);
          assert.ok(value > (last[batch.partition] as number));
          last[batch.partition] = value;
          count += 1;
        }
      }
    };
    for (let i = 0; i < 100_000; i += 1000) {
      await producer.begin();
      await producer.send(Array.from({ length: 1000 }, (_, j) => keyed('t', 'k', `${i + j}`, (i + j) % 12)));
      await producer.commit();
      await read();
    }
    while (count < 100_000) await read();
    assert.equal(count, 100_000);
    await broker.close();
  });
});
