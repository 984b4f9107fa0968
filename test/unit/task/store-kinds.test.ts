/**
 * Goal: every kind of store is defined, declared, kept and read as `Stores`, `prefetch`, its options and the test
 * driver say. Method: a processor over one store of each kind, and what the plan and the disk have of it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import type { StoreOptions } from '../../../src/dsl/options.ts';
import { Stores } from '../../../src/dsl/stores.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { ValueAndTimestamp } from '../../../src/dsl/timestamped.ts';
import { timeWindows } from '../../../src/dsl/windows.ts';
import type {
  KeyValueStore,
  Prefetch,
  Processor,
  ProcessorContext,
  ReadOnlyKeyValueStore,
  ReadOnlySessionStore,
  ReadOnlyWindowStore,
  Record,
  SessionStore,
  VersionedKeyValueStore,
  WindowStore,
} from '../../../src/graph/processor.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { planApplication } from '../../../src/task/task-plan.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';
import { eventually } from '../../support/eventually.ts';

const serdes = { keySerde: stringSerde, valueSerde: longSerde };
const names = ['plain', 'timed', 'versioned', 'windows', 'duplicates', 'sessions'];

/** Keeps each record in a store of every kind. */
class Keeping implements Processor<string, number> {
  #keep!: (record: Record<string, number>) => void;

  init(context: ProcessorContext<unknown, unknown>): void {
    const plain = context.getStateStore<KeyValueStore<string, number>>('plain');
    const timed = context.getStateStore<KeyValueStore<string, ValueAndTimestamp<number>>>('timed');
    const versioned = context.getStateStore<VersionedKeyValueStore<string, number>>('versioned');
    const windows = context.getStateStore<WindowStore<string, number>>('windows');
    const duplicates = context.getStateStore<WindowStore<string, number>>('duplicates');
    const sessions = context.getStateStore<SessionStore<string, number>>('sessions');
    this.#keep = ({ key, value, timestamp }) => {
      plain.put(key, value);
      timed.put(key, { value, timestamp });
      versioned.put(key, value, timestamp);
      windows.put(key, value, timestamp);
      duplicates.put(key, value, timestamp);
      sessions.put({ key, startMs: timestamp - 1, endMs: timestamp }, value);
    };
  }

  process(record: Record<string, number>): void {
    this.#keep(record);
  }
}

function everyKind(options: StoreOptions = {}): Topology {
  const builder = new StreamsBuilder();
  const of = (name: string) => ({ name, ...serdes, ...options });
  builder.addStateStore(Stores.keyValueStore(of('plain')));
  builder.addStateStore(Stores.timestampedKeyValueStore(of('timed')));
  builder.addStateStore(Stores.versionedKeyValueStore({ ...of('versioned'), historyRetentionMs: 1_000 }));
  builder.addStateStore(Stores.windowStore({ ...of('windows'), retentionMs: 1_000 }));
  builder.addStateStore(
    Stores.windowStore({ ...of('duplicates'), retentionMs: 1_000, retainDuplicates: true }),
  );
  builder.addStateStore(Stores.sessionStore({ ...of('sessions'), retentionMs: 1_000 }));
  builder.stream('in', serdes).process(() => new Keeping(), { stores: names });
  return builder.build();
}

interface Reader {
  /** A store as it is, and what a function makes of it. */
  read<S, R>(name: string, read: (store: S) => R): Promise<R>;
}

/** What is in the stores after a=1@100, b=2@200, a=3@300. */
async function checkEveryKind({ read }: Reader): Promise<void> {
  await read('plain', (store: ReadOnlyKeyValueStore<string, number>) => {
    assert.deepEqual(
      [...store.all()],
      [
        ['a', 3],
        ['b', 2],
      ],
    );
    assert.deepEqual([...store.reverseRange(null, 'a')], [['a', 3]]);
    assert.deepEqual([...store.prefixScan('b', stringSerde)], [['b', 2]]);
    assert.equal(store.get('none'), undefined);
    assert.equal(store.approximateNumEntries(), 2);
  });
  await read('timed', (store: ReadOnlyKeyValueStore<string, ValueAndTimestamp<number>>) =>
    assert.deepEqual(store.get('a'), { value: 3, timestamp: 300 }),
  );
  await read('versioned', (store: VersionedKeyValueStore<string, number>) => {
    assert.deepEqual(store.get('a'), { value: 3, timestamp: 300 });
    assert.deepEqual(store.get('a', 299), { value: 1, timestamp: 100, validToMs: 300 });
    assert.equal(store.get('a', 99), undefined);
  });
  for (const name of ['windows', 'duplicates'])
    await read(name, (store: ReadOnlyWindowStore<string, number>) => {
      assert.equal(store.fetch('a', 100), 1);
      assert.deepEqual(
        [...store.backwardFetch('a', 0, 1_000)],
        [
          [300, 3],
          [100, 1],
        ],
      );
      assert.deepEqual([...store.fetchAll(200, 200)], [[{ key: 'b', timestampMs: 200 }, 2]]);
    });
  await read('sessions', (store: ReadOnlySessionStore<string, number>) => {
    assert.equal(store.fetchSession({ key: 'b', startMs: 199, endMs: 200 }), 2);
    assert.deepEqual(
      [...store.findSessions('a', 200, 400)].map(([, value]) => value),
      [3],
    );
  });
}

