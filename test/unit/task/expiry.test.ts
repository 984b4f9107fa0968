/**
 * Goal: what is older than a store's retention goes, from the store and from its changelog, a bounded number of
 * rows at a time, and a processor never has to wait for it. Method: one store as a task drives it, and tasks
 * through the test driver.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Stores } from '../../../src/dsl/stores.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type {
  Prefetch,
  Processor,
  ProcessorContext,
  ReadOnlySessionStore,
  ReadOnlyWindowStore,
  Record,
  SessionStore,
  StateStore,
  WindowStore,
} from '../../../src/graph/processor.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';
import { memoryDisk, StoreRig } from '../../support/store-rig.ts';

const serdes = { keySerde: stringSerde, valueSerde: longSerde };

async function rowsAfter(
  spec: StoreSpec,
  put: (store: StateStore, at: number) => void,
): Promise<{ stored: number; logged: number; most: number }> {
  const rig = await StoreRig.open(spec, memoryDisk());
  let most = 0;
  for (let at = 0; at < 5_000; at += 10) {
    await rig.run(() => put(rig.store, at));
    if (at % 100 !== 0) continue;
    await rig.commit();
    most = Math.max(most, (await rig.rows()).stored);
  }
  await rig.commit();
  const rows = await rig.rows();
  await rig.close();
  return { ...rows, most };
}

function windowsOf(rig: StoreRig): WindowStore<string, number> {
  return rig.store as StateStore as WindowStore<string, number>;
}

describe('a store with a retention', () => {
  const retentionMs = 500;
  const putWindow = (store: StateStore, at: number): void =>
    (store as WindowStore<string, number>).put(`k${at % 7}`, at, at);

  it('keeps no more rows than the retention holds, in the changelog neither', async () => {
    const spec = Stores.windowStore({ name: 'w', ...serdes, retentionMs });
    const { stored, logged, most } = await rowsAfter(spec, putWindow);
    // 50 rows are younger than the retention, with an entry beside each; a step and a commit are behind.
    assert.ok(stored <= 2 * 65 && most <= 2 * 75, `${stored} rows, at most ${most}`);
    assert.equal(logged, stored);
  });

  it('keeps no more sessions, and duplicates', async () => {
    const sessions = Stores.sessionStore({ name: 's', ...serdes, retentionMs });
    const session = await rowsAfter(sessions, (store, at) =>
      (store as SessionStore<string, number>).put({ key: 'k', startMs: at, endMs: at + 5 }, at),
    );
    assert.ok(session.most <= 2 * 75, `at most ${session.most}`);
    const spec = Stores.windowStore({ name: 'd', ...serdes, retentionMs, retainDuplicates: true });
    const duplicates = await rowsAfter(spec, putWindow);
    assert.ok(duplicates.most <= 2 * 75, `at most ${duplicates.most}`);
  });

  it('keeps everything when the retention is infinite', async () => {
    const spec = Stores.windowStore({ name: 'w', ...serdes, retentionMs: Number.POSITIVE_INFINITY });
    assert.equal((await rowsAfter(spec, putWindow)).stored, 500);
  });

  it('removes many rows by and by when time jumps', async () => {
    for (const expiry of [undefined, 'segments'] as const) {
      const base = Stores.windowStore({ name: 'w', ...serdes, retentionMs, retainDuplicates: true });
      const spec = expiry === undefined ? base : { ...base, expiry };
      const rig = await StoreRig.open(spec, memoryDisk());
      const put = (at: number) => rig.run(() => windowsOf(rig).put('k', 1, at));
      // All of one millisecond: more than are removed at once.
      for (let n = 0; n < 3_500; n++) await put(5);
      await rig.commit();
      const counts: number[] = [];
      for (let n = 0; n < 6; n++) {
        await put(10_000_000 + n);
        await put(10_000_000 + n);
        await rig.commit();
        counts.push((await rig.rows()).stored);
      }
      const perRow = expiry === undefined ? 2 : 1;
      assert.ok((counts[0] as number) > 2_000 * perRow, `removed at once: ${counts}`);
      assert.equal(counts.at(-1), 12 * perRow, `${counts}`);
      await rig.close();
    }
  });

  it('removes as fast as rows are put, however many come between two commits', async () => {
    for (const expiry of [undefined, 'segments'] as const) {
      const base = Stores.windowStore({ name: 'w', ...serdes, retentionMs, retainDuplicates: true });
      const rig = await StoreRig.open(expiry === undefined ? base : { ...base, expiry }, memoryDisk());
      let most = 0;
      for (let commit = 0; commit < 8; commit++) {
        // Far more between two commits than are removed at once when time jumps; all of the last are too old.
        for (let n = 0; n < 3_000; n++)
          await rig.run(() => windowsOf(rig).put('k', 1, (commit + 1) * 100_000));
        await rig.commit();
        most = Math.max(most, (await rig.rows()).stored);
      }
      const perRow = expiry === undefined ? 2 : 1;
      assert.ok(most <= 3 * 3_000 * perRow, `at most ${most} rows`);
      await rig.close();
    }
  });

  it('knows its time after a crash, and refuses what it refused before', async () => {
    const rig = await StoreRig.open(Stores.windowStore({ name: 'w', ...serdes, retentionMs }), memoryDisk());
    const window = () => windowsOf(rig);
    await rig.run(() => window().put('a', 1, 1_000));
    await rig.commit();
    for (const again of [() => rig.crash(), () => rig.move()]) {
      await again();
      await rig.run(() => window().put('a', 2, 500));
      assert.equal(await rig.run(() => window().fetch('a', 500)), undefined);
      await rig.run(() => window().put('a', 3, 501));
      assert.equal(await rig.run(() => window().fetch('a', 501)), 3);
    }
    assert.equal(rig.expired, 2);
    await rig.close();
  });

  it('refuses a time that is none, which would move its time for good', async () => {
    const rig = await StoreRig.open(Stores.windowStore({ name: 'w', ...serdes, retentionMs }), memoryDisk());
    for (const at of [-1, Number.NaN, 0.5, Number.POSITIVE_INFINITY])
      await assert.rejects(
        rig.run(() => windowsOf(rig).put('a', 1, at)),
        { code: 'TIMESTAMP_INVALID' },
      );
    await rig.close();
  });
});

/** Puts and reads what it has declared; runs each record once, which it counts. */
class Declaring implements Processor<string, number, string, string> {
  #context!: ProcessorContext<string, string>;
  #windows!: WindowStore<string, number>;
  #sessions!: SessionStore<string, number>;
  runs = 0;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    this.#windows = context.getStateStore('w');
    this.#sessions = context.getStateStore('s');
  }

  prefetch({ key, timestamp }: Record<string, number>): Prefetch[] {
    return [
      { store: 'w', from: { key, timestampMs: 0 }, to: { key, timestampMs: timestamp } },
      { store: 's', from: { key: null, endMs: 0 }, to: { key: null, endMs: timestamp } },
    ];
  }

  process(record: Record<string, number>): void {
    this.runs++;
    const { key, value, timestamp } = record;
    this.#windows.put(key, value, timestamp);
    this.#sessions.put({ key, startMs: timestamp, endMs: timestamp }, value);
    const seen = [...this.#windows.fetch(key, 0, timestamp)].map(([, each]) => each);
    const sessions = [...this.#sessions.findSessions(0, timestamp)].length;
    this.#context.forward({ ...record, value: `${seen}|${sessions}` });
  }
}

describe('a processor with stores that expire', () => {
  it('never waits for a removal: what it declared is enough', async () => {
    const processor = new Declaring();
    const builder = new StreamsBuilder();
    builder.addStateStore(Stores.windowStore({ name: 'w', ...serdes, retentionMs: 1_000 }));
    builder.addStateStore(Stores.sessionStore({ name: 's', ...serdes, retentionMs: 500 }));
    builder
      .stream('in', serdes)
      .process(() => processor, { stores: ['w', 's'], keepsKey: true })
      .to('out', { valueSerde: stringSerde });
    const driver = new TopologyTestDriver(builder.build());
    await driver.open();
    const input = driver.createInputTopic('in', stringSerde, longSerde);
    for (let n = 0; n < 200; n++) await input.pipe(n % 2 === 0 ? 'a' : 'ab', n, n * 250);
    await input.pipe('a', -1, 40_000);
    const out = driver.createOutputTopic('out', stringSerde, stringSerde).readAll();
    assert.equal(out.length, 201);
    assert.equal(out[199]?.value, '197,199|2');
    // Late: neither stored nor lost unsaid.
    assert.equal(out[200]?.value, '|0');
    const [task] = driver.tasks();
    assert.equal(task?.counters.dropped, 2);
    assert.equal(task?.counters.deadLettered, 0);
    assert.equal(processor.runs, 201);
    const windows = await driver.store<ReadOnlyWindowStore<string, number>>('w');
    assert.deepEqual(
      [...windows.all()].map(([{ key }, value]) => `${key}=${value}`),
      ['a=196', 'a=198', 'ab=197', 'ab=199'],
    );
    const sessions = await driver.store<ReadOnlySessionStore<string, number>>('s');
    assert.deepEqual([...sessions.fetch('ab')], [[{ key: 'ab', startMs: 49_750, endMs: 49_750 }, 199]]);
    await driver.close();
  });

  it('and the windows of a join of streams go too', async () => {
    const builder = new StreamsBuilder();
    const texts = { keySerde: stringSerde, valueSerde: stringSerde };
    builder
      .stream('l', texts)
      .join(
        builder.stream('r', texts),
        (l, r) => `${l}${r}`,
        { beforeMs: 10_000, afterMs: 10_000, graceMs: 0 },
        { storeName: 'j' },
      )
      .to('out', { valueSerde: stringSerde });
    const topology = builder.build();
    const driver = new TopologyTestDriver(topology, { commitEveryRecords: 10 });
    await driver.open();
    const left = driver.createInputTopic('l', stringSerde, stringSerde);
    const right = driver.createInputTopic('r', stringSerde, stringSerde);
    for (let at = 0; at < 2_000_000; at += 2_000) {
      await left.pipe('k', 'l', at);
      await right.pipe('k', 'r', at);
    }
    await driver.commit();
    const [task] = driver.tasks();
    for (const { name } of topology.stores().filter(({ kind }) => kind === 'window')) {
      let rows = 0;
      for await (const page of task?.state.scanCommitted(name, 1_000) ?? []) rows += page.length;
      // Of 1,000: those of the retention (20 s), of a segment (a minute) and of what was not committed yet.
      assert.ok(rows >= 10 && rows <= 60, `${name} has ${rows} rows`);
    }
    await driver.close();
  });
});
