/** Retention and compaction of the embedded broker, through `maintain()`. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { DiskBroker, keyed, readAll } from './embedded-support.ts';

const day = 24 * 60 * 60 * 1000;
const compacted = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0' };

describe('embedded broker: compaction', () => {
  let at: DiskBroker;
  beforeEach(async () => {
    at = await DiskBroker.open({ chunkBytesMax: 200, cacheBytesMax: 300 });
    await at.topic('table', 1, compacted);
  });

  it('keeps the last value of each key at its offset', async () => {
    const producer = await at.producer('p');
    for (let i = 0; i < 30; i++) await at.commit(producer, [keyed('table', `k${i % 3}`, `${i}`)]);
    await at.broker.maintain();
    assert.deepEqual(await at.read('table'), ['k0=27@54', 'k1=28@56', 'k2=29@58']);
    assert.deepEqual(await at.ends('table'), { start: 0, stable: 60, end: 60 });
    await at.crash();
    assert.deepEqual(await at.read('table'), ['k0=27@54', 'k1=28@56', 'k2=29@58']);
    assert.deepEqual(await at.ends('table'), { start: 0, stable: 60, end: 60 });
  });

  it('keeps the last committed value when a later one was aborted', async () => {
    const producer = await at.producer('p');
    await at.commit(producer, [keyed('table', 'k', 'old')]);
    await at.commit(producer, [keyed('table', 'k', 'committed')]);
    await producer.begin();
    await producer.send([keyed('table', 'k', 'aborted')]);
    await producer.abort();
    await at.broker.maintain();
    assert.deepEqual(await at.read('table'), ['k=committed@2']);
  });

  it('leaves an open transaction and all behind it alone, and takes it in when it has committed', async () => {
    const first = await at.producer('p');
    const second = await at.producer('q');
    await at.commit(first, [keyed('table', 'a', '1')]);
    await at.commit(first, [keyed('table', 'a', '2')]);
    await second.begin();
    await second.send([keyed('table', 'a', 'open')]);
    await at.commit(first, [keyed('table', 'a', '3')]);
    await at.broker.maintain();
    assert.deepEqual(await at.read('table'), ['a=2@2']);
    assert.deepEqual(await at.read('table', 0, 'read_uncommitted'), ['a=2@2', 'a=open@4', 'a=3@5']);
    await second.commit();
    assert.deepEqual(await at.read('table'), ['a=2@2', 'a=open@4', 'a=3@5']);
    await at.broker.maintain();
    assert.deepEqual(await at.read('table'), ['a=3@5']);
  });

  for (const chunkBytesMax of [200, 256 * 1024]) {
    it(`keeps a tombstone for delete.retention.ms after its first compaction (chunks of ${chunkBytesMax})`, async () => {
      at = await DiskBroker.open({ chunkBytesMax });
      await at.topic('graves', 1, { ...compacted, 'delete.retention.ms': '1000' });
      const producer = await at.producer('p');
      await at.commit(producer, [keyed('graves', 'k', 'v', 0, 900 * day), keyed('graves', 'other', 'v')]);
      await at.commit(producer, [keyed('graves', 'k', null, 0, 900 * day)]);
      at.clock.advance(5000);
      await at.broker.maintain();
      assert.deepEqual(await at.read('graves'), ['other=v@1', 'k=@3']);
      at.clock.advance(999);
      await at.commit(producer, [keyed('graves', 'more', null)]);
      await at.broker.maintain();
      assert.deepEqual(await at.read('graves'), ['other=v@1', 'k=@3', 'more=@5']);
      await at.crash();
      at.clock.advance(1);
      await at.broker.maintain();
      assert.deepEqual(await at.read('graves'), ['other=v@1', 'more=@5']);
      at.clock.advance(999);
      await at.broker.maintain();
      assert.deepEqual(await at.read('graves'), ['other=v@1']);
    });
  }

  it('waits until enough has been written since the last time', async () => {
    await at.topic('lazy', 1, { 'cleanup.policy': 'compact' });
    const producer = await at.producer('p');
    for (let i = 0; i < 10; i++) await at.commit(producer, [keyed('lazy', `k${i}`, 'v')]);
    await at.broker.maintain();
    await at.commit(producer, [keyed('lazy', 'k0', 'new')]);
    await at.broker.maintain();
    assert.equal((await at.read('lazy')).length, 11);
    for (let i = 0; i < 12; i++) await at.commit(producer, [keyed('lazy', 'k0', `${i}`)]);
    await at.broker.maintain();
    assert.equal((await at.read('lazy')).length, 10);
  });

  it('lets a reader in the middle go on over the holes', async () => {
    const producer = await at.producer('p');
    for (let i = 0; i < 20; i++) await at.commit(producer, [keyed('table', `k${i % 4}`, `${i}`)]);
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign([{ topic: 'table', partition: 0, offset: 0 }]);
    const [first] = await consumer.poll({ recordsMax: 5, waitMs: 0 });
    await at.broker.maintain();
    assert.equal(first?.value(4)?.toString(), '4');
    const values: string[] = [];
    for (;;) {
      const batches = await consumer.poll({ recordsMax: 2, waitMs: 0 });
      if (batches.length === 0) break;
      for (const batch of batches) {
        for (let i = 0; i < batch.count; i++) values.push(`${batch.value(i)}@${batch.offset(i)}`);
      }
    }
    assert.deepEqual(values, ['16@32', '17@34', '18@36', '19@38']);
    assert.equal(consumer.position({ topic: 'table', partition: 0 }), 40);
  });

  it('works in memory too', async () => {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: at.clock });
    await broker.admin.createTopics([{ name: 't', partitions: 1, config: compacted }]);
    const producer = await broker.openProducer({ clientId: 'p' });
    for (let i = 0; i < 10; i++) await producer.send([keyed('t', `k${i % 2}`, `${i}`)]);
    await broker.maintain();
    assert.deepEqual(await readAll(broker, 't'), ['k0=8@8', 'k1=9@9']);
    const transactional = await broker.openProducer({ clientId: 'p', transactionalId: 'x' });
    await transactional.init();
    await transactional.begin();
    await transactional.send([keyed('t', 'k0', 'last')]);
    await transactional.commit();
    await broker.maintain();
    assert.deepEqual(await readAll(broker, 't'), ['k1=9@9', 'k0=last@10']);
    await broker.close();
  });

  it('refuses a record without a key, which could never be compacted', async () => {
    const producer = await at.producer('p');
    await producer.begin();
    await assert.rejects(producer.send([{ ...keyed('table', 'k', 'v'), key: null }]), {
      code: 'BROKER_REQUEST_FAILED',
    });
  });

  it('folds many keys in many small chunks to the same values as before', async () => {
    const producer = await at.producer('p');
    const expected = new Map<string, string>();
    for (let i = 0; i < 600; i++) {
      const key = `k${(i * 7919) % 101}`;
      expected.set(key, `${i}`);
      await at.commit(producer, [keyed('table', key, `${i}`)]);
      if (i % 150 === 149) await at.broker.maintain();
    }
    const records = await at.read('table');
    assert.equal(records.length, expected.size);
    assert.deepEqual(
      new Map(records.map((record) => record.split('@')[0]?.split('=') as [string, string])),
      expected,
    );
    const offsets = records.map((record) => Number(record.split('@')[1]));
    assert.deepEqual(
      offsets,
      [...offsets].sort((a, b) => a - b),
    );
  });
});

describe('embedded broker: retention', () => {
  let at: DiskBroker;
  beforeEach(async () => {
    at = await DiskBroker.open({ chunkBytesMax: 200 });
  });

  it('cuts off what is older than retention.ms by its timestamp, and moves the start', async () => {
    await at.topic('log', 1, { 'retention.ms': `${2 * day}` });
    const producer = await at.producer('p');
    for (const age of [5, 4, 3, 1, 0]) await at.commit(producer, [keyed('log', 'k', `${age}`, 0, age * day)]);
    await at.broker.maintain();
    assert.deepEqual(await at.read('log'), ['k=1@6', 'k=0@8']);
    assert.deepEqual(await at.ends('log'), { start: 6, stable: 10, end: 10 });
    await at.crash();
    assert.deepEqual(await at.read('log'), ['k=1@6', 'k=0@8']);
    assert.deepEqual(await at.ends('log'), { start: 6, stable: 10, end: 10 });
  });

  it('fails a reader that stands below the new start, with the place', async () => {
    await at.topic('log', 1, { 'retention.ms': `${day}` });
    const producer = await at.producer('p');
    for (const age of [5, 0]) await at.commit(producer, [keyed('log', 'k', `${age}`, 0, age * day)]);
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await consumer.assign([{ topic: 'log', partition: 0, offset: 0 }]);
    await at.broker.maintain();
    await assert.rejects(consumer.poll({ recordsMax: 1, waitMs: 0 }), {
      code: 'OFFSET_OUT_OF_RANGE',
      context: { topic: 'log', partition: 0, offset: 0 },
    });
  });

  it('keeps everything with -1, and a week when nothing is said', async () => {
    await at.topic('for-ever', 1, { 'retention.ms': '-1' });
    await at.broker.admin.createTopics([{ name: 'week', partitions: 1 }]);
    const producer = await at.producer('p');
    for (const topic of ['for-ever', 'week']) {
      for (const age of [3000, 6]) await at.commit(producer, [keyed(topic, 'k', `${age}`, 0, age * day)]);
    }
    await at.broker.maintain();
    assert.deepEqual(await at.read('for-ever'), ['k=3000@0', 'k=6@2']);
    assert.deepEqual(await at.read('week'), ['k=6@2']);
  });

  it('may empty a log, which then starts at its end', async () => {
    await at.topic('log', 1, { 'retention.ms': `${day}` });
    const producer = await at.producer('p');
    await at.commit(producer, [keyed('log', 'k', 'v', 0, 2 * day)]);
    await at.broker.maintain();
    assert.deepEqual(await at.ends('log'), { start: 2, stable: 2, end: 2 });
    await at.crash();
    assert.deepEqual(await at.ends('log'), { start: 2, stable: 2, end: 2 });
    await at.commit(await at.producer('p'), [keyed('log', 'k', 'new')]);
    assert.deepEqual(await at.read('log'), ['k=new@2']);
  });

  it('never cuts into what an open transaction holds back', async () => {
    await at.topic('log', 1, { 'retention.ms': `${day}` });
    const [first, second] = [await at.producer('p'), await at.producer('q')];
    await at.commit(first, [keyed('log', 'k', '1', 0, 9 * day)]);
    await second.begin();
    await second.send([keyed('log', 'k', '2', 0, 9 * day)]);
    await at.commit(first, [keyed('log', 'k', '3', 0, 9 * day)]);
    await at.broker.maintain();
    assert.deepEqual(await at.ends('log'), { start: 2, stable: 2, end: 5 });
    await second.commit();
    assert.deepEqual(await at.read('log'), ['k=2@2', 'k=3@3']);
  });

  it('keeps no more than retention.bytes, counted from the end', async () => {
    await at.topic('log', 1, { 'retention.bytes': '400' });
    const producer = await at.producer('p');
    for (let i = 0; i < 20; i++) await at.commit(producer, [keyed('log', 'k', 'x'.repeat(60))]);
    await at.broker.maintain();
    const left = (await at.read('log')).length;
    assert.ok(left >= 4 && left <= 6, `${left} records are left`);
  });
});
