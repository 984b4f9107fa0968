/** Sources of running instances: patterns, where reading begins, topics chosen per record. On the embedded broker. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import type { StreamsError } from '../../../src/base/errors.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

describe('sources of running instances', () => {
  let broker: Broker;
  let app: StreamsApp | undefined;

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
  });
  afterEach(async () => {
    await app?.stop();
    app = undefined;
    await broker.close();
  });

  async function run(topology: Topology, disk = new MemoryDisk()): Promise<void> {
    await app?.stop();
    app = new StreamsApp({
      topology,
      settings: { applicationId: 'app', commitIntervalMs: 5 },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    await app.start();
    await Promise.race([
      eventually(() => app?.ready === true || app?.state === 'ERROR', { what: 'the instance to be ready' }),
      app.failure.then((failure) => Promise.reject(failure)),
    ]);
  }

  async function send(topic: string, ...values: string[]): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    const value = (text: string) => ({ key: Buffer.from('k'), value: Buffer.from(text) });
    const rest = { topic, partition: 0, timestamp: 1, headers: [] };
    await producer.send(values.map((text) => ({ ...rest, ...value(text) })));
    await producer.close();
  }

  async function read(topic: string): Promise<string[]> {
    const at = { topic, partition: 0 };
    const [end] = await broker.admin.endOffsets([at], 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign([{ ...at, offset: 0 }]);
    const values: string[] = [];
    while (consumer.position(at) < (end as number))
      for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 10 }))
        for (let index = 0; index < batch.count; index++) values.push(String(batch.value(index)));
    await consumer.close();
    return values;
  }

  const expect = (topic: string, count: number): Promise<string[]> =>
    eventually(
      async () => {
        const values = await read(topic);
        return values.length >= count && values;
      },
      { what: `${count} records of ${topic}` },
    );

  const create = (...names: string[]): Promise<void> =>
    broker.admin.createTopics(names.map((name) => ({ name, partitions: 1 })));

  it('a pattern reads what it matches at the start, and a topic made later after the next start', async () => {
    await create('in-a', 'in-b', 'other', 'out');
    await send('in-a', 'a');
    await send('in-b', 'b');
    await send('other', 'no');
    const builder = new StreamsBuilder();
    builder.stream(/in-./, strings).to('out');
    const disk = new MemoryDisk();
    await run(builder.build(), disk);
    assert.deepEqual((await expect('out', 2)).sort(), ['a', 'b']);
    await create('in-c');
    await send('in-c', 'c');
    await run(builder.build(), disk);
    assert.deepEqual((await expect('out', 3)).sort(), ['a', 'b', 'c']);
  });

  it('a pattern that matches nothing, and a topology without streams, are refused', async () => {
    await create('g');
    const pattern = new StreamsBuilder();
    pattern.stream(/in-./, strings).to('g');
    await assert.rejects(run(pattern.build()), /no topic that is there matches .*in-/);
    const global = new StreamsBuilder();
    global.globalTable('g', strings);
    await assert.rejects(run(global.build()), /nothing to run/);
  });

  it('a source with offsetReset latest begins at the end, and keeps that place over a restart', async () => {
    await create('early', 'late', 'out');
    await send('early', 'early 1');
    await send('late', 'before');
    const builder = new StreamsBuilder();
    builder.stream('early', strings).to('out');
    builder.stream('late', { ...strings, offsetReset: 'latest' }).to('out');
    const disk = new MemoryDisk();
    await run(builder.build(), disk);
    await expect('out', 1);
    const late = [{ topic: 'late', partition: 0 }];
    await eventually(async () => (await broker.admin.committedOffsets('app', late))[0] === 1, {
      what: 'the choice to be committed',
    });
    await app?.stop();
    await send('late', 'while it was away');
    await run(builder.build(), disk);
    assert.deepEqual(await expect('out', 2), ['early 1', 'while it was away']);
  });

  it('a source by duration begins with the first record that is young enough, else at the end', async () => {
    await create('a', 'b', 'out');
    const nowMs = wallClock.nowMs();
    const producer = await broker.openProducer({ clientId: 'test' });
    const record = (topic: string, value: string, ageMs: number) => ({
      topic,
      partition: 0,
      key: Buffer.from('k'),
      value: Buffer.from(value),
      timestamp: nowMs - ageMs,
      headers: [],
    });
    const hourMs = 3_600_000;
    await producer.send([
      record('a', 'old', 3 * hourMs),
      record('a', 'young', hourMs),
      // Behind a young one: it is read, as the search is for the first offset.
      record('a', 'old again', 3 * hourMs),
      record('b', 'old', 3 * hourMs),
    ]);
    await producer.close();
    const builder = new StreamsBuilder();
    builder.stream(['a', 'b'], { ...strings, offsetReset: { byDurationMs: 2 * hourMs } }).to('out');
    await run(builder.build());
    assert.deepEqual(await expect('out', 2), ['young', 'old again']);
    const b = [{ topic: 'b', partition: 0 }];
    await eventually(async () => (await broker.admin.committedOffsets('app', b))[0] === 1, {
      what: 'the choice to be committed',
    });
  });

  it('a source with offsetReset none ends the instance where nothing says how far it was read', async () => {
    await create('in', 'out');
    const builder = (offsetReset: 'none' | 'earliest'): Topology => {
      const made = new StreamsBuilder();
      made.stream('in', { ...strings, offsetReset }).to('out');
      return made.build();
    };
    await assert.rejects(run(builder('none')), (error: StreamsError) => error.code === 'OFFSET_OUT_OF_RANGE');
    const disk = new MemoryDisk();
    await run(builder('earliest'), disk);
    await send('in', 'a');
    await expect('out', 1);
    await app?.stop();
    await send('in', 'b');
    await run(builder('none'), disk);
    assert.deepEqual(await expect('out', 2), ['a', 'b']);
  });

  it('a topic that a record chooses need not be named in the topology', async () => {
    await create('in', 'to-x');
    const builder = new StreamsBuilder();
    builder.stream('in', strings).to(({ value }) => `to-${value}`);
    await run(builder.build());
    await send('in', 'x');
    assert.deepEqual(await expect('to-x', 1), ['x']);
  });
});