const records = [
  ['a', 1, 100],
  ['b', 2, 200],
  ['a', 3, 300],
] as const;

describe('stores of every kind', () => {
  it('are read by the test driver', async () => {
    const driver = new TopologyTestDriver(everyKind());
    await driver.open();
    const input = driver.createInputTopic('in', stringSerde, longSerde);
    for (const [key, value, timestamp] of records) await input.pipe(key, value, timestamp);
    await checkEveryKind({
      read: async <S, R>(name: string, read: (store: S) => R) =>
        read((await driver.store(name)) as unknown as S),
    });
    assert.equal(await driver.store('plain', 'a'), 3);
    const store = await driver.store<KeyValueStore<string, number>>('plain');
    await input.pipe('a', 9, 400);
    assert.equal(store.get('a'), 3, 'what was read before does not change');
    await driver.close();
  });

  for (const persistent of [true, false])
    it(`answer queries and come back after a restart (${persistent ? 'on the disk' : 'in memory'})`, async () => {
      const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
      await broker.admin.createTopics([{ name: 'in', partitions: 1 }]);
      const disk = new MemoryDisk();
      const open = async (): Promise<StreamsApp> => {
        const app = new StreamsApp({
          topology: everyKind({ persistent }),
          settings: { applicationId: 'kinds' },
          broker,
          openTaskBackend: disk.open,
          destroyTaskBackend: async (taskId) => disk.remove(taskId),
        });
        await app.start();
        await eventually(() => app.ready, { timeoutMs: 10_000, what: 'the application is ready' });
        return app;
      };
      let app = await open();
      try {
        await produce(broker);
        await eventually(async () => (await app.query('plain', 'a')) === 3, {
          timeoutMs: 10_000,
          what: 'the records are committed',
        });
        await app.stop();
        app = await open();
        await checkEveryKind({
          read: <S, R>(name: string, read: (store: S) => R) =>
            app.queryStore(name, 'a', read as unknown as (store: never) => R),
        });
        assert.deepEqual(await app.query('timed', 'a'), { value: 3, timestamp: 300 });
        const counts = await app.queryLocalStores('plain', (store: ReadOnlyKeyValueStore<string, number>) =>
          store.approximateNumEntries(),
        );
        assert.deepEqual(counts, [2]);
        await assert.rejects(
          app.queryStore('plain', 'a', (store: KeyValueStore<string, number>) => store.put('a', 1)),
          { code: 'STORE_READ_ONLY' },
        );
        await assert.rejects(
          app.queryStore('windows', 'a', (store: WindowStore<string, number>) => store.put('a', 1, 5_000)),
          { code: 'STORE_READ_ONLY' },
        );
        await assert.rejects(
          app.queryStore('nowhere', 'a', () => 1),
          { code: 'STORE_UNKNOWN' },
        );
      } finally {
        await app.stop();
        await broker.close();
      }
      const backend = await disk.open('0_0');
      const onDisk = (await backend.range({})).map(({ key }) => key.toString('latin1'));
      await backend.close();
      for (const name of names)
        assert.equal(
          onDisk.some((key) => key.includes(name) && key.charCodeAt(0) === 1 && !key.includes('task-0')),
          persistent,
          name,
        );
      assert.equal(
        onDisk.some((key) => key.includes('changelog/kinds-plain-changelog')),
        persistent,
      );
    });
});

async function produce(broker: EmbeddedBroker): Promise<void> {
  const producer = await broker.openProducer({ clientId: 'test' });
  for (const [key, value, timestamp] of records)
    await producer.send([
      {
        topic: 'in',
        partition: 0,
        key: stringSerde.serialize(key, 'in'),
        value: longSerde.serialize(value, 'in'),
        timestamp,
        headers: [],
      },
    ]);
  await producer.close();
}

