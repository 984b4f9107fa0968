/**
 * Goal: every instance has the whole global table before its first record, follows it, and goes on from its own
 * disk after a restart. Method: instances on one embedded broker, each with a disk; every input record looks its
 * value up in the table.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { partitionForKey } from '../../../src/base/murmur2.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { ValueAndTimestamp } from '../../../src/dsl/timestamped.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';

const partitions = 4;
const strings = { keySerde: stringSerde, valueSerde: stringSerde };

class LookUp implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    const rows: KeyValueStore<string, ValueAndTimestamp<string>> = this.#context.getStateStore('rows');
    this.#context.forward({ ...record, value: rows.get(record.value)?.value ?? 'nothing' });
  }
}

function newTopology() {
  const builder = new StreamsBuilder();
  builder.globalTable('g', { ...strings, materialized: { name: 'rows' } });
  // Below another operator: no prefetch reaches it.
  builder
    .stream('in', strings)
    .mapValues((value) => value)
    .process<string, string>(() => new LookUp(), { keepsKey: true })
    .to('out', strings);
  return builder.build();
}

describe('global tables of running instances', () => {
  let broker: Broker;
  const apps: StreamsApp[] = [];
  let produced = 0;

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'g', partitions: 3, config: { 'cleanup.policy': 'compact' } },
      { name: 'in', partitions },
      { name: 'out', partitions },
    ]);
    produced = 0;
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.stop();
    await broker.close();
  });

  async function newInstance(
    name: string,
    disk: MemoryDisk,
    settings: { cacheEntriesMax?: number; processingGuarantee?: 'at_least_once' } = {},
  ): Promise<StreamsApp> {
    const app = new StreamsApp({
      topology: newTopology(),
      settings: { applicationId: 'app', transactionalId: `app-${name}`, commitIntervalMs: 5, ...settings },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
      telemetry: silentTelemetry,
    });
    apps.push(app);
    await app.start();
    return app;
  }

  async function send(topic: string, count: number, entries: [string, string | null][]): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    await producer.send(
      entries.map(([key, value]) => ({
        topic,
        partition: partitionForKey(Buffer.from(key), count),
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        timestamp: 1_000 + produced++,
        headers: [],
      })),
    );
    await producer.flush();
    await producer.close();
  }

  const row = async (app: StreamsApp, key: string): Promise<string | undefined> =>
    (await app.query<string, ValueAndTimestamp<string>>('rows', key).catch(() => undefined))?.value;

  /** What came out under each key, the last value. */
  async function outputs(): Promise<Map<string, string>> {
    const all = Array.from({ length: partitions }, (_, partition) => ({ topic: 'out', partition }));
    const ends = await broker.admin.endOffsets(all, 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign(all.map((each) => ({ ...each, offset: 0 })));
    const found = new Map<string, string>();
    while (all.some((each, index) => consumer.position(each) < (ends[index] as number)))
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 }))
        for (let index = 0; index < batch.count; index++)
          found.set(String(batch.key(index)), String(batch.value(index)));
    await consumer.close();
    return found;
  }

  const range = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

  it('every instance has the whole table before its first record', async () => {
    await send(
      'g',
      3,
      range(3_000).map((key) => [key, `row ${key}`]),
    );
    await send(
      'in',
      partitions,
      range(500).map((key) => [`k${key}`, key]),
    );
    // A cache far smaller than the table: most reads have to go to the disk.
    const [first, second] = [
      await newInstance('1', new MemoryDisk(), { cacheEntriesMax: 50 }),
      await newInstance('2', new MemoryDisk(), { cacheEntriesMax: 50 }),
    ];
    const found = await eventually(
      async () => {
        const map = await outputs();
        return map.size === 500 && map;
      },
      { what: 'all outputs' },
    );
    for (const key of range(500)) assert.equal(found.get(`k${key}`), `row ${key}`);
    await eventually(() => first.ready && second.ready, { what: 'both to be ready' });
    for (const app of [first, second]) {
      assert.equal(app.status().globals?.applied, 3_000);
      assert.equal(await row(app, '2999'), 'row 2999');
    }
  });

  it('every instance follows changes and deletions, and its tasks see them', async () => {
    await send('g', 3, [
      ['a', 'old'],
      ['b', 'old'],
    ]);
    const running = [await newInstance('1', new MemoryDisk()), await newInstance('2', new MemoryDisk())];
    await eventually(() => running.every(({ ready }) => ready), { what: 'both to be ready' });
    const keys = range(40).map((key) => `k${key}`);
    const expectAll = async (looked: string, value: string): Promise<void> => {
      await send(
        'in',
        partitions,
        keys.map((key) => [key, looked]),
      );
      await eventually(
        async () => {
          const found = await outputs();
          return keys.every((key) => found.get(key) === value);
        },
        { what: `${looked} to be ${value} everywhere` },
      );
    };
    await expectAll('a', 'old');
    await send('g', 3, [
      ['a', 'new'],
      ['b', null],
    ]);
    for (const app of running)
      await eventually(async () => (await row(app, 'a')) === 'new' && (await row(app, 'b')) === undefined, {
        what: 'the change to arrive',
      });
    await expectAll('a', 'new');
    await expectAll('b', 'nothing');
  });

  it('a restart goes on from its disk and catches up the gap', async () => {
    await send(
      'g',
      3,
      range(1_000).map((key) => [key, 'first']),
    );
    const disk = new MemoryDisk();
    const app = await newInstance('1', disk);
    await eventually(() => app.ready, { what: 'the first start' });
    assert.equal(app.status().globals?.applied, 1_000);
    await app.stop();
    await send('g', 3, [
      ['1', 'second'],
      ['2', null],
    ]);
    const again = await newInstance('1', disk, { processingGuarantee: 'at_least_once' });
    await eventually(() => again.ready, { what: 'the second start' });
    assert.equal(again.status().globals?.applied, 2, 'the gap and no more');
    assert.equal(await row(again, '1'), 'second');
    assert.equal(await row(again, '2'), undefined);
    assert.equal(await row(again, '3'), 'first');
  });

  it('a topic that was deleted and made again is read anew', async () => {
    await send('g', 3, [['gone', 'x']]);
    const disk = new MemoryDisk();
    const app = await newInstance('1', disk);
    await eventually(() => app.ready, { what: 'the first start' });
    await app.stop();
    await broker.admin.deleteTopics(['g']);
    await broker.admin.createTopics([{ name: 'g', partitions: 3 }]);
    await send('g', 3, [
      ['here', 'y'],
      ['there', 'z'],
    ]);
    const again = await newInstance('1', disk);
    await eventually(() => again.ready, { what: 'the second start' });
    assert.equal(await row(again, 'gone'), undefined);
    assert.equal(await row(again, 'here'), 'y');
  });

  it('a stop right after the start ends in good order', async () => {
    await send('g', 3, [['a', 'x']]);
    const app = await newInstance('1', new MemoryDisk());
    await app.stop();
    assert.equal(app.state, 'NOT_RUNNING');
  });
});
