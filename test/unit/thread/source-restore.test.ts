/** Tables without a changelog (`reuse.ktable.source.topics`): restored from their topic, on the embedded broker. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { integerSerde, stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';

const numbers = { keySerde: stringSerde, valueSerde: integerSerde };

describe('a table that is restored from its topic', () => {
  let broker: Broker;
  const apps: StreamsApp[] = [];

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'table', partitions: 1, config: { 'cleanup.policy': 'compact' } },
      { name: 'in', partitions: 1 },
      { name: 'out', partitions: 1 },
    ]);
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.stop();
    await broker.close();
  });

  async function start(disk: MemoryDisk, instance = 'one', numStandbyReplicas = 0): Promise<StreamsApp> {
    const builder = new StreamsBuilder();
    const table = builder.table('table', { ...numbers, materialized: { name: 'rows' } });
    const stream = builder.stream('in', numbers);
    // Something that a standby follows.
    stream.groupByKey().count({ materialized: { name: 'counts' } });
    stream.leftJoin(table, (value, row) => value * 1000 + (row ?? -1)).to('out', numbers);
    const app = new StreamsApp({
      topology: builder.build({ topologyOptimization: 'all' }),
      settings: {
        applicationId: 'app',
        transactionalId: `app-${instance}`,
        commitIntervalMs: 5,
        numStandbyReplicas,
        instanceHeartbeatMs: 50,
      },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    apps.push(app);
    await app.start();
    return app;
  }

  const ready = (app: StreamsApp): Promise<boolean> =>
    eventually(() => app.ready, { what: 'the instance to be ready' });

  async function send(
    topic: string,
    ...records: [key: string, value: number | null | Buffer][]
  ): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    await producer.send(
      records.map(([key, value]) => ({
        topic,
        partition: 0,
        key: Buffer.from(key),
        value: Buffer.isBuffer(value) ? value : integerSerde.serialize(value, topic),
        timestamp: 1,
        headers: [],
      })),
    );
    await producer.close();
  }

  async function joined(count: number): Promise<number[]> {
    const at = { topic: 'out', partition: 0 };
    return eventually(
      async () => {
        const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
        const [end = 0] = await broker.admin.endOffsets([at], 'read_committed');
        await consumer.assign([{ ...at, offset: 0 }]);
        const values: number[] = [];
        while (consumer.position(at) < end)
          for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 10 }))
            for (let index = 0; index < batch.count; index++)
              values.push(Number(integerSerde.deserialize(batch.value(index), 'out')));
        await consumer.close();
        return values.length >= count && values;
      },
      { what: `${count} results` },
    );
  }

  const committed = (offset: number): Promise<unknown> =>
    eventually(
      async () =>
        (await broker.admin.committedOffsets('app', [{ topic: 'table', partition: 0 }]))[0] === offset,
      { what: `offset ${offset} of the table to be committed` },
    );

  /** The store has a row a moment after its commit is known to the broker. */
  const holds = (app: StreamsApp, key: string, value: number): Promise<unknown> =>
    eventually(
      async () => {
        const row = (await app.query('rows', key)) as { value: number; timestamp: number } | undefined;
        return row?.value === value && row.timestamp === 1;
      },
      { what: `${value} under ${key}` },
    );

  it('has no changelog topic, and comes back on an empty disk as it was', async () => {
    const app = await start(new MemoryDisk());
    await ready(app);
    await send('table', ['a', 1], ['b', 2], ['a', 3], ['b', null]);
    await committed(4);
    const topics = await broker.admin.listTopics();
    assert.ok(!topics.includes('app-rows-changelog'), topics.join(' '));
    await app.stop();
    const next = await start(new MemoryDisk());
    await ready(next);
    assert.deepEqual(
      [await next.query('rows', 'a'), await next.query('rows', 'b')],
      [{ value: 3, timestamp: 1 }, undefined],
    );
    await send('in', ['a', 7], ['b', 7]);
    assert.deepEqual(await joined(2), [7003, 6999]);
  });

  it('holds what was committed and nothing that came after', async () => {
    const app = await start(new MemoryDisk());
    await ready(app);
    await send('table', ['a', 1]);
    await committed(1);
    await app.stop();
    // Processed in the order of time: the stream's record is older, so it meets the row of before.
    await send('table', ['a', 2]);
    const producer = await broker.openProducer({ clientId: 'test' });
    const record = { topic: 'in', partition: 0, timestamp: 0, headers: [] };
    await producer.send([{ ...record, key: Buffer.from('a'), value: integerSerde.serialize(5, 'in') }]);
    await producer.close();
    const next = await start(new MemoryDisk());
    await ready(next);
    assert.deepEqual(await joined(1), [5001]);
    await committed(2);
    await holds(next, 'a', 2);
  });

  it('replays the gap only, on a disk that lags', async () => {
    const disk = new MemoryDisk();
    const app = await start(disk);
    await ready(app);
    await send('table', ['a', 1], ['b', 2]);
    await committed(2);
    await app.stop();
    const other = await start(new MemoryDisk());
    await ready(other);
    await send('table', ['a', null], ['c', 3]);
    await committed(4);
    await other.stop();
    const next = await start(disk);
    await ready(next);
    assert.deepEqual(
      [await next.query('rows', 'a'), await next.query('rows', 'b'), await next.query('rows', 'c')],
      [undefined, { value: 2, timestamp: 1 }, { value: 3, timestamp: 1 }],
    );
  });

  it('leaves out what could not be read when it was processed', async () => {
    const app = await start(new MemoryDisk());
    await ready(app);
    await send('table', ['a', 1], ['a', Buffer.from('no number')], ['b', 2]);
    await committed(3);
    await app.stop();
    const next = await start(new MemoryDisk());
    await ready(next);
    assert.deepEqual(await next.query('rows', 'a'), { value: 1, timestamp: 1 });
    assert.deepEqual(await next.query('rows', 'b'), { value: 2, timestamp: 1 });
  });

  it('is right where a standby takes over', async () => {
    const app = await start(new MemoryDisk(), 'one', 1);
    await ready(app);
    const standby = await start(new MemoryDisk(), 'two', 1);
    await send('table', ['a', 1], ['b', 2]);
    await committed(2);
    await eventually(() => standby.status().standbys.length === 1, { what: 'the standby' });
    await app.stop();
    await eventually(() => standby.status().tasks.length === 1, { what: 'the standby to take over' });
    await ready(standby);
    await send('in', ['a', 1], ['b', 1]);
    assert.deepEqual(await joined(2), [1001, 1002]);
  });

  it('is built anew when the group’s offsets were set back', async () => {
    const disk = new MemoryDisk();
    const app = await start(disk);
    await ready(app);
    await send('table', ['a', 1], ['b', 2], ['a', 3]);
    await committed(3);
    await app.stop();
    const member = await broker.joinGroup({ groupId: 'app', topic: 'app-tasks', sessionTimeoutMs: 10_000 });
    await member.poll(10);
    await member.commitOffsets([{ topic: 'table', partition: 0, offset: 1 }]);
    await member.close();
    const next = await start(disk);
    await ready(next);
    await committed(3);
    await holds(next, 'a', 3);
    await holds(next, 'b', 2);
  });
});
