/**
 * State moved to other partition counts, on the embedded broker: results go on per key as if there had been five
 * partitions from the beginning, whatever point the command was broken off at.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { repartitionState } from '../../../src/app/repartition-state.ts';
import { placementOf } from '../../../src/app/row-placement.ts';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { unreadInputs } from '../../../src/app/unread-inputs.ts';
import type { StreamsError } from '../../../src/base/errors.ts';
import { partitionForKey } from '../../../src/base/murmur2.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { sessionWindows, timeWindows } from '../../../src/dsl/windows.ts';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };
const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
const inputs = ['left', 'right'];

function program(): Topology {
  const builder = new StreamsBuilder();
  const left = builder.stream<string, string>('left', strings);
  const right = builder.stream<string, string>('right', strings);
  const out = (name: string) => (key: string, value: unknown) =>
    [key, `${name}:${JSON.stringify(value)}`] as const;
  const grouped = left.groupByKey();
  grouped
    .count({ materialized: { name: 'counts' } })
    .toStream()
    .map(out('count'))
    .to('out', strings);
  const plain = (key: { key: string; window: { startMs: number } }, value: unknown) =>
    [key.key, `${key.window.startMs}:${JSON.stringify(value)}`] as const;
  grouped
    .windowedBy(timeWindows({ sizeMs: 100, graceMs: 50 }))
    .count({ materialized: { name: 'windowed' } })
    .toStream()
    .map(plain)
    .to('out', strings);
  grouped
    .windowedBy(sessionWindows({ gapMs: 60, graceMs: 0 }))
    .count({ materialized: { name: 'sessions' } })
    .toStream()
    .map(plain)
    .to('out', strings);
  const windows = { beforeMs: 200, afterMs: 200, graceMs: 100 };
  const joined = { ...strings, otherValueSerde: stringSerde, name: 'joined', storeName: 'joined' };
  left
    .leftJoin(right, (a, b) => `${a}+${b}`, windows, joined)
    .map(out('join'))
    .to('out', strings);
  // Through a repartition topic, which follows the count of its source.
  left
    .selectKey((key) => `again-${key}`)
    .groupByKey({ ...strings, name: 'by-again' })
    .count({ materialized: { name: 'by-again' } })
    .toStream()
    .map(out('again'))
    .to('out', strings);
  return builder.build();
}

describe('state moved to other partition counts', () => {
  const brokers: Broker[] = [];
  const apps: StreamsApp[] = [];

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.stop();
    for (const broker of brokers.splice(0)) await broker.close();
  });

  async function open(partitions: number): Promise<Broker> {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    brokers.push(broker);
    await broker.admin.createTopics([
      ...inputs.map((name) => ({ name, partitions })),
      { name: 'out', partitions: 1 },
    ]);
    return broker;
  }

  async function start(broker: Broker, disk: MemoryDisk, topology = program()): Promise<StreamsApp> {
    const app = new StreamsApp({
      topology,
      settings: { applicationId: 'app', commitIntervalMs: 5 },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    await app.start();
    apps.push(app);
    await eventually(() => app.ready, { what: 'the instance to be ready' });
    return app;
  }

  /** All keys at one time after the other, in both topics. */
  async function feed(broker: Broker, partitions: number, from: number, to: number): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    for (let round = from; round < to; round++)
      for (const topic of round % 3 === 2 ? inputs : ['left'])
        await producer.send(
          keys.map((key) => ({
            topic,
            partition: partitionForKey(Buffer.from(key), partitions),
            key: Buffer.from(key),
            value: Buffer.from(`${topic}${round}`),
            timestamp: 1_000 + round * 40,
            headers: [],
          })),
        );
    await producer.close();
  }

  async function allRead(broker: Broker, app: StreamsApp): Promise<void> {
    const topics = app.status().tasks.flatMap((task) => task.inputs);
    const partitions = topics.map((name) => {
      const at = name.lastIndexOf('-');
      return { topic: name.slice(0, at), partition: Number(name.slice(at + 1)) };
    });
    await eventually(
      async () => {
        const ends = await broker.admin.endOffsets(partitions, 'read_uncommitted');
        const committed = await broker.admin.committedOffsets('app', partitions);
        if (!ends.every((end, index) => end === 0 || committed[index] === end)) return false;
        // What was read may have been written on, to a topic whose end was asked for before.
        const now = await broker.admin.endOffsets(partitions, 'read_uncommitted');
        return now.every((end, index) => end === ends[index]);
      },
      { what: 'everything to be read' },
    );
  }

  /** Per key, sorted within one: several operators of a key are in no order. */
  async function results(broker: Broker): Promise<Map<string, string[]>> {
    const at = { topic: 'out', partition: 0 };
    const [end = 0] = await broker.admin.endOffsets([at], 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign([{ ...at, offset: 0 }]);
    const found = new Map<string, string[]>();
    while (consumer.position(at) < end)
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 }))
        for (let index = 0; index < batch.count; index++) {
          const key = String(batch.key(index));
          const values = found.get(key) ?? [];
          values.push(`${batch.value(index)}@${batch.timestamp(index)}`);
          found.set(key, values);
        }
    await consumer.close();
    for (const values of found.values()) values.sort();
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async function stop(app: StreamsApp): Promise<void> {
    await app.stop();
    apps.splice(apps.indexOf(app), 1);
  }

  /** What comes out when there were five partitions from the beginning. */
  async function expected(): Promise<Map<string, string[]>> {
    const broker = await open(5);
    const app = await start(broker, new MemoryDisk());
    for (const [from, to] of [
      [0, 9],
      [9, 20],
    ] as const) {
      await feed(broker, 5, from, to);
      await allRead(broker, app);
    }
    await stop(app);
    return results(broker);
  }

  /** The first half on three partitions, stopped, and the inputs grown to five. */
  async function grown(disk: MemoryDisk, topology = program()): Promise<Broker> {
    const broker = await open(3);
    const app = await start(broker, disk, topology);
    await feed(broker, 3, 0, 9);
    await allRead(broker, app);
    await stop(app);
    for (const name of inputs) await broker.admin.growTopic(name, 5);
    return broker;
  }

  async function goOn(broker: Broker, disk: MemoryDisk, from = 9): Promise<Map<string, string[]>> {
    const app = await start(broker, disk);
    await feed(broker, 5, from, 20);
    await allRead(broker, app);
    await stop(app);
    return results(broker);
  }

  const move = (broker: Broker, onStep: (step: string) => void = () => {}, topology = program()) =>
    repartitionState({
      topology,
      settings: { applicationId: 'app', sessionTimeoutMs: 1_000 },
      broker,
      onStep,
    });

  const unread = (broker: Broker) =>
    unreadInputs({ topology: program(), settings: { applicationId: 'app' }, broker });

  const isMismatch = (words: RegExp) => (error: StreamsError) =>
    error.code === 'TOPIC_MISMATCH' && words.test(error.message);

  it('goes on as if there had been so many from the beginning; a start before it names the command', async () => {
    const disk = new MemoryDisk();
    const broker = await grown(disk);
    await assert.rejects(start(broker, disk), isMismatch(/millrace repartition/));
    const moved = await move(broker);
    assert.ok(moved.every(({ from, to }) => from === 3 && to === 5));
    assert.ok(moved.some(({ topic }) => topic === 'app-counts-changelog'));
    assert.deepEqual(await goOn(broker, disk), await expected());
    assert.deepEqual(
      (await broker.admin.listTopics()).filter((name) => /moving|plan/.test(name)),
      [],
    );
    assert.deepEqual(await move(broker), [], 'there is nothing left to move');
  });

  it('is mended by a second call wherever it was broken off, and nothing starts in between', async () => {
    const steps: string[] = [];
    const first = new MemoryDisk();
    await move(await grown(first), (step) => steps.push(step));
    assert.ok(steps.length > 15, steps.join(' '));
    const right = await expected();
    for (const [index, crashAt] of steps.entries()) {
      const disk = new MemoryDisk();
      const broker = await grown(disk);
      let count = 0;
      const crash = (): void => {
        if (count++ === index) throw new Error('crash');
      };
      await assert.rejects(move(broker, crash), /crash/);
      await assert.rejects(start(broker, disk), isMismatch(/millrace repartition/), crashAt);
      await move(broker);
      assert.deepEqual(await goOn(broker, disk), right, crashAt);
      await broker.close();
      brokers.splice(brokers.indexOf(broker), 1);
    }
  });

  it('is refused while an instance runs', async () => {
    const broker = await open(3);
    await start(broker, new MemoryDisk());
    for (const name of inputs) await broker.admin.growTopic(name, 5);
    await assert.rejects(move(broker), isMismatch(/are running/));
  });

  it('is refused while an input is not read to its end, naming it, and nothing is changed', async () => {
    const disk = new MemoryDisk();
    const broker = await grown(disk);
    assert.deepEqual(await unread(broker), []);
    await feed(broker, 3, 9, 10);
    const found = await unread(broker);
    assert.deepEqual(new Set(found.map(({ topic }) => topic)), new Set(['left']));
    assert.equal(
      found.reduce((sum, { records }) => sum + records, 0),
      keys.length,
    );
    const before = (await broker.admin.listTopics()).sort();
    await assert.rejects(move(broker), isMismatch(/records of left-\d are not processed yet/));
    assert.deepEqual((await broker.admin.listTopics()).sort(), before);
  });

  it('is not held up by records that lie where their keys belong now', async () => {
    const disk = new MemoryDisk();
    const broker = await grown(disk);
    await feed(broker, 5, 9, 12);
    assert.ok((await unread(broker)).some(({ partition }) => partition < 3));
    await move(broker);
    assert.deepEqual(await goOn(broker, disk, 12), await expected());
  });

  it('is refused for a store of which nobody knows where rows belong, naming it', async () => {
    const topology = (): Topology => {
      const builder = new StreamsBuilder();
      builder.addStateStore({ name: 'mine', kind: 'key-value', ...strings, changelog: true } as never);
      builder
        .stream<string, string>('left', strings)
        .process(() => ({ process: () => {} }), { stores: ['mine'] });
      builder.stream<string, string>('right', strings).to('out');
      return builder.build();
    };
    const broker = await grown(new MemoryDisk(), topology());
    await assert.rejects(
      move(broker, () => {}, topology()),
      (error: StreamsError) =>
        error.code === 'TOPOLOGY_INVALID' && /rows of mine cannot be moved/.test(error.message),
    );
  });
});