describe('settings of a store', () => {
  const settings: StoreOptions = {
    changelogConfig: { 'segment.ms': '1000' },
    persistent: false,
    cacheEntriesMax: 7,
  };
  const specOf = (topology: Topology, name: string) => {
    const { changelog, changelogConfig, persistent, cacheEntriesMax } = topology.store(name) ?? {};
    return { changelog, changelogConfig, persistent, cacheEntriesMax };
  };

  it('are the same for stores of processors, tables, windows, joins and suppression', () => {
    const builder = new StreamsBuilder();
    const texts = { keySerde: stringSerde, valueSerde: stringSerde };
    builder.addStateStore(Stores.keyValueStore({ name: 'own', ...serdes, ...settings }));
    const stream = builder.stream('in', texts);
    stream.groupByKey().count({ materialized: { name: 'counts', ...settings } });
    stream
      .groupByKey()
      .windowedBy(timeWindows({ sizeMs: 10, graceMs: 0 }))
      .count({ materialized: { name: 'windowed', ...settings } });
    builder
      .table('table', { ...texts, materialized: { name: 'table', ...settings } })
      .suppress({ named: 'held', untilTimeLimitMs: 5, buffer: 'unbounded', ...settings });
    stream.leftJoin(
      builder.stream('other', texts),
      (l, r) => `${l}${r}`,
      { beforeMs: 1, afterMs: 1, graceMs: 0 },
      { storeName: 'joined', ...settings },
    );
    const topology = builder.build();
    const stores = topology.stores().map(({ name }) => name);
    assert.equal(stores.length, 9, `${stores}`);
    for (const name of stores)
      assert.deepEqual(specOf(topology, name), { changelog: true, ...settings }, name);
    const plan = planApplication(topology, 'app', new Map(['in', 'table', 'other'].map((name) => [name, 1])));
    const topic = plan.internalTopics.find(({ name }) => name === 'app-counts-changelog');
    assert.deepEqual(topic?.config, { 'cleanup.policy': 'compact', 'segment.ms': '1000' });
  });

  it('that contradict each other are refused', () => {
    const refused = (define: () => unknown, message: RegExp): void =>
      assert.throws(define, { code: 'TOPOLOGY_INVALID', message });
    const add = (spec: ReturnType<typeof Stores.keyValueStore>) => new StreamsBuilder().addStateStore(spec);
    const base = { name: 's', ...serdes };
    refused(
      () => add(Stores.keyValueStore({ ...base, logging: false, changelogConfig: {} })),
      /settings for its changelog, and no changelog/,
    );
    refused(() => add(Stores.keyValueStore({ ...base, cacheEntriesMax: 0 })), /cannot cache 0 entries/);
    refused(
      () => add(Stores.windowStore({ ...base, retentionMs: 0 })),
      /window store s needs its retentionMs/,
    );
    refused(() => add(Stores.sessionStore({ ...base, retentionMs: Number.NaN })), /needs its retentionMs/);
    refused(
      () => add(Stores.versionedKeyValueStore({ ...base, historyRetentionMs: -1 })),
      /needs its historyRetentionMs/,
    );
    refused(
      () =>
        new StreamsBuilder().addGlobalStore({
          store: Stores.keyValueStore({ ...base, logging: false, persistent: false }),
          topic: 't',
          source: 'so',
          processor: 'p',
          ...serdes,
        }),
      /cannot be in memory alone/,
    );
  });
});

/** Reads ranges that it declares; stands directly under its source. */
class Ranging implements Processor<string, number, string, string> {
  readonly #declares: boolean;
  #context!: ProcessorContext<string, string>;
  #store!: KeyValueStore<string, number>;

  constructor(declares: boolean) {
    this.#declares = declares;
  }

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    this.#store = context.getStateStore('plain');
  }

  prefetch({ key }: Record<string, number>): Prefetch[] {
    if (!this.#declares) return [];
    return [
      { store: 'plain', key },
      { store: 'plain', from: 'b', to: null },
      { store: 'plain', prefix: 'a', prefixSerializer: stringSerde },
    ];
  }

  process(record: Record<string, number>): void {
    this.#store.put(record.key, record.value);
    const keys = (found: Iterable<readonly [string, number]>): string =>
      [...found].map(([key]) => key).join('');
    const value = [
      keys(this.#store.prefixScan('a', stringSerde)),
      keys(this.#store.reverseRange('b', null)),
      // Within what is declared.
      keys(this.#store.range('b', 'c')),
    ].join('|');
    this.#context.forward({ ...record, value });
  }
}

describe('declared reads of ranges', () => {
  const run = async (declares: boolean): Promise<{ values: (string | null)[]; deadLettered: number }> => {
    const builder = new StreamsBuilder();
    builder.addStateStore(Stores.keyValueStore({ name: 'plain', ...serdes }));
    builder
      .stream('in', serdes)
      .process(() => new Ranging(declares), { stores: ['plain'], keepsKey: true })
      .to('out', { valueSerde: stringSerde });
    const driver = new TopologyTestDriver(builder.build(), { commitEveryRecords: 2 });
    await driver.open();
    const input = driver.createInputTopic('in', stringSerde, longSerde);
    for (const key of ['a', 'c', 'ab', 'd', 'b']) await input.pipe(key, 1, 0);
    await driver.commit();
    const values = driver
      .createOutputTopic('out', stringSerde, stringSerde)
      .readAll()
      .map(({ value }) => value);
    const deadLettered = driver.tasks()[0]?.counters.deadLettered ?? 0;
    await driver.close();
    return { values, deadLettered };
  };

  it('show committed, sealed and open changes alike', async () => {
    const { values, deadLettered } = await run(true);
    assert.deepEqual(values, ['a||', 'a|c|c', 'aab|c|c', 'aab|dc|c', 'aab|dcb|bc']);
    assert.equal(deadLettered, 0);
  });

  it('are an error where they were left out', async () => {
    // STATE_NOT_LOADED is a mistake of the code: it stops.
    await assert.rejects(run(false), { code: 'STATE_NOT_LOADED' });
  });
});