describe('where rows of window and session stores belong', () => {
  const part = { sources: [], processors: [], sinks: [], stores: [], nodes: [], id: 0 };
  const key = Buffer.from('key-7');
  const time = Buffer.alloc(8, 1);
  const spec = (more: object): StoreSpec =>
    ({
      name: 'store',
      kind: 'window',
      ...strings,
      changelog: true,
      retentionMs: 1_000,
      placement: 'record-key',
      ...more,
    }) as unknown as StoreSpec;
  const rows: readonly (readonly [what: string, StoreSpec, Buffer])[] = [
    ['of an operator', spec({ expiry: 'operator' }), Buffer.concat([key, time, Buffer.alloc(4)])],
    ['that expire', spec({}), Buffer.concat([Buffer.from([0]), key, time, Buffer.alloc(4)])],
    ['of their index', spec({}), Buffer.concat([Buffer.from([1]), time, key, Buffer.alloc(4)])],
    ['with duplicates', spec({ retainDuplicates: true }), Buffer.concat([Buffer.from([0]), key, time, time])],
    ['of sessions', spec({ kind: 'session' }), Buffer.concat([Buffer.from([0]), key, time, time])],
    [
      'in segments',
      spec({ expiry: 'segments', retainDuplicates: true }),
      Buffer.concat([time, Buffer.from([0, 0, 0, key.length]), key, time, time]),
    ],
  ];
  for (const [what, store, row] of rows)
    it(`rows ${what}`, () => {
      for (const partitions of [2, 5, 7])
        assert.equal(placementOf(store, part).partitionOf(row, partitions), partitionForKey(key, partitions));
    });
});
